package commitment

import (
	"context"
	"fmt"
	"io"
	"net"
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

func (p *picky) fallen() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.falls
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
			if len(w.givenUp()) != n || p.fallen() > n*250 {
				t.Errorf("%d given up, after %d attempts", len(w.givenUp()), p.fallen())
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
		if n := p.fallen(); n < 20 || n > 200 {
			t.Errorf("%d attempts in a day", n)
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

// slow is an appliance that takes its time over an image.
type slow struct {
	*device
	takes time.Duration
}

func (s slow) Store(_ context.Context, _ *dimse.Association, _ dimse.StoreRequest, r io.Reader) dimse.Status {
	io.Copy(io.Discard, r)
	time.Sleep(s.takes)
	return dimse.StatusSuccess
}

// busy opens an association to an appliance with a slow handler; use keeps it busy.
func (w *world) busy(d *device, called string, takes time.Duration) (c *dimse.Client, use func() error) {
	at, stop := serve(w.t, dimse.ServerConfig{Handler: slow{&device{}, takes}, Commitment: w.engine})
	w.t.Cleanup(stop)
	c, err := dimse.Dial(w.t.Context(), dimse.ClientConfig{
		Address: "edged", DialContext: at.dial, Called: called, Calling: d.title, Response: 24 * time.Hour,
		ImplementationClassUID: "2.25.2", ImplementationVersion: "DEVICE",
		Contexts: []dimse.Proposal{{AbstractSyntax: dimse.StorageCommitmentPush, TransferSyntaxes: []string{dimse.ImplicitVRLE}},
			{AbstractSyntax: ct, TransferSyntaxes: []string{dimse.ImplicitVRLE}}},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return c, func() error {
		_, err := c.Store(w.t.Context(), dimse.StoreRequest{SOPClassUID: ct, SOPInstanceUID: "2.25.7", TransferSyntaxUID: dimse.ImplicitVRLE}, io.LimitReader(zeros{}, 1000))
		return err
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func (w *world) mustRequest(c *dimse.Client, transaction string, uids ...string) {
	w.t.Helper()
	rsp, err := c.RequestCommitment(w.t.Context(), dimse.CommitmentRequest{TransactionUID: transaction, References: refs(uids...)})
	if err != nil || !rsp.Status.IsSuccess() {
		w.t.Fatal(rsp.Status, err)
	}
}

// An association that is busy is waited for where there is no other way, however
// long it takes.
func TestBusyAssociationIsWaitedForWhereThereIsNoOtherWay(t *testing.T) {
	for _, takes := range []time.Duration{70 * time.Second, 3 * time.Hour} {
		inWorld(t, nil, func(t *testing.T, w *world) {
			d := &device{t: t, title: "CT1", start: time.Now()}
			w.say(Committed, "2.25.1")
			c, use := w.busy(d, ourTitle, takes)
			w.mustRequest(c, "2.25.100", "2.25.1")
			if err := use(); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			if err := c.AwaitCommitment(ctx, d); err != nil || len(d.reports()) != 1 {
				t.Errorf("busy for %v: %v", takes, err)
			}
			c.Abort()
		})
	}
}

// Devices whose associations are busy take no slot from others, nor does one that
// calls us by many names.
func TestBusyAssociationsHoldUpNoOtherDevice(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		w.say(Committed, "2.25.1")
		for n := range 12 {
			d := &device{t: t, title: fmt.Sprint("BAD", n%3)}
			c, use := w.busy(d, fmt.Sprint("T", n), 10*time.Hour)
			for i := range 70 { // more than an association takes errands
				w.mustRequest(c, fmt.Sprintf("2.25.%d.%d", n+10, i), "2.25.1")
			}
			go use() // ends with its server
		}
		time.Sleep(5 * time.Second)
		d := w.device("CT1")
		w.ask(d, ourTitle, "2.25.100", "2.25.1")
		time.Sleep(5 * time.Second)
		if len(d.reports()) != 1 {
			t.Error("delayed by devices that it has nothing to do with")
		}
	})
}

// A device that asks again while it is called in vain is told on the association
// where it asks, and does not wait for the next call.
func TestAskedAgainDuringACallInVain(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		d := w.device("CT1")
		d.move(newPipes()) // nobody accepts: a call takes half a minute
		w.say(Committed, "2.25.1")
		w.ask(d, ourTitle, "2.25.100", "2.25.1")
		time.Sleep(6 * time.Hour) // the pauses are long by now
		calling := func() bool {
			w.engine.mu.Lock()
			defer w.engine.mu.Unlock()
			return w.engine.book.serving["CT1"]
		}
		for range 5000 {
			if calling() {
				break
			}
			time.Sleep(2 * time.Second)
		}
		if !calling() {
			t.Fatal("it is not called any more")
		}
		c := w.open(d, ourTitle)
		w.mustRequest(c, "2.25.100", "2.25.1")
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := c.AwaitCommitment(ctx, d); err != nil {
			t.Error("not told:", err)
		}
		c.Abort()
	})
}

// A device that hangs up over a report on its own association is told on a new
// one, and at once the next time.
func TestDeviceThatHangsUpIsCalled(t *testing.T) {
	inWorld(t, nil, func(t *testing.T, w *world) {
		d := w.device("CT1")
		w.say(Committed, "2.25.1")
		for i, uid := range []string{"2.25.100", "2.25.200"} {
			conns := &hangUp{}
			at := w.at
			c, err := dimse.Dial(t.Context(), dimse.ClientConfig{
				Address: "edged", Called: ourTitle, Calling: "CT1", ImplementationClassUID: "2.25.2", ImplementationVersion: "DEVICE",
				DialContext: conns.through(at),
				Contexts:    []dimse.Proposal{{AbstractSyntax: dimse.StorageCommitmentPush, TransferSyntaxes: []string{dimse.ImplicitVRLE}}},
			})
			if err != nil {
				t.Fatal(err)
			}
			w.mustRequest(c, uid, "2.25.1")
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			c.AwaitCommitment(ctx, hanger{conns}) // hangs up over it
			cancel()
			time.Sleep(10 * time.Second)
			if got := d.reports(); len(got) != i+1 || !got[i].alone {
				t.Errorf("heard %+v", got)
			}
			if conns.hung != (i == 0) {
				t.Errorf("round %d: told on its own association %v", i, conns.hung)
			}
			c.Abort()
		}
	})
}

// hangUp is a connection that can be cut off by who reads from it.
type hangUp struct {
	conn net.Conn
	hung bool
}

func (h *hangUp) through(at *pipes) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (conn net.Conn, err error) {
		h.conn, err = at.dial(ctx, network, address)
		return h.conn, err
	}
}

type hanger struct{ *hangUp }

func (h hanger) CommitmentReported(context.Context, *dimse.Association, dimse.CommitmentResult) dimse.Answer {
	h.hung = true
	h.conn.Close()
	return dimse.Answer{}
}
