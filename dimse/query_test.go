package dimse

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"

	"edged/dimse/dataset"
)

const patientName, patientID, studyUID, instanceUID dataset.Tag = 0x00100010, 0x00100020, 0x0020000D, 0x00080018

// shelf is a small QuerySCP: what it has, whatever is asked.
type shelf struct {
	t         testing.TB
	matches   []DataSet
	instances []Instance
	peers     map[string]ClientConfig
	find      func(ctx context.Context, q Query, found func(DataSet) error) Answer // instead of matches

	mu    sync.Mutex
	asked []Query
}

func (s *shelf) note(q Query) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, q)
}

func (s *shelf) heard() []Query {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.asked)
}

func (s *shelf) know(title string, cfg ClientConfig) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.peers = map[string]ClientConfig{title: cfg}
}

func (s *shelf) Find(ctx context.Context, _ *Association, q Query, found func(DataSet) error) Answer {
	s.note(q)
	if s.find != nil {
		return s.find(ctx, q, found)
	}
	for _, m := range s.matches {
		if err := found(m); err != nil {
			return Answer{Status: StatusCannotUnderstand, Comment: err.Error()}
		}
	}
	return Answer{}
}

func (s *shelf) Select(_ context.Context, _ *Association, q Query) ([]Instance, Answer) {
	s.note(q)
	return s.instances, Answer{}
}

func (s *shelf) Destination(_ context.Context, _ *Association, title string) (ClientConfig, Answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	cfg, ok := s.peers[title]
	if !ok {
		return cfg, Answer{Status: StatusUnknownDestination}
	}
	return cfg, Answer{}
}

// identifier is a data set of texts.
func identifier(t testing.TB, ts string, texts map[dataset.Tag]string) DataSet {
	t.Helper()
	var set dataset.Set
	for tag, text := range texts {
		set.Set(tag, dataset.VR(tag), text)
	}
	b, err := set.Append(nil, ts)
	if err != nil {
		t.Fatal(err)
	}
	return DataSet{ts, b}
}

func textOf(t testing.TB, d DataSet, tag dataset.Tag) string {
	t.Helper()
	set, err := dataset.Parse(d.Bytes, d.TransferSyntaxUID)
	if err != nil {
		t.Fatal(err)
	}
	return set.Text(tag)
}

func findProposal(ts ...string) Proposal {
	return Proposal{AbstractSyntax: StudyRootFind, TransferSyntaxes: ts}
}

func studyQuery(t testing.TB, ts string) Query {
	return Query{SOPClassUID: StudyRootFind, Identifier: identifier(t, ts, map[dataset.Tag]string{
		queryRetrieveLevel: "STUDY", patientName: "", studyUID: "",
	})}
}

func (s *shelf) fill(n int, ts string) *shelf {
	for i := range n {
		s.matches = append(s.matches, identifier(s.t, ts, map[dataset.Tag]string{
			queryRetrieveLevel: "STUDY", patientName: fmt.Sprintf("TEST^%d", i), studyUID: fmt.Sprintf("2.25.7.%d", i),
		}))
	}
	return s
}

// TestFindGivesEveryMatch: in whatever of the uncompressed syntaxes the query,
// the matches and the context are.
func TestFindGivesEveryMatch(t *testing.T) {
	syntaxes := []string{ImplicitVRLE, ExplicitVRLE, ExplicitVRBE}
	for _, context := range syntaxes {
		for _, matches := range syntaxes[:2] {
			for _, query := range syntaxes {
				findAll(t, context, matches, query)
			}
		}
	}
}

func findAll(t *testing.T, context, matches, query string) {
	t.Helper()
	scp := (&shelf{t: t}).fill(3, matches)
	_, port := serveTCP(t, ServerConfig{Handler: &keeper{}, Query: scp})
	c := testDial(t, port, findProposal(context))
	var names []string
	rsp, err := c.Find(t.Context(), studyQuery(t, query), func(d DataSet) error {
		if d.TransferSyntaxUID != context {
			t.Errorf("a match in %s, want %s", d.TransferSyntaxUID, context)
		}
		names = append(names, textOf(t, d, patientName))
		return nil
	})
	if err != nil || rsp.Status != StatusSuccess || !slices.Equal(names, []string{"TEST^0", "TEST^1", "TEST^2"}) {
		t.Errorf("context %s, matches %s, query %s: got %v, %v, %v", context, matches, query, names, rsp, err)
	}
	if err := c.Release(t.Context()); err != nil {
		t.Error(err)
	}
	if got := scp.heard()[0]; got.SOPClassUID != StudyRootFind || got.Identifier.TransferSyntaxUID != context || textOf(t, got.Identifier, queryRetrieveLevel) != "STUDY" {
		t.Errorf("the SCP was asked %+v", got)
	}
}

// endless gives matches until it is told to stop.
func (s *shelf) endless() *shelf {
	match := identifier(s.t, ExplicitVRLE, map[dataset.Tag]string{patientName: "TEST", studyUID: "2.25.7"})
	s.find = func(ctx context.Context, _ Query, found func(DataSet) error) Answer {
		for {
			if err := found(match); err != nil {
				if ctx.Err() == nil {
					s.t.Error("found returned an error and ctx goes on")
				}
				return Answer{Status: StatusCannotUnderstand}
			}
		}
	}
	return s
}

// TestErrStopCancels: who has enough ends the operation and not the association,
// over TCP and over TLS; a match is never cut (PS3.7 §9.3.2.3).
func TestErrStopCancels(t *testing.T) {
	for _, secure := range []bool{false, true} {
		cfg := ServerConfig{Handler: &keeper{}, Query: (&shelf{t: t}).endless()}
		c := dialQuery(t, cfg, secure)
		for round := range 2 {
			n := 0
			rsp, err := c.Find(t.Context(), studyQuery(t, ExplicitVRLE), func(d DataSet) error {
				if n++; textOf(t, d, patientName) != "TEST" {
					t.Error("a match is damaged")
				}
				if n == 10 {
					return ErrStop
				}
				return nil
			})
			if err != nil || rsp.Status != StatusCancel || n != 10 {
				t.Errorf("TLS %v, round %d: got %v, %v after %d matches, want %v after 10", secure, round, rsp, err, n, StatusCancel)
			}
		}
		if rsp, err := c.Echo(t.Context()); err != nil || rsp.Status != StatusSuccess {
			t.Errorf("echo after the cancel: %v, %v", rsp, err)
		}
		if err := c.Release(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// dialQuery opens an association with a server of cfg, with TLS or without.
func dialQuery(t *testing.T, cfg ServerConfig, secure bool) *Client {
	t.Helper()
	verification := Proposal{AbstractSyntax: Verification, TransferSyntaxes: []string{ImplicitVRLE}}
	if !secure {
		_, port := serveTCP(t, cfg)
		return testDial(t, port, verification, findProposal(ExplicitVRLE))
	}
	cert, pool := selfSigned(t)
	port := serveTLS(t, cfg, cert)
	d := clientConfig(port, verification, findProposal(ExplicitVRLE))
	d.TLS = &tls.Config{RootCAs: pool, ServerName: "pacs"}
	c, err := Dial(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func serveTLS(t *testing.T, cfg ServerConfig, cert tls.Certificate) (port string) {
	t.Helper()
	s := newTestServer(t, cfg)
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(l) }()
	t.Cleanup(func() { s.Close(); <-ended })
	_, port, _ = net.SplitHostPort(l.Addr().String())
	return port
}

// TestFoundsErrorComesBack: an error of the caller's is the caller's, and the
// association goes on.
func TestFoundsErrorComesBack(t *testing.T) {
	c := dialQuery(t, ServerConfig{Handler: &keeper{}, Query: (&shelf{t: t}).endless()}, false)
	mine := errors.New("mine")
	if rsp, err := c.Find(t.Context(), studyQuery(t, ExplicitVRLE), func(DataSet) error { return mine }); err != mine || rsp.Status != StatusCancel {
		t.Errorf("got %v, %v", rsp, err)
	}
	if _, err := c.Echo(t.Context()); err != nil {
		t.Error(err)
	}
	c.Abort()
}
