package receive_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"edged/hub"
	"edged/hub/receive"
	"edged/uplink/wire"
)

// gatedLedger writes rows when it is told to, and remembers whose each batch has.
type gatedLedger struct {
	*ledger
	gate chan struct{} // one for each batch; closed: all
	open func()        // closes it

	mu      sync.Mutex // guards what follows
	batches [][]string
	bad     string // whose rows fail
}

// newGated starts w with one.
func newGated(w *world, bad string) *gatedLedger {
	l := &gatedLedger{ledger: w.ledger, gate: make(chan struct{}), bad: bad}
	l.open = sync.OnceFunc(func() { close(l.gate) })
	w.change = func(c *receive.Config) { c.Ledger = l }
	w.start()
	w.t.Cleanup(l.open) // before the hub is waited for
	return l
}

func (l *gatedLedger) Receive(ctx context.Context, list []hub.Object) error {
	var who []string
	for _, o := range list {
		who = append(who, o.Device)
	}
	l.mu.Lock()
	l.batches = append(l.batches, who)
	bad := slices.Contains(who, l.bad)
	l.mu.Unlock()
	<-l.gate
	if bad {
		return errors.New("it was revoked")
	}
	return l.ledger.Receive(ctx, list)
}

func (l *gatedLedger) seen() [][]string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.batches)
}

// sends offers n small objects and all their bytes.
func (r *rude) sends(seed uint64, n, size int, priority uint8) {
	offer := &wire.Offer{}
	var bodies [][]byte
	for i := range n {
		o, data := wireObject(uint64(i+1), seed+uint64(i), size)
		o.Priority = priority
		offer.Objects, bodies = append(offer.Objects, o), append(bodies, data)
	}
	r.say(offer)
	have := 0
	for have < n {
		if f, ok := r.hear().(*wire.Have); ok {
			have += len(f.Answers)
		}
	}
	for i, b := range bodies {
		r.put(uint64(i+1), 0, b)
	}
}

// arrived is the bytes that a device's connections have brought.
func arrived(w *world, device string) (n int64) {
	for _, c := range w.server.Connections() {
		if c.Device == device {
			n += c.Bytes
		}
	}
	return n
}

// A hospital's four connections have a thousand objects that wait for their rows. The
// next batch has the clinic's one, and what is urgent is in a batch of its own at once.
func TestOneObjectDoesNotWaitBehindAThousandOfAnother(t *testing.T) {
	w := newWorld(t)
	w.carrier = "tcp"
	gated := newGated(w, "")
	for i := range 4 {
		hello(t, w.dial("hospital"), "data").sends(uint64(1000*i), 250, 1000, wire.Routine)
	}
	eventually(t, "the hospital's objects", func() bool { return arrived(w, "hospital") == 1000*1000 })
	eventually(t, "batches that wait for their rows", func() bool { return len(gated.seen()) >= 2 })
	before := 0
	eventually(t, "no more of them", func() bool {
		now := len(gated.seen())
		same := now == before
		before = now
		time.Sleep(100 * time.Millisecond)
		return same
	})
	clinic := hello(t, w.dial("clinic"), "data")
	clinic.sends(100_000, 1, 1000, wire.Routine)
	eventually(t, "the clinic's object", func() bool { return arrived(w, "clinic") == 1000 })
	gated.gate <- struct{}{} // one batch has its rows, and who wrote them takes the next
	eventually(t, "the next batch", func() bool { return len(gated.seen()) > before })
	if next := gated.seen()[before]; !slices.Contains(next, "clinic") || len(next) != receive.MaxBatch {
		t.Errorf("the next batch has %d objects, the clinic's is not among them: %t", len(next), !slices.Contains(next, "clinic"))
	}
	doctor := hello(t, w.dial("doctor"), "data")
	doctor.sends(200_000, 1, 1000, wire.Urgent)
	eventually(t, "the urgent one, though all wait", func() bool {
		return slices.ContainsFunc(gated.seen(), func(b []string) bool { return slices.Contains(b, "doctor") })
	})
	gated.open()
	if f, ok := clinic.hear().(*wire.Receipt); !ok || len(f.Receipts) != 1 {
		t.Errorf("the clinic hears %+v", f)
	}
}

// Rows of several appliances are written together. When that fails because of one, the
// others have their receipts and stay, and that one's connection ends.
func TestOneApplianceWhoseRowsFailEndsAlone(t *testing.T) {
	w := newWorld(t)
	w.carrier = "tcp"
	gated := newGated(w, "bad")
	first := hello(t, w.dial("first"), "data")
	first.sends(1, 2, 1000, wire.Routine) // the two committers have these in hand, perhaps together
	eventually(t, "a batch", func() bool { return len(gated.seen()) > 0 })
	second := hello(t, w.dial("first"), "data")
	second.sends(10, 2, 1000, wire.Routine)
	eventually(t, "both committers busy", func() bool { return len(gated.seen()) >= 2 })
	good, bad := hello(t, w.dial("good"), "data"), hello(t, w.dial("bad"), "data")
	good.sends(100, 3, 1000, wire.Routine)
	bad.sends(200, 3, 1000, wire.Routine)
	eventually(t, "the bytes", func() bool { return arrived(w, "good") == 3000 && arrived(w, "bad") == 3000 })
	gated.open()
	got := 0
	for got < 3 {
		if f, ok := good.hear().(*wire.Receipt); ok {
			got += len(f.Receipts)
		}
	}
	bad.closed(wire.ByeInternal)
	if !slices.ContainsFunc(gated.seen(), func(b []string) bool { return slices.Contains(b, "good") && slices.Contains(b, "bad") }) {
		t.Skip("no batch had both, so nothing was shown")
	}
	good.sends(300, 1, 1000, wire.Urgent) // it is still there
	if err := w.ledger.once(); err != nil {
		t.Error(err)
	}
}

// When all connections together have offered what the hub has room for, more is answered
// for a little later, and the few that each may always have go on, and so what is urgent.
func TestOffersOfAllAreBoundedAndMoreIsForLater(t *testing.T) {
	overBoth(t, func(t *testing.T, w *world) {
		w.start()
		w.server.SetOffers(0)
		r := hello(t, w.dial("one"), "data")
		const n = receive.FewOffers + 20
		offer := &wire.Offer{}
		for i := range n {
			o, _ := wireObject(uint64(i+1), uint64(i), 100)
			offer.Objects = append(offer.Objects, o)
		}
		r.say(offer)
		have, ok := r.hear().(*wire.Have)
		if !ok || len(have.Answers) != receive.FewOffers {
			t.Fatalf("%+v, want %d answers", have, receive.FewOffers)
		}
		again, ok := r.hear().(*wire.Again)
		if !ok || again.Reason != wire.AgainShort || len(again.IDs) != 20 || again.AfterMillis == 0 {
			t.Fatalf("%+v, want 20 for later", again)
		}
		urgent, _ := wireObject(n+1, n, 100)
		urgent.Priority = wire.Urgent
		r.say(&wire.Offer{Objects: []wire.Object{urgent}})
		if f, ok := r.hear().(*wire.Have); !ok || f.Answers[0].Number != urgent.Number {
			t.Errorf("what is urgent is answered by %+v", f)
		}
		_, data := wireObject(1, 0, 100)
		r.put(1, 0, data)
		if f, ok := r.hear().(*wire.Receipt); !ok {
			t.Errorf("heard %+v", f)
		}
		w.server.SetOffers(1 << 10)
		o, _ := wireObject(100, 5, 100)
		r.say(&wire.Offer{Objects: []wire.Object{o}})
		for {
			if f, ok := r.hear().(*wire.Have); ok && f.Answers[0].Number == 100 {
				break
			}
		}
	})
}

// One appliance more than the node may have is asked to come later; the others stay,
// with all their connections, and when one goes there is room.
func TestOneApplianceTooManyIsAskedToComeLater(t *testing.T) {
	overBoth(t, func(t *testing.T, w *world) {
		w.change = func(c *receive.Config) { c.MaxAppliances = 2 }
		w.start()
		one := hello(t, w.dial("one"), "data")
		hello(t, w.dial("two"), "data")
		hello(t, w.dial("two"), "data") // a second lane is no second appliance
		third := w.dial("three")
		third.greet("boot", "data")
		third.closed(wire.ByeBusy)
		if n := len(w.server.Connections()); n != 3 {
			t.Errorf("%d connections are there, want 3", n)
		}
		hello(t, w.dial("one"), "data") // four connections: twice the appliances
		fifth := w.dial("one")
		fifth.greet("boot", "data")
		fifth.closed(wire.ByeBusy)
		one.hangUp()
		eventually(t, "the end of one", func() bool { return len(w.server.Connections()) == 3 })
		hello(t, w.dial("two"), "data")
	})
}

// The rate holds for an appliance, not for a connection; what is urgent does not wait.
func TestTheRateOfAnApplianceHolds(t *testing.T) {
	for _, priority := range []uint8{wire.Routine, wire.Urgent} {
		t.Run(fmt.Sprint(priority), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const rate, size = 200_000, 500_000
				ca, server := bubbleServer(t, func(c *receive.Config) { c.Rate = rate })
				began := time.Now()
				var wg sync.WaitGroup
				for i := range 2 {
					r, ended := join(t, ca, server, "one")
					hello(t, r, "data")
					wg.Go(func() {
						o, data := wireObject(1, uint64(i), size)
						o.Priority = priority
						r.say(&wire.Offer{Objects: []wire.Object{o}})
						until[*wire.Have](r)
						for at := 0; at < size; at += 50_000 {
							r.put(1, int64(at), data[at:at+50_000])
						}
						until[*wire.Receipt](r)
						r.hangUp()
						<-ended
					})
				}
				wg.Wait()
				took, least := time.Since(began), time.Duration(2*size-rate)*time.Second/rate // but for the burst of a second
				if priority == wire.Routine && (took < least || took > 2*least) {
					t.Errorf("took %s, want about %s", took, least)
				}
				if priority == wire.Urgent && took > time.Second {
					t.Errorf("what is urgent took %s", took)
				}
			})
		})
	}
}
