package dimse

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
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
	asked     []Query                                                              // owned by the association
}

func (s *shelf) Find(ctx context.Context, _ *Association, q Query, found func(DataSet) error) Answer {
	s.asked = append(s.asked, q)
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
	s.asked = append(s.asked, q)
	return s.instances, Answer{}
}

func (s *shelf) Destination(_ context.Context, _ *Association, title string) (ClientConfig, Answer) {
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
	if got := scp.asked[0]; got.SOPClassUID != StudyRootFind || got.Identifier.TransferSyntaxUID != context || textOf(t, got.Identifier, queryRetrieveLevel) != "STUDY" {
		t.Errorf("the SCP was asked %+v", got)
	}
}

var _ = []any{bytes.Equal, errors.Is, io.EOF}
