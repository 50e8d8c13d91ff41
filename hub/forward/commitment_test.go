package forward

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"edged/dimse"
	"edged/hub"
	"edged/hub/ledger"
	"edged/internal/dicom"
)

// vault is an archive that commits itself: it keeps what it stores and notes what
// it is asked for. What it says is decided by a test.
type vault struct {
	*archive
	*testing.T
	kept    received
	reports string // where the hub takes reports; "": on the association that asked
	closing context.Context
	running sync.WaitGroup

	mu    sync.Mutex
	asked []dimse.CommitmentRequest
}

// newVault starts one; decide is called for each request, with how many there were
// before, on the association's goroutine.
func newVault(b *bench, decide func(v *vault, a *dimse.Association, n int, rq dimse.CommitmentRequest) dimse.Answer) (*vault, *CStore) {
	b.Helper()
	v := &vault{archive: &archive{}, T: b.T, reports: b.reports}
	var cancel context.CancelFunc
	v.closing, cancel = context.WithCancel(context.Background())
	v.store = v.kept.keep
	v.commit = func(a *dimse.Association, rq dimse.CommitmentRequest) dimse.Answer {
		v.mu.Lock()
		n := len(v.asked)
		v.asked = append(v.asked, rq)
		v.mu.Unlock()
		return decide(v, a, n, rq)
	}
	addr, _ := v.serve(b.T, "127.0.0.1:0")
	b.Cleanup(func() { // before the archive is stopped, which waits for its handlers
		cancel()
		v.running.Wait()
	})
	return v, committing(addr)
}

func committing(addr string) *CStore {
	return NewCStore(CStoreConfig{Name: "vna", Address: addr, Called: "ARCHIVE", Calling: "HUBD", Commitment: true, Await: 500 * time.Millisecond})
}

func newCommittingBench(t *testing.T, others ...string) *bench {
	b := newBench(t, append([]string{"vna"}, others...)...)
	b.config.Destinations[0].Confirm = "commitment"
	b.reopenLedger()
	return b
}

func (v *vault) requests() []dimse.CommitmentRequest {
	v.mu.Lock()
	defer v.mu.Unlock()
	return append([]dimse.CommitmentRequest(nil), v.asked...)
}

func all(rq dimse.CommitmentRequest) dimse.CommitmentResult {
	return dimse.CommitmentResult{TransactionUID: rq.TransactionUID, Committed: rq.References}
}

var success = dimse.Answer{Status: dimse.StatusSuccess}

// later reports beside the association's goroutine, when the answer is out.
func (v *vault) later(a *dimse.Association, r dimse.CommitmentResult) {
	v.running.Go(func() {
		if v.reports == "" {
			a.ReportCommitment(v.closing, r)
			return
		}
		v.report(r)
	})
}

// report does it on an association of the archive's own, and returns the answer.
func (v *vault) report(r dimse.CommitmentResult) dimse.Status {
	ctx, cancel := context.WithTimeout(v.closing, 20*time.Second)
	defer cancel()
	var c *dimse.Client
	for {
		var err error
		if c, err = dimse.Dial(ctx, dimse.ClientConfig{
			Address: v.reports, Called: "HUBD", Calling: "ARCHIVE", ImplementationClassUID: "2.25.1", ImplementationVersion: "TEST",
			Contexts: []dimse.Proposal{{AbstractSyntax: dimse.StorageCommitmentPush, TransferSyntaxes: []string{dimse.ImplicitVRLE}}},
			Roles:    []dimse.Role{{SOPClassUID: dimse.StorageCommitmentPush, SCP: true}},
		}); err == nil {
			break
		}
		if !wait(ctx, 20*time.Millisecond, nil) {
			return 0xFFFF
		}
	}
	defer c.Release(ctx)
	rsp, err := c.ReportCommitment(ctx, r)
	if err != nil {
		v.Logf("report: %v", err)
		return 0xFFFF
	}
	return rsp.Status
}

// eachWay runs a story with reports on the association that asked, and on one that
// the archive opens.
func eachWay(t *testing.T, story func(b *bench)) {
	for name, own := range map[string]bool{"on the association that asked": false, "on an association of the archive": true} {
		t.Run(name, func(t *testing.T) {
			b := newCommittingBench(t)
			if own {
				b.reports = fmt.Sprintf("127.0.0.1:%d", freePort(t))
			}
			story(b)
		})
	}
}

// P2: Success is not enough, the report is.
func TestOnlyTheReportMakesAnObjectArchived(t *testing.T) {
	eachWay(t, func(b *bench) {
		b.receive(small()...)
		var early atomic.Bool
		v, vna := newVault(b, func(v *vault, a *dimse.Association, _ int, rq dimse.CommitmentRequest) dimse.Answer {
			early.Store(early.Load() || b.stats().Archived > 0)
			v.later(a, all(rq))
			return success
		})
		total := len(b.data)
		b.run(b.archived(total), vna)
		v.kept.check(b)
		if len(v.kept.by) != total || early.Load() || len(v.requests()) != 1 {
			b.Errorf("%d stored, %d transactions, archived before the report: %v", len(v.kept.by), len(v.requests()), early.Load())
		}
		for _, r := range v.requests() {
			if len(r.References) != total || !strings.HasPrefix(r.TransactionUID, "2.25.") {
				b.Errorf("transaction %s of %d", r.TransactionUID, len(r.References))
			}
		}
	})
}

// The report may come while the hub stands still, and before the answer to the
// request: the transaction was durable before.
func TestAReportBeforeTheAnswerCounts(t *testing.T) {
	b := newCommittingBench(t)
	b.reports = fmt.Sprintf("127.0.0.1:%d", freePort(t))
	b.receive(small()[:3]...)
	var answered atomic.Bool // the hub must not stop between the row and its answer
	_, vna := newVault(b, func(v *vault, _ *dimse.Association, _ int, rq dimse.CommitmentRequest) dimse.Answer {
		if s := v.report(all(rq)); s != dimse.StatusSuccess {
			b.Errorf("the report is answered %v", s)
		}
		answered.Store(true)
		return success
	})
	b.run(func() bool { return answered.Load() && b.stats().Archived == 3 }, vna)
}

// What was stored and asked for before a restart is not asked for again, its
// report counts, once; and a repeated one is answered Success.
func TestAReportAfterARestartOfTheHubCounts(t *testing.T) {
	b := newCommittingBench(t)
	b.reports = fmt.Sprintf("127.0.0.1:%d", freePort(t))
	b.receive(small()[:3]...)
	v, vna := newVault(b, func(*vault, *dimse.Association, int, dimse.CommitmentRequest) dimse.Answer { return success })
	// Not before the answer is there: who is stopped in between asks again.
	b.run(func() bool { return b.said.has("storage commitment asked for") }, vna)
	if s := b.stats(); s.Archived != 0 || s.Backlog["vna"].Uncommitted != 3 {
		t.Fatalf("%+v", s)
	}
	b.reopenLedger()
	var first, again dimse.Status
	said := make(chan struct{})
	v.running.Go(func() {
		defer close(said)
		r := all(v.requests()[0])
		first, again = v.report(r), v.report(r)
	})
	b.run(func() bool { return b.stats().Archived == 3 && closed(said) }, vna)
	if first != dimse.StatusSuccess || again != dimse.StatusSuccess || len(v.requests()) != 1 {
		t.Errorf("answers %v %v, asked %d times", first, again, len(v.requests()))
	}
	if confirmed, err := b.ledger.Confirmations(t.Context(), "d", 0, 9); err != nil || len(confirmed) != 3 {
		t.Errorf("%d confirmations (%v)", len(confirmed), err)
	}
}

func closed(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// No report, or one that nobody got: another transaction asks again, and again.
func TestALostReportIsAskedForAgain(t *testing.T) {
	eachWay(t, func(b *bench) {
		b.commit = Backoff{50 * time.Millisecond, 100 * time.Millisecond}
		b.receive(small()[:3]...)
		v, vna := newVault(b, func(v *vault, a *dimse.Association, n int, rq dimse.CommitmentRequest) dimse.Answer {
			if n >= 2 {
				v.later(a, all(rq))
			}
			return success
		})
		b.run(b.archived(3), vna)
		uids := map[string]bool{}
		for _, rq := range v.requests() {
			uids[rq.TransactionUID] = true
		}
		if len(uids) < 3 || len(uids) != len(v.requests()) || len(v.kept.by) != 3 {
			b.Errorf("%d requests, %d transactions", len(v.requests()), len(uids))
		}
	})
}

// Of a transaction with failures the rest is archived; what the archive does not
// have after all is sent again, what it cannot say yet is asked for again, what it
// will never commit itself to is quarantined with its words.
func TestAPartialFailureSettlesEachObjectByItself(t *testing.T) {
	eachWay(t, func(b *bench) {
		b.commit = Backoff{20 * time.Millisecond, 40 * time.Millisecond}
		b.receive(small()[:5]...)
		var stores sync.Map
		v, vna := newVault(b, func(v *vault, a *dimse.Association, n int, rq dimse.CommitmentRequest) dimse.Answer {
			r := all(rq)
			if n == 0 {
				r.Committed = rq.References[3:]
				for i, reason := range []uint16{dimse.FailureNoSuchInstance, dimse.FailureResourceLimitation, dimse.FailureClassConflict} {
					r.Failed = append(r.Failed, dimse.FailedReference{Reference: rq.References[i], Reason: reason})
				}
			}
			v.later(a, r)
			return success
		})
		v.store = func(rq dimse.StoreRequest, data []byte) dimse.Status {
			n, _ := stores.LoadOrStore(rq.SOPInstanceUID, new(atomic.Int32))
			n.(*atomic.Int32).Add(1)
			return v.kept.keep(rq, data)
		}
		b.run(func() bool { s := b.stats(); return s.Archived == 4 && s.Backlog["vna"].Quarantined == 1 }, vna)
		first := v.requests()[0].References
		for i, want := range []int32{2, 1, 1, 1, 1} {
			n, _ := stores.Load(first[i].SOPInstanceUID)
			if got := n.(*atomic.Int32).Load(); got != want {
				b.Errorf("object %d was sent %d times, want %d", i, got, want)
			}
		}
		stuck, err := b.ledger.Stuck(b.Context(), 9)
		if err != nil || len(stuck) != 1 || !strings.Contains(stuck[0].Words, "0119") {
			b.Errorf("%+v %v", stuck, err)
		}
	})
}

// P6: an archive that takes requests and never reports, beside one that does not
// even answer them: the objects are stored, and another destination goes on.
func TestAnArchiveThatNeverReportsBlocksNobody(t *testing.T) {
	for name, answer := range map[string]func(v *vault, a *dimse.Association) dimse.Answer{
		"never reports": func(*vault, *dimse.Association) dimse.Answer { return success },
		"never answers": func(v *vault, _ *dimse.Association) dimse.Answer { <-v.closing.Done(); return success },
		"answers with a failure": func(*vault, *dimse.Association) dimse.Answer {
			return dimse.Answer{Status: dimse.StatusUnrecognizedOperation}
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newCommittingBench(t, "dir")
			b.commit = Backoff{10 * time.Millisecond, 20 * time.Millisecond}
			b.receive(small()...)
			total := int64(len(b.data))
			v, vna := newVault(b, func(v *vault, a *dimse.Association, _ int, _ dimse.CommitmentRequest) dimse.Answer {
				return answer(v, a)
			})
			dir := newDir(t, t.TempDir())
			dir.c.Name = "dir"
			stored := func() bool {
				s := b.stats().Backlog
				return s["dir"].Objects == 0 && s["vna"].Uncommitted == total
			}
			b.run(func() bool { return stored() && len(v.requests()) > 0 }, vna, dir)
			n := dicom.Names{TransferSyntax: "1.2.840.10008.1.2", SOPClass: "1.2.840.10008.5.1.4.1.1.7", SOPInstance: "2.25.99"}
			b.receiveBytes(hub.Object{Names: n, Length: 50, Study: "2.25.98", Device: "d"}, make([]byte, 50))
			total++
			b.run(func() bool {
				return stored() && (!strings.Contains(name, "failure") || strings.Contains(b.forwarder.Status()[0].Commitment, "0211"))
			}, vna, dir)
			if s := b.stats(); s.Archived != 0 || s.Backlog["vna"].Quarantined != 0 {
				t.Errorf("%+v", s)
			}
		})
	}
}

// Reports that lie archive nothing: of a transaction that nobody asked for, of
// instances that were not in it, of another class, of both at once.
func TestReportsThatLieArchiveNothing(t *testing.T) {
	b := newCommittingBench(t)
	b.reports = fmt.Sprintf("127.0.0.1:%d", freePort(t))
	b.receive(small()[:2]...)
	var answers []dimse.Status
	said := make(chan struct{})
	_, vna := newVault(b, func(v *vault, a *dimse.Association, _ int, rq dimse.CommitmentRequest) dimse.Answer {
		if len(rq.References) != 2 {
			b.Errorf("%d references", len(rq.References))
			return success
		}
		v.running.Go(func() {
			defer close(said)
			class := all(rq)
			class.Committed = []dimse.Reference{{SOPClassUID: "1.2.840.10008.5.1.4.1.1.88.11", SOPInstanceUID: rq.References[0].SOPInstanceUID}}
			both := all(rq)
			for _, r := range rq.References {
				both.Failed = append(both.Failed, dimse.FailedReference{Reference: r, Reason: dimse.FailureResourceLimitation})
			}
			for _, r := range []dimse.CommitmentResult{
				{TransactionUID: "2.25.1", Committed: rq.References},
				{TransactionUID: rq.TransactionUID, Committed: []dimse.Reference{{SOPClassUID: rq.References[0].SOPClassUID, SOPInstanceUID: "2.25.77"}}},
				class, both,
			} {
				answers = append(answers, v.report(r))
			}
		})
		return success
	})
	b.run(func() bool { return closed(said) }, vna)
	if s := b.stats(); s.Archived != 0 || s.Backlog["vna"].Uncommitted != 2 {
		t.Errorf("archived by a lie: %+v", s)
	}
	if got, want := fmt.Sprint(answers), fmt.Sprint([]dimse.Status{dimse.StatusInvalidArgument, 0, 0, 0}); got != want {
		t.Errorf("answers %s, want %s", got, want)
	}
}

// Who is another archive does not answer for this one, whatever it knows.
func TestAReportOfAnotherArchiveIsUnknown(t *testing.T) {
	b := newCommittingBench(t, "other")
	b.config.Destinations[1].Confirm = "commitment"
	b.reports = fmt.Sprintf("127.0.0.1:%d", freePort(t))
	var answer dimse.Status
	said := make(chan struct{})
	_, vna := newVault(b, func(v *vault, a *dimse.Association, n int, rq dimse.CommitmentRequest) dimse.Answer {
		if n == 0 {
			v.running.Go(func() {
				defer close(said)
				answer = v.report(all(rq)) // calls itself ARCHIVE, which is the other one's title
			})
		}
		return success
	})
	vna.c.Called = "SOMEBODY"
	other := NewCStore(CStoreConfig{Name: "other", Address: "127.0.0.1:1", Called: "ARCHIVE", Calling: "HUBD", Commitment: true})
	b.receive(small()[:2]...)
	b.run(func() bool { return closed(said) }, vna, other)
	if s := b.stats(); answer != dimse.StatusInvalidArgument || s.Archived != 0 || s.Backlog["vna"].Uncommitted != 2 {
		t.Errorf("%+v, the answer was %v", s, answer)
	}
}

// Never silently back to success: where it is not offered nothing is archived, and
// that is said; when it is offered, what was stored meanwhile is asked for.
func TestCommitmentNotOfferedIsSaidAndArchivesNothing(t *testing.T) {
	b := newCommittingBench(t)
	b.receive(small()...)
	total := len(b.data)
	var kept received
	plain := &archive{store: kept.keep}
	addr, stop := plain.serve(t, fmt.Sprintf("127.0.0.1:%d", freePort(t)))
	f := b.run(func() bool {
		return b.stats().Backlog["vna"].Uncommitted == int64(total) && b.forwarder.Status()[0].Commitment != ""
	}, committing(addr))
	if s := f.Status()[0]; b.stats().Archived != 0 || !strings.Contains(s.Commitment, "does not offer storage commitment") || s.Error != "" {
		t.Errorf("%+v", s)
	}
	stop()
	plain.commit = func(a *dimse.Association, rq dimse.CommitmentRequest) dimse.Answer {
		go a.ReportCommitment(context.Background(), all(rq)) // ends with the archive
		return success
	}
	plain.serve(t, addr)
	f = b.run(b.archived(total), committing(addr))
	if s := f.Status()[0]; s.Commitment != "" {
		t.Errorf("%+v", s)
	}
}

// P6: one reference that the archive cannot stand delays itself alone.
func TestAReferenceThatKillsTheRequestWaitsAlone(t *testing.T) {
	b := newCommittingBench(t)
	instances := small()
	b.receive(instances...)
	poison := instances[2].Names.SOPInstance
	_, vna := newVault(b, func(v *vault, a *dimse.Association, _ int, rq dimse.CommitmentRequest) dimse.Answer {
		for _, r := range rq.References {
			if r.SOPInstanceUID == poison {
				panic("the archive crashes on this one")
			}
		}
		v.later(a, all(rq))
		return success
	})
	b.run(b.archived(len(instances)-1), vna)
}

// P5: a commitment never confirms a UID with other contents, however the archive
// answers; see the ledger for what an administrator can do.
func TestACommitmentOfAConflictingUIDConfirmsNothing(t *testing.T) {
	eachWay(t, func(b *bench) {
		n := dicom.Names{TransferSyntax: "1.2.840.10008.1.2", SOPClass: "1.2.840.10008.5.1.4.1.1.7", SOPInstance: "2.25.99"}
		o := hub.Object{Names: n, Length: 500, Study: "2.25.98", Device: "d"}
		b.receiveBytes(o, make([]byte, 500))
		other := make([]byte, 500)
		other[400] = 7
		var once sync.Once
		_, vna := newVault(b, func(v *vault, a *dimse.Association, _ int, rq dimse.CommitmentRequest) dimse.Answer {
			once.Do(func() { // between the request and the report
				if err := b.ledger.Release(context.Background(), b.receiveBytes(o, other), "admin"); err != nil {
					b.Error(err)
				}
			})
			v.later(a, all(rq))
			return success
		})
		b.run(func() bool { return b.stats().Backlog["vna"].Unconfirmed == 2 }, vna)
		if s := b.stats(); s.Archived != 0 {
			b.Errorf("%+v", s)
		}
	})
}

// With a full queue a transaction has so many references, and none is left out.
func TestATransactionIsBounded(t *testing.T) {
	b := newCommittingBench(t)
	v, vna := newVault(b, func(v *vault, a *dimse.Association, _ int, rq dimse.CommitmentRequest) dimse.Answer {
		v.later(a, all(rq))
		return success
	})
	vna.c.References = 3
	b.receive(small()[:8]...)
	jobs, err := b.ledger.Lease(t.Context(), "vna", 8, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	for _, j := range jobs {
		if err := b.ledger.Stored(t.Context(), j, ""); err != nil {
			t.Fatal(err)
		}
	}
	b.run(b.archived(8), vna)
	var sizes []int
	for _, rq := range v.requests() {
		sizes = append(sizes, len(rq.References))
	}
	if fmt.Sprint(sizes) != "[3 3 2]" {
		t.Errorf("transactions of %v", sizes)
	}
}

var _ Commitments = (*ledger.Ledger)(nil)

// Of two archives with one title only the one that is at that address may report.
func TestAReportCountsForTheArchiveAtThatAddress(t *testing.T) {
	from := func(ip string) dimse.Peer {
		return dimse.Peer{Calling: "ARCHIVE", Addr: &net.TCPAddr{IP: net.ParseIP(ip), Port: 40000}}
	}
	for _, c := range []struct {
		address, from string
		want          bool
	}{
		{"10.0.0.1:104", "10.0.0.1", true},
		{"10.0.0.1:104", "::ffff:10.0.0.1", true},
		{"10.0.0.1:104", "10.0.0.2", false},
		{"[fd00::1]:104", "fd00::1", true},
		{"[fd00::1]:104", "fd00::2", false},
		{"archive.example:104", "10.0.0.2", true},
	} {
		a := &committer{d: committing(c.address)}
		if got := a.mayReport(from(c.from)); got != c.want {
			t.Errorf("the archive at %s, a report from %s: %t, want %t", c.address, c.from, got, c.want)
		}
		if stranger := from(c.from); c.want {
			if stranger.Calling = "OTHER"; a.mayReport(stranger) {
				t.Errorf("%s reports in the name of %s", stranger.Calling, c.address)
			}
		}
	}
}
