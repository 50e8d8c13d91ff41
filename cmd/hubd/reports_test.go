package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"edged/dimse"
	"edged/uplink"
	"edged/uplink/uplinktest"
)

// committer is an archive that commits itself when a test lets it.
type committer struct {
	mu     sync.Mutex
	stored int
	asked  []dimse.CommitmentRequest
}

func (*committer) Echo(context.Context, *dimse.Association) dimse.Status { return dimse.StatusSuccess }

func (c *committer) Store(_ context.Context, _ *dimse.Association, _ dimse.StoreRequest, data io.Reader) dimse.Status {
	if _, err := io.Copy(io.Discard, data); err != nil {
		return dimse.StatusProcessingFailure
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stored++
	return dimse.StatusSuccess
}

func (c *committer) RequestCommitment(_ context.Context, _ *dimse.Association, rq dimse.CommitmentRequest) dimse.Answer {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked = append(c.asked, rq)
	return dimse.Answer{}
}

func (c *committer) references() (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, rq := range c.asked {
		n += len(rq.References)
	}
	return n
}

func (c *committer) serve(t *testing.T) string { return serveDICOMArchive(t, c, c) }

// serveDICOMArchive returns where it listens.
func serveDICOMArchive(t *testing.T, h dimse.Handler, c dimse.CommitmentSCP) string {
	t.Helper()
	s, err := dimse.NewServer(dimse.ServerConfig{Handler: h, Commitment: c, ImplementationClassUID: "2.25.1", ImplementationVersion: "TEST"})
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

// reporting opens an association as an archive does that reports.
func reporting(t *testing.T, door, calling, called string) (*dimse.Client, error) {
	t.Helper()
	return dimse.Dial(t.Context(), dimse.ClientConfig{
		Address: door, Called: called, Calling: calling, ImplementationClassUID: "2.25.1", ImplementationVersion: "TEST",
		Contexts: []dimse.Proposal{
			{AbstractSyntax: dimse.StorageCommitmentPush, TransferSyntaxes: []string{dimse.ImplicitVRLE}},
			{AbstractSyntax: dimse.Verification, TransferSyntaxes: []string{dimse.ImplicitVRLE}},
			{AbstractSyntax: "1.2.840.10008.5.1.4.1.1.2", TransferSyntaxes: []string{dimse.ImplicitVRLE}},
			{AbstractSyntax: dimse.StudyRootFind, TransferSyntaxes: []string{dimse.ImplicitVRLE}},
		},
		Roles: []dimse.Role{{SOPClassUID: dimse.StorageCommitmentPush, SCP: true}},
	})
}

// committed is a hub whose archive is asked for commitment, and reports at door.
func committed(t *testing.T, archive string) (s *site, door string) {
	t.Helper()
	door = freeAddress(t)
	s = newSite(t)
	s.only = fmt.Sprintf("dicom: {listen: '%s', ae_title: HUB}\n"+
		"destinations:\n- {name: vna, type: cstore, address: '%s', ae_title: VNA, calling: HUBSCU, confirm: commitment}\n", door, archive)
	s.configure()
	return s, door
}

// P2, with the whole program: an appliance hears "archived" only after the
// archive's report, also when the hub was killed in between.
func TestTheApplianceHearsArchivedOnlyAfterTheReport(t *testing.T) {
	archive := &committer{}
	s, door := committed(t, archive.serve(t))
	p := s.start()
	source := uplinktest.NewSource()
	const objects = 10
	for n := range objects {
		source.Add(uint64(n), 5000, 1)
	}
	reported := false
	s.uplink(s.enrol(), source, func(*uplink.Uplink) bool {
		if archive.references() < objects {
			return false
		}
		if !reported {
			reported = true
			if n := source.Count(uplinktest.Archived); n != 0 {
				t.Errorf("%d archived without a report", n)
			}
			if st := s.status(p); st.Counters.Uncommitted != objects || st.Counters.Archived != 0 || st.State != "ok" {
				t.Errorf("status %+v", st)
			}
			p.kill()
			p = s.start()
			archive.report(t, door)
		}
		return source.Count(uplinktest.Archived) == objects
	})
	if st := s.status(p); st.Counters.Archived != objects || st.Counters.Uncommitted != 0 || archive.stored != objects {
		t.Errorf("%d stored, status %+v", archive.stored, st)
	}
	if code := p.stop(t); code != exitDone {
		t.Errorf("exit %d", code)
	}
}

// report commits to all that was asked for.
func (c *committer) report(t *testing.T, door string) {
	t.Helper()
	client, err := reporting(t, door, "VNA", "HUBSCU")
	if err != nil {
		t.Fatal(err)
	}
	defer client.Release(t.Context())
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, rq := range c.asked {
		rsp, err := client.ReportCommitment(t.Context(), dimse.CommitmentResult{TransactionUID: rq.TransactionUID, Committed: rq.References})
		if err != nil || !rsp.Status.IsSuccess() {
			t.Errorf("the report is answered %v %v", rsp.Status, err)
		}
	}
}

// P11: the door is for archives that are asked for commitment, and for nothing else.
func TestTheDoorForReportsIsForArchivesAlone(t *testing.T) {
	s, door := committed(t, "127.0.0.1:1")
	s.start()
	var reject dimse.Reject
	for _, x := range [][2]string{{"CT1", "HUB"}, {"vna", "HUB"}, {"VNA", "OTHER"}} {
		if _, err := reporting(t, door, x[0], x[1]); !errors.As(err, &reject) {
			t.Errorf("%s to %s: %v", x[0], x[1], err)
		}
	}
	c, err := reporting(t, door, "VNA", "HUB")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Release(t.Context())
	if rsp, err := c.Echo(t.Context()); err != nil || !rsp.Status.IsSuccess() {
		t.Errorf("C-ECHO: %v %v", rsp, err)
	}
	if n := len(c.Contexts()); n != 2 {
		t.Errorf("%d contexts accepted, want commitment and verification: %+v", n, c.Contexts())
	}
	rsp, err := c.ReportCommitment(t.Context(), dimse.CommitmentResult{TransactionUID: "2.25.1", Committed: []dimse.Reference{{SOPClassUID: "1.2", SOPInstanceUID: "1.3"}}})
	if err != nil || rsp.Status != dimse.StatusInvalidArgument {
		t.Errorf("a transaction that nobody asked for: %v %v", rsp, err)
	}
}

func TestOnlyTheAddressOfAnArchiveIsAdmitted(t *testing.T) {
	c := Default()
	c.Destinations = []Destination{
		{AETitle: "IP", Address: "10.0.0.5:104", Confirm: "commitment"}, {AETitle: "V6", Address: "[2001:db8::5]:104", Confirm: "commitment"},
		{AETitle: "NAME", Address: "vna.example.org:104", Confirm: "commitment"}, {AETitle: "PLAIN", Address: "10.0.0.5:104", Confirm: "success"},
	}
	for _, x := range []struct {
		title, from string
		admitted    bool
	}{
		{"IP", "10.0.0.5", true}, {"IP", "::ffff:10.0.0.5", true}, {"IP", "10.0.0.6", false}, {"V6", "2001:db8:0::5", true}, {"V6", "2001:db8::6", false},
		{"NAME", "192.0.2.1", true}, {"PLAIN", "10.0.0.5", false}, {"", "10.0.0.5", false},
	} {
		got := c.admitReporter(dimse.Peer{Calling: x.title, Addr: &net.TCPAddr{IP: net.ParseIP(x.from), Port: 5}}) == nil
		if got != x.admitted {
			t.Errorf("%s from %s: admitted %v", x.title, x.from, got)
		}
	}
}

// The console says what is not archived and why.
func TestTheConsoleSaysThatCommitmentIsNotOffered(t *testing.T) {
	for want, d := range map[string]DestinationStatus{
		"destination vna: the archive does not offer":                    {Name: "vna", CommitmentError: "the archive does not offer storage commitment"},
		"it has stored 7 objects that it does not commit itself to":      {Name: "vna", Uncommitted: 7, WaitedSeconds: (3 * time.Hour).Seconds()},
		"3 objects share a SOP Instance UID with other contents, so tha": {Name: "vna", Unconfirmed: 3},
	} {
		words := d.commitmentWords()
		if len(words) != 1 || !strings.Contains(words[0], want) {
			t.Errorf("got %q, want %q", words, want)
		}
		if state := stateOf(Status{Destinations: []DestinationStatus{d}, Counters: Counters{Unconfirmed: d.Unconfirmed}}, false); state != "attention" {
			t.Errorf("%q: state %s", want, state)
		}
	}
	if words := (DestinationStatus{Name: "vna", Uncommitted: 7, WaitedSeconds: 60}).commitmentWords(); len(words) != 0 {
		t.Errorf("within the time that archives take: %q", words)
	}
}
