package commitment

import (
	"errors"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"edged/dimse"
)

// Disaster 7: the report is offered in Implicit and in Explicit VR Little Endian,
// on a new association, in the SCP role, to a device that has left.
func TestDisaster07ReportInBothSyntaxesOnANewAssociation(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		d := w.device("CT1")
		w.say(Committed, "2.25.1", "2.25.2")
		if st := w.ask(d, ourTitle, "2.25.100", "2.25.1", "2.25.2"); st != dimse.StatusSuccess {
			t.Fatal(st)
		}
		time.Sleep(10 * time.Second)
		want := dimse.CommitmentResult{TransactionUID: "2.25.100", Committed: refs("2.25.1", "2.25.2")}
		if got := d.reports(); len(got) != 1 || !reflect.DeepEqual(got[0].CommitmentResult, want) {
			t.Fatalf("heard %+v", got)
		}
		rq := d.talks[0].Request
		if len(rq.Contexts) != 1 || !reflect.DeepEqual(rq.Contexts[0].TransferSyntaxes, []string{dimse.ImplicitVRLE, dimse.ExplicitVRLE}) {
			t.Errorf("proposed %+v", rq.Contexts)
		}
		if !reflect.DeepEqual(rq.User.Roles, []dimse.Role{{SOPClassUID: dimse.StorageCommitmentPush, SCP: true}}) {
			t.Errorf("roles %+v", rq.User.Roles)
		}
	})
}

// Disaster 20: who called PACS2 hears from PACS2, after a restart, too; a report
// that the device refuses is not dropped but said again.
func TestDisaster20CalledTitleIsReusedAndEveryReportIsAnswered(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		d := w.device("CT1")
		d.answers = []dimse.Status{dimse.StatusProcessingFailure, dimse.StatusProcessingFailure}
		w.say(Committed, "2.25.1")
		w.ask(d, "PACS1", "2.25.100", "2.25.1")
		w.ask(d, "PACS2", "2.25.200", "2.25.1")
		time.Sleep(10 * time.Second)
		w.restart()
		time.Sleep(10 * time.Second)
		said := map[string]string{}
		for _, r := range d.reports() {
			if last := said[r.TransactionUID]; last != "" && last != r.calling {
				t.Errorf("%s by %s and by %s", r.TransactionUID, last, r.calling)
			}
			said[r.TransactionUID] = r.calling
		}
		if !reflect.DeepEqual(said, map[string]string{"2.25.100": "PACS1", "2.25.200": "PACS2"}) {
			t.Errorf("said %v", said)
		}
		if n := len(d.reports()); n != 4 || w.cfg.Store.(*shelf).len() != 0 {
			t.Errorf("%d reports, %d still kept", n, w.cfg.Store.(*shelf).len())
		}
	})
}

// A device that keeps its association open hears there; nobody calls it.
func TestReportOnTheSameAssociation(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		d := w.device("CT1")
		c := w.open(d, ourTitle)
		w.say(Committed, "2.25.1")
		rq := dimse.CommitmentRequest{TransactionUID: "2.25.100", References: refs("2.25.1", "2.25.2", "2.25.1")}
		if _, err := c.RequestCommitment(t.Context(), rq); err != nil {
			t.Fatal(err)
		}
		if err := c.AwaitCommitment(t.Context(), d); err != nil {
			t.Fatal(err)
		}
		got := d.reports()
		want := dimse.CommitmentResult{TransactionUID: "2.25.100", Committed: refs("2.25.1"), Failed: failures(dimse.FailureNoSuchInstance, "2.25.2")}
		if len(got) != 1 || !reflect.DeepEqual(got[0].CommitmentResult, want) || got[0].alone || len(d.talks) != 0 {
			t.Errorf("heard %+v, called %d times", got, len(d.talks))
		}
		if got[0].after < 2*time.Minute || got[0].after > 3*time.Minute {
			t.Errorf("the unknown instance had %v to arrive, want Grace", got[0].after)
		}
		if err := c.Release(t.Context()); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if n := w.cfg.Store.(*shelf).len(); n != 0 {
			t.Errorf("%d kept after the answer", n)
		}
	})
}

// A device that is deaf on its own association is called, at once the next time;
// one that leaves while it is told is called, too.
func TestDeafDeviceIsCalled(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		d := w.device("CT1")
		w.say(Committed, "2.25.1")
		c := w.open(d, ourTitle) // and never reads
		rq := dimse.CommitmentRequest{TransactionUID: "2.25.100", References: refs("2.25.1")}
		if _, err := c.RequestCommitment(t.Context(), rq); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Minute)
		if got := d.reports(); len(got) != 1 || !got[0].alone {
			t.Errorf("heard %+v", got)
		}
		c.Abort()
		c = w.open(d, ourTitle)
		rq.TransactionUID = "2.25.200"
		if _, err := c.RequestCommitment(t.Context(), rq); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second) // we have learnt
		if got := d.reports(); len(got) != 2 || !got[1].alone {
			t.Errorf("heard %+v", got)
		}
		c.Abort()
	})
}

// An instance that is still arriving is waited for.
func TestGraceForWhatIsStillArriving(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		d := w.device("CT1")
		w.ask(d, ourTitle, "2.25.100", "2.25.1")
		time.Sleep(90 * time.Second)
		w.say(Committed, "2.25.1")
		time.Sleep(time.Minute)
		if got := d.reports(); len(got) != 1 || len(got[0].Committed) != 1 {
			t.Errorf("heard %+v", got)
		}
	})
}

// The result waits until everything is decided, and hears of it soon; when
// Patience is over, what is undecided has failed with 0110.
func TestPatience(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		d := w.device("CT1")
		w.say(Wait, "2.25.1", "2.25.2", "2.25.3")
		w.ask(d, ourTitle, "2.25.100", "2.25.1", "2.25.2")
		w.ask(d, ourTitle, "2.25.200", "2.25.3")
		time.Sleep(10 * time.Hour)
		w.say(Committed, "2.25.1", "2.25.2")
		w.engine.Changed()
		time.Sleep(3 * time.Second)
		if got := d.reports(); len(got) != 1 || got[0].TransactionUID != "2.25.100" || len(got[0].Committed) != 2 {
			t.Fatalf("heard %+v", got)
		}
		w.restart() // the age is kept
		time.Sleep(21 * time.Hour)
		got := d.reports()
		if len(got) != 2 || !reflect.DeepEqual(got[1].Failed, failures(dimse.FailureProcessing, "2.25.3")) {
			t.Fatalf("heard %+v", got)
		}
		if got[1].after < 24*time.Hour {
			t.Errorf("after %v", got[1].after)
		}
	})
}

// A device that is switched off is called for days, across restarts, less and
// less often; when it is back it hears.
func TestRetriesAcrossRestarts(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		d := w.device("CT1")
		d.at.Close()
		w.say(Committed, "2.25.1")
		w.ask(d, ourTitle, "2.25.100", "2.25.1")
		for range 3 {
			time.Sleep(36 * time.Hour)
			w.restart()
		}
		w.mu.Lock()
		if w.judged < 20 || w.judged > 200 {
			t.Errorf("%d attempts in 108 hours", w.judged)
		}
		w.mu.Unlock()
		d.listen()
		time.Sleep(75 * time.Minute)
		if got := d.reports(); len(got) != 1 || w.cfg.Store.(*shelf).len() != 0 {
			t.Errorf("heard %+v", got)
		}
	})
}

// After Patience and GiveUp it is given up, forgotten, and told.
func TestGivenUpAndTold(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		d := w.device("CT1")
		d.at.Close()
		w.say(Committed, "2.25.1")
		w.ask(d, ourTitle, "2.25.100", "2.25.1")
		time.Sleep(7 * 24 * time.Hour)
		if len(w.givenUp()) != 0 || len(w.engine.Lines()) != 1 || w.engine.Lines()[0].Err == nil {
			t.Fatalf("given up early: %+v, %+v", w.givenUp(), w.engine.Lines())
		}
		time.Sleep(30 * time.Hour)
		if gone := w.givenUp(); len(gone) != 1 || gone[0].UID != "2.25.100" || w.cfg.Store.(*shelf).len() != 0 || len(w.engine.Lines()) != 0 {
			t.Errorf("given up: %+v", gone)
		}
	})
}

// The same request again is the same transaction, and its result comes again;
// the same UID for other instances is refused.
func TestRepeatsAreIdempotent(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		d := w.device("CT1")
		w.say(Wait, "2.25.1", "2.25.2")
		for _, c := range []struct {
			uids []string
			want dimse.Status
		}{
			{[]string{"2.25.1", "2.25.2"}, dimse.StatusSuccess},
			{[]string{"2.25.2", "2.25.1", "2.25.2"}, dimse.StatusSuccess},
			{[]string{"2.25.1"}, dimse.StatusDuplicateTransaction},
		} {
			if st := w.ask(d, ourTitle, "2.25.100", c.uids...); st != c.want {
				t.Errorf("%v: %v, want %v", c.uids, st, c.want)
			}
		}
		if s := w.cfg.Store.(*shelf); s.len() != 1 || s.puts != 1 {
			t.Errorf("%d kept, %d puts", s.len(), s.puts)
		}
		w.say(Committed, "2.25.1", "2.25.2")
		time.Sleep(time.Minute)
		w.ask(d, ourTitle, "2.25.100", "2.25.1", "2.25.2") // it has not heard, it says
		time.Sleep(time.Minute)
		if got := d.reports(); len(got) != 2 || !reflect.DeepEqual(got[0].CommitmentResult, got[1].CommitmentResult) {
			t.Errorf("heard %+v", got)
		}
	})
}

// Another device may use the same Transaction UID (they are not always unique).
func TestTransactionsBelongToDevices(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		one, two := w.device("CT1"), w.device("CT2")
		w.say(Committed, "2.25.1", "2.25.2")
		w.ask(one, ourTitle, "2.25.100", "2.25.1")
		w.ask(two, ourTitle, "2.25.100", "2.25.2")
		time.Sleep(time.Minute)
		for i, d := range []*device{one, two} {
			if got := d.reports(); len(got) != 1 || got[0].Committed[0].SOPInstanceUID != []string{"2.25.1", "2.25.2"}[i] {
				t.Errorf("%s heard %+v", d.title, got)
			}
		}
	})
}

// What a device may have pending is bounded; a full store is a transient refusal,
// a broken one a failure; nothing of either is answered later.
func TestRefusals(t *testing.T) {
	setup := func(w *world) { w.cfg.MaxTransactions, w.cfg.MaxReferences, w.cfg.MaxPending = 2, 10, 3 }
	inWorld(t, setup, func(t *testing.T, w *world) {
		d, other := w.device("CT1"), w.device("CT2")
		s := w.cfg.Store.(*shelf)
		w.say(Wait, "1", "2", "3")
		for _, c := range []struct {
			d    *device
			fail error
			uid  string
			refs []string
			want dimse.Status
		}{
			{d, ErrFull, "2.25.1", []string{"1"}, dimse.StatusResourceLimitation},
			{d, errors.New("broken"), "2.25.1", []string{"1"}, dimse.StatusProcessingFailure},
			{d, nil, "2.25.2", []string{"1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11"}, dimse.StatusResourceLimitation},
			{d, nil, "2.25.3", []string{"1"}, dimse.StatusSuccess},
			{d, nil, "2.25.4", []string{"1"}, dimse.StatusSuccess},
			{d, nil, "2.25.5", []string{"1"}, dimse.StatusResourceLimitation},
			{other, nil, "2.25.6", []string{"1"}, dimse.StatusSuccess},
			{other, nil, "2.25.7", []string{"1"}, dimse.StatusResourceLimitation},
		} {
			s.fail = c.fail
			if st := w.ask(c.d, ourTitle, c.uid, c.refs...); st != c.want {
				t.Errorf("%s: %v, want %v", c.uid, st, c.want)
			}
		}
		if s.len() != 3 {
			t.Errorf("%d kept", s.len())
		}
	})
}

// An answered request that cannot be forgotten is reported again rather than
// believed to be forgotten.
func TestDropThatFails(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		d := w.device("CT1")
		s := w.cfg.Store.(*shelf)
		s.lazy = errors.New("broken")
		w.say(Committed, "2.25.1")
		w.ask(d, ourTitle, "2.25.100", "2.25.1")
		time.Sleep(10 * time.Minute)
		s.mu.Lock()
		s.lazy = nil
		s.mu.Unlock()
		time.Sleep(2 * time.Hour)
		if got := d.reports(); len(got) != 2 || s.len() != 0 {
			t.Errorf("%d reports, %d kept", len(got), s.len())
		}
	})
}

// Disaster 8: what waits for somebody else ends; a device that hangs delays its
// own results and nobody else's (P6), and shows.
func TestDisaster08DeviceThatHangsDelaysNobody(t *testing.T) {
	setup := func(w *world) { w.cfg.Parallel = 2 }
	inWorld(t, setup, func(t *testing.T, w *world) {
		dead, d := w.device("CT1"), w.device("CT2")
		dead.move(newPipes()) // nobody accepts: connecting hangs
		w.say(Committed, "2.25.1")
		w.ask(dead, ourTitle, "2.25.100", "2.25.1")
		time.Sleep(5 * time.Second)
		start := time.Now()
		w.ask(d, ourTitle, "2.25.200", "2.25.1")
		time.Sleep(5 * time.Second)
		if got := d.reports(); len(got) != 1 {
			t.Errorf("%v after the request: %+v", time.Since(start), got)
		}
		time.Sleep(time.Minute)
		if lines := w.engine.Lines(); len(lines) != 1 || lines[0].Calling != "CT1" || lines[0].Err == nil {
			t.Errorf("what is shown of the device: %+v", lines)
		}
	})
}

// Quirks: a device that wants only new associations, and one that has no address.
func TestSameOnlyAndNever(t *testing.T) {
	setup := func(w *world) {
		w.cfg.Same = func(calling string) Same { return map[string]Same{"CT1": SameNever, "CT2": SameOnly}[calling] }
	}
	inWorld(t, setup, func(t *testing.T, w *world) {
		w.say(Committed, "2.25.1")
		never, only := w.device("CT1"), w.device("CT2")
		for _, d := range []*device{never, only} {
			c := w.open(d, ourTitle)
			rq := dimse.CommitmentRequest{TransactionUID: "2.25.100", References: refs("2.25.1")}
			if _, err := c.RequestCommitment(t.Context(), rq); err != nil {
				t.Fatal(err)
			}
			if d == only {
				if err := c.AwaitCommitment(t.Context(), d); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(time.Minute)
			if got := d.reports(); len(got) != 1 || got[0].alone != (d == never) {
				t.Errorf("%s heard %+v", d.title, got)
			}
			c.Release(t.Context())
		}
		w.ask(only, ourTitle, "2.25.200", "2.25.1") // and leaves
		time.Sleep(24 * time.Hour)
		if len(only.reports()) != 1 || len(only.talks) != 0 {
			t.Errorf("called: %+v", only.talks)
		}
		c := w.open(only, ourTitle) // asks again
		if _, err := c.RequestCommitment(t.Context(), dimse.CommitmentRequest{TransactionUID: "2.25.200", References: refs("2.25.1")}); err != nil {
			t.Fatal(err)
		}
		if err := c.AwaitCommitment(t.Context(), only); err != nil {
			t.Fatal(err)
		}
		c.Release(t.Context())
	})
}
