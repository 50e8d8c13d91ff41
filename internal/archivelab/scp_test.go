package archivelab

import (
	"bytes"
	"context"
	"io"
	"net"
	"testing"
	"time"

	"edged/dimse"
)

const ctImage = "1.2.840.10008.5.1.4.1.1.2"

// heard is a hub that takes reports, or answers them with a status.
type heard struct {
	status  dimse.Status
	reports chan dimse.CommitmentResult
}

func (h *heard) CommitmentReported(_ context.Context, _ *dimse.Association, r dimse.CommitmentResult) dimse.Answer {
	h.reports <- r
	return dimse.Answer{Status: h.status}
}

func (*heard) Echo(context.Context, *dimse.Association) dimse.Status { return dimse.StatusSuccess }

func (*heard) Store(context.Context, *dimse.Association, dimse.StoreRequest, io.Reader) dimse.Status {
	return dimse.StatusSOPClassNotSupported
}

// door is where it takes reports.
func door(t *testing.T, h *heard) string {
	t.Helper()
	s, err := dimse.NewServer(dimse.ServerConfig{Handler: h, CommitmentSCU: h, ImplementationClassUID: "2.25.1", ImplementationVersion: "TEST"})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(l) }()
	t.Cleanup(func() {
		s.Close()
		<-ended
	})
	return l.Addr().String()
}

// awaitCommitted waits for the answer to a report, which is on its way.
func (s *SCP) awaitCommitted(uid string) {
	for end := time.Now().Add(time.Minute); s.Committed()[uid] == 0 && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
}

func dial(t *testing.T, s *SCP) *dimse.Client {
	t.Helper()
	c, err := dimse.Dial(t.Context(), dimse.ClientConfig{Address: s.Address, Called: "VAULT", Calling: "HUBD", ImplementationClassUID: "2.25.1", ImplementationVersion: "TEST",
		Contexts: []dimse.Proposal{{AbstractSyntax: ctImage, TransferSyntaxes: []string{dimse.ImplicitVRLE}}, {AbstractSyntax: dimse.StorageCommitmentPush, TransferSyntaxes: []string{dimse.ImplicitVRLE}}}})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func ask(t *testing.T, c *dimse.Client, uids ...string) {
	t.Helper()
	rq := dimse.CommitmentRequest{TransactionUID: "2.25.9"}
	for _, uid := range uids {
		rq.References = append(rq.References, dimse.Reference{SOPClassUID: ctImage, SOPInstanceUID: uid})
	}
	if rsp, err := c.RequestCommitment(t.Context(), rq); err != nil || rsp.Status != dimse.StatusSuccess {
		t.Fatalf("%v %v", rsp, err)
	}
}

// The same bytes again are a repeat, other bytes are not; it commits itself to what it
// has, and counts who took that.
func TestTheArchiveCountsAndCommitsItselfToWhatItHas(t *testing.T) {
	s := NewSCP(t, Config{Commitment: true})
	c := dial(t, s)
	for _, x := range [][2]string{{"1", "aa"}, {"1", "aa"}, {"1", "bb"}, {"2", "cc"}} {
		rsp, err := c.Store(t.Context(), dimse.StoreRequest{SOPClassUID: ctImage, SOPInstanceUID: x[0], TransferSyntaxUID: dimse.ImplicitVRLE}, bytes.NewReader([]byte(x[1])))
		if err != nil || rsp.Status != dimse.StatusSuccess {
			t.Fatalf("%v %v", rsp, err)
		}
	}
	ask(t, c, "1", "3")
	hub := &heard{reports: make(chan dimse.CommitmentResult, 1)}
	if err := c.AwaitCommitment(t.Context(), hub); err != nil {
		t.Fatal(err)
	}
	if r := <-hub.reports; len(r.Committed) != 1 || len(r.Failed) != 1 || r.Failed[0].SOPInstanceUID != "3" {
		t.Errorf("%+v", r)
	}
	if err := c.Release(t.Context()); err != nil {
		t.Error(err)
	}
	s.awaitCommitted("1")
	want := Counts{Instances: 2, Repeats: 1, Other: 1, Asked: 2, NotHeld: 1}
	if got := s.Counts(); got != want || !s.Has("1", []byte("aa")) || s.Has("1", []byte("bb")) || !s.Said("1") || s.Said("3") || s.Committed()["1"] != 1 {
		t.Errorf("%+v, want %+v; committed %v", got, want, s.Committed())
	}
}

// Who is gone when the report comes gets it on another association, at the door that
// takes it.
func TestAReportGoesOnUntilSomebodyHasTakenIt(t *testing.T) {
	busy, hub := &heard{dimse.StatusProcessingFailure, make(chan dimse.CommitmentResult, 100)}, &heard{dimse.StatusSuccess, make(chan dimse.CommitmentResult, 1)}
	var doors []string
	for _, h := range []*heard{busy, hub} {
		doors = append(doors, door(t, h))
	}
	s := NewSCP(t, Config{Commitment: true, Title: "VAULT", Doors: doors})
	c := dial(t, s)
	s.keep("1", Digest{})
	ask(t, c, "1")
	c.Abort()
	if r := <-hub.reports; len(r.Committed) != 1 {
		t.Errorf("%+v", r)
	}
	s.awaitCommitted("1")
	if got := s.Counts(); got.Elsewhere != 1 || got.Refused != 0 || s.Committed()["1"] != 1 || len(busy.reports) == 0 {
		t.Errorf("%+v %v, %d at a door that takes none", got, s.Committed(), len(busy.reports))
	}
}
