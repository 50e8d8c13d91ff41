package commitment

import (
	"context"
	"fmt"
	"testing"
	"time"

	"edged/dimse"
)

// picky is a device whose software falls over some reports and takes others.
type picky struct {
	*device
	bad map[string]bool

	falls int // guarded by device.mu
}

func (p *picky) CommitmentReported(ctx context.Context, a *dimse.Association, r dimse.CommitmentResult) dimse.Answer {
	if p.bad[r.TransactionUID] {
		p.mu.Lock()
		p.falls++
		p.mu.Unlock()
		panic("this report is too much for it") // which aborts
	}
	return p.device.CommitmentReported(ctx, a, r)
}

// pickyDevice cannot stand the reports of some transactions.
func (w *world) pickyDevice(title string, bad ...string) *picky {
	p := &picky{device: w.device(title), bad: map[string]bool{}}
	for _, uid := range bad {
		p.bad[uid] = true
	}
	at, stop := serve(w.t, dimse.ServerConfig{Handler: p, CommitmentSCU: p, Observer: p})
	w.t.Cleanup(stop)
	p.move(at)
	return p
}

// A report that the device cannot stand holds up no other (P6): those are told
// soon, and it has pauses of its own until it is given up.
func TestReportThatTheDeviceCannotStandHoldsUpNoOther(t *testing.T) {
	for _, n := range []int{1, 7} {
		inWorld(t, nil, func(t *testing.T, w *world) {
			var uids []string
			for i := range 20 {
				uids = append(uids, fmt.Sprint("2.25.1000.", i))
			}
			p := w.pickyDevice("CT1", uids[:n]...)
			w.say(Committed, "2.25.1")
			at := p.at
			p.move(newPipes()) // first nobody is there, so that all is due at once
			for _, uid := range uids {
				if st := w.ask(p.device, ourTitle, uid, "2.25.1"); st != dimse.StatusSuccess {
					t.Fatal(st)
				}
			}
			time.Sleep(5 * time.Minute)
			p.move(at)
			time.Sleep(30 * time.Minute)
			if got := len(p.reports()); got != 20-n {
				t.Errorf("%d told, want %d", got, 20-n)
			}
			if lines := w.engine.Lines(); len(lines) != 1 || lines[0].Unreached != n || lines[0].Err == nil {
				t.Errorf("shown: %+v", lines)
			}
			time.Sleep(9 * 24 * time.Hour)
			if len(w.givenUp()) != n || p.falls > n*250 {
				t.Errorf("%d given up, after %d attempts", len(w.givenUp()), p.falls)
			}
		})
	}
}

// A device that takes no report at all is left alone after a few, and not called
// once for each.
func TestDeviceThatFailsEveryReportIsLeftAlone(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		var uids []string
		for i := range 100 {
			uids = append(uids, fmt.Sprint("2.25.1000.", i))
		}
		p := w.pickyDevice("CT1", uids...)
		w.say(Committed, "2.25.1")
		for _, uid := range uids {
			w.ask(p.device, ourTitle, uid, "2.25.1")
		}
		time.Sleep(24 * time.Hour)
		if p.falls < 20 || p.falls > 200 {
			t.Errorf("%d attempts in a day", p.falls)
		}
	})
}

// Changed hurries what is undecided and nothing else: a device that refuses has
// its pauses, however busy the archive is.
func TestChangedLeavesPausesAlone(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		d := w.device("CT1")
		for range 4000 {
			d.answers = append(d.answers, dimse.StatusProcessingFailure)
		}
		w.say(Wait, "2.25.1")
		w.ask(d, ourTitle, "2.25.100", "2.25.1")
		time.Sleep(10 * time.Second)
		w.say(Committed, "2.25.1")
		for range 3600 {
			time.Sleep(time.Second)
			w.engine.Changed()
		}
		if n := len(d.reports()); n < 3 || n > 10 { // 30 s, 1 min, 2 min...
			t.Errorf("%d reports in an hour", n)
		}
	})
}

// A device that has no address and leaves, as most do, is never too full to ask:
// the oldest of what there is no way to tell it gives way, and somebody hears.
func TestWhatThereIsNoWayToTellGivesWay(t *testing.T) {
	const most = 50
	setup := func(w *world) { w.cfg.MaxTransactions, w.cfg.MaxPending = most, most+10 }
	inWorld(t, setup, func(t *testing.T, w *world) {
		homeless, other, d := &device{t: t, title: "CT1"}, &device{t: t, title: "CT2"}, w.device("CT3")
		d.at.Close()
		w.say(Committed, "2.25.1")
		ask := func(d *device, uid string) {
			t.Helper()
			if st := w.ask(d, ourTitle, uid, "2.25.1"); st != dimse.StatusSuccess {
				t.Fatalf("%s of %s: %v", uid, d.title, st)
			}
			time.Sleep(10 * time.Minute)
		}
		ask(d, "2.25.3")
		for i := range 3 * most {
			ask(homeless, fmt.Sprint("2.25.1000.", i))
		}
		gone := w.givenUp()
		if len(gone) != 2*most || gone[0].UID != "2.25.1000.0" || w.cfg.Store.(*shelf).len() != most+1 {
			t.Errorf("%d gave way, %d are kept", len(gone), w.cfg.Store.(*shelf).len())
		}
		lines := w.engine.Lines()
		if len(lines) != 2 || lines[0].Unreached != most || lines[0].Err == nil || lines[1].Unreached != 1 {
			t.Errorf("shown: %+v", lines)
		}
		for i := range 20 { // more than all may have
			ask(other, fmt.Sprint("2.25.2000.", i))
		}
		if lines := w.engine.Lines(); lines[2].Calling != "CT3" || w.cfg.Store.(*shelf).len() != most+10 {
			t.Errorf("what can be told in time has given way: %+v", lines)
		}
	})
}

// A device without address hears of everything on the next association that it
// opens with commitment, if that stands long enough.
func TestWhatThereIsNoWayToTellIsToldOnTheNextAssociation(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		d := &device{t: t, title: "CT1", start: time.Now()}
		w.say(Committed, "2.25.1")
		for i := range 5 {
			w.ask(d, ourTitle, fmt.Sprint("2.25.1000.", i), "2.25.1")
		}
		time.Sleep(30 * time.Hour)
		w.restart()
		time.Sleep(time.Hour)
		c := w.open(d, ourTitle)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if err := c.AwaitCommitment(ctx, d); err != context.DeadlineExceeded { // none of it was asked on this one
			t.Error(err)
		}
		if n := len(d.reports()); n != 5 || w.cfg.Store.(*shelf).len() != 0 {
			t.Errorf("told of %d, %d are kept", n, w.cfg.Store.(*shelf).len())
		}
		c.Abort()
	})
}
