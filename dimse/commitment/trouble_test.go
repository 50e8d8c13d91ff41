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
