package uplink_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"edged/uplink"
	"edged/uplink/uplinktest"
	scripted "edged/uplink/uplinktest/liar"
	"edged/uplink/uplinktest/sim"
	"edged/uplink/wire"
)

// town is an appliance in simulated time and the nodes of its hub, the first of which
// is called "hub".
type town struct {
	t      *testing.T
	ca     *uplinktest.CA
	source *uplinktest.Source
	sky    *sim.Sky
	u      *uplink.Uplink
	ends   []func()
}

// inTown has the nodes do what scripts say, each on every connection to it; nil: it does not
// listen.
func inTown(t *testing.T, scripts map[string]func(*scripted.Conn), during func(*town)) {
	synctest.Test(t, func(t *testing.T) {
		w := &town{t: t, ca: uplinktest.NewCA(t), source: uplinktest.NewSource(), sky: sim.New(1, sim.Line{Delay: 5 * time.Millisecond, Rate: 100e6}, 20*time.Second)}
		var others []string
		for name, script := range scripts {
			if name != "hub" {
				others = append(others, name)
			}
			if hub := w.sky.Hub(name); script != nil {
				_, shut := liarOn(t, hub, w.ca, script)
				w.ends = append(w.ends, func() { hub.Kill(); shut() })
			}
		}
		u, stop := sickAppliance(t, w.ca, w.source, "tcp", w.sky, others...)
		w.u = u
		during(w)
		stop()
		for _, end := range w.ends {
			end()
		}
	})
}

// arrives waits until n objects are at the hub.
func (w *town) arrives(n int, within time.Duration) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), within)
	defer cancel()
	if err := w.source.Wait(ctx, func() bool { return w.source.Count(uplinktest.AtHub) >= n }); err != nil {
		w.t.Errorf("after %s %d of %d objects are at the hub: %+v", within, w.source.Count(uplinktest.AtHub), n, w.u.Status())
	}
}

// greeted is a script after Welcome.
func greeted(script func(*scripted.Conn)) func(*scripted.Conn) {
	return func(c *scripted.Conn) { c.Welcome(); script(c) }
}

// except takes all objects but one, of which it says that the bytes are damaged.
func except(poison *atomic.Pointer[uplinktest.Item]) func(*scripted.Conn) {
	return greeted(func(c *scripted.Conn) {
		for n := 0; len(c.Offers(n+1)) > n && c.Take(c.Offered[n]); n++ {
			if o := c.Offered[n]; o.ID == wire.ID(poison.Load().ID) {
				c.Trouble(wire.ProblemDigest, o.ID, 0)
			} else {
				c.Receipt(o)
			}
		}
	})
}

// TestAnObjectThatNeverMatchesHoldsUpNobody: of one object the hub finds another
// digest each time, though the copy here is good. It is one object, tried ever more rarely;
// the others of the centre do not wait for it.
func TestAnObjectThatNeverMatchesHoldsUpNobody(t *testing.T) {
	for name, others := range map[string]bool{"one hub": false, "and a node that is down": true} {
		t.Run(name, func(t *testing.T) {
			var poison atomic.Pointer[uplinktest.Item]
			nodes := map[string]func(*scripted.Conn){"hub": except(&poison)}
			if others {
				nodes["down"] = nil
			}
			inTown(t, nodes, func(w *town) {
				poison.Store(w.source.Add(0, 200_000, wire.Routine))
				for i := range 360 { // nothing for a minute, then one every ten seconds for an hour
					if i == 0 {
						time.Sleep(time.Minute)
					}
					w.source.Add(uint64(i+1), 200_000, wire.Urgent)
					w.arrives(i+1, 10*time.Second)
					time.Sleep(10 * time.Second)
				}
				if s := w.u.Status(); len(s.SetAside) != 0 || s.NotBelieved != 0 {
					t.Errorf("%+v", s)
				}
				w.source.With(func(*uplinktest.Source) {
					if n := len(poison.Load().Offsets); n < 10 || n > 40 { // each time it is sent, and read again
						t.Errorf("it was opened %d times in an hour", n)
					}
				})
			})
		})
	}
}

// TestOneMismatchAtEachNodeCondemnsNone: the first node finds one and goes away, the
// second one finds its first.
func TestOneMismatchAtEachNodeCondemnsNone(t *testing.T) {
	once := func(after func(*scripted.Conn)) func(*scripted.Conn) {
		var seen atomic.Int64
		return greeted(func(c *scripted.Conn) {
			for n := 0; len(c.Offers(n+1)) > n && c.Take(c.Offered[n]); n++ {
				if seen.Add(1) > 1 {
					c.Receipt(c.Offered[n])
					continue
				}
				c.Trouble(wire.ProblemDigest, c.Offered[n].ID, 0)
				after(c)
			}
		})
	}
	goes := func(c *scripted.Conn) {
		time.Sleep(500 * time.Millisecond) // the copy is read again
		c.HangUp(wire.ByeInternal)
	}
	inTown(t, map[string]func(*scripted.Conn){"hub": once(goes), "b": once(func(*scripted.Conn) {})}, func(w *town) {
		w.source.Add(1, 3000, wire.Routine)
		w.arrives(1, 15*time.Second)
		if s := w.u.Status(); !s.DoubtedAt.IsZero() {
			t.Errorf("doubted after one mismatch each: %+v", s)
		}
	})
}

// TestABadNodeIsLeftForAnotherOne: it refuses whatever is offered, or damages it. However
// few objects there are, they get to the other node within seconds, and none is given up.
func TestABadNodeIsLeftForAnotherOne(t *testing.T) {
	for name, bad := range map[string]func(*scripted.Conn){"refuses": greeted(refuseAll), "damages": greeted(damageAll)} {
		for _, objects := range []int{1, 2, 50} {
			t.Run(name, func(t *testing.T) {
				inTown(t, map[string]func(*scripted.Conn){"hub": bad, "good": well}, func(w *town) {
					for i := range objects {
						w.source.Add(uint64(i), 3000, wire.Routine)
					}
					w.arrives(objects, 10*time.Second)
					if s := w.u.Status(); s.Hub != "good" || s.DoubtedAt.IsZero() {
						t.Errorf("%+v", s)
					}
				})
			})
		}
	}
}

// TestWhatAllNodesRefuseIsNoReasonToRunAround: two nodes refuse two hundred objects, as
// is right. What else there is goes on meanwhile.
func TestWhatAllNodesRefuseIsNoReasonToRunAround(t *testing.T) {
	script := greeted(func(c *scripted.Conn) {
		for n := 0; len(c.Offers(n+1)) > n; n++ {
			if o := c.Offered[n]; o.Priority == wire.Backfill {
				c.Trouble(wire.ProblemOffer, o.ID, 0)
			} else if c.Take(o) {
				c.Receipt(o)
			}
		}
	})
	inTown(t, map[string]func(*scripted.Conn){"hub": script, "b": script}, func(w *town) {
		for i := range 200 {
			w.source.Add(uint64(i), 3000, wire.Backfill)
		}
		time.Sleep(time.Minute)
		for i := range 60 {
			w.source.Add(uint64(1000+i), 200_000, wire.Routine)
			w.arrives(i+1, 5*time.Second)
			time.Sleep(time.Minute)
		}
		if n := len(w.sky.Counts().Opened); n > 14 { // one in ten minutes, and what it begins with
			t.Errorf("%d connections in an hour", n)
		}
	})
}

// TestANodeThatWorksAgainIsNotShownAsSetAside: it lied once, was left alone for ten
// minutes and is in use again; that there was something stays to be seen.
func TestANodeThatWorksAgainIsNotShownAsSetAside(t *testing.T) {
	var lied atomic.Bool
	script := greeted(func(c *scripted.Conn) {
		for n := 0; len(c.Offers(n+1)) > n; n++ {
			if !lied.Swap(true) {
				c.Receipt(c.Offered[n])
				return
			}
			if c.Take(c.Offered[n]) {
				c.Receipt(c.Offered[n])
			}
		}
	})
	inTown(t, map[string]func(*scripted.Conn){"hub": script}, func(w *town) {
		w.source.Add(1, 3000, wire.Routine)
		began := time.Now()
		time.Sleep(9 * time.Minute)
		if s := w.u.Status(); len(s.SetAside) != 1 || s.Connected || s.DoubtedAt.Before(began) {
			t.Errorf("while it is left alone: %+v", s)
		}
		w.arrives(1, 2*time.Minute)
		if s := w.u.Status(); len(s.SetAside) != 0 || !s.Connected || s.DoubtedAt.IsZero() {
			t.Errorf("when it works again: %+v", s)
		}
	})
}

// TestACarriersLastErrorIsOfTheNodeInUse: why the connections to another node ended says
// nothing of this one.
func TestACarriersLastErrorIsOfTheNodeInUse(t *testing.T) {
	inTown(t, map[string]func(*scripted.Conn){"hub": func(c *scripted.Conn) { c.HangUp(wire.ByeInternal) }, "good": nil}, func(w *town) {
		time.Sleep(time.Minute)
		if s := w.u.Status(); s.Carriers[0].LastError == "" {
			t.Errorf("nothing is said of a node that hangs up: %+v", s)
		}
	})
	gone := greeted(func(c *scripted.Conn) { c.Offers(1); c.HangUp(wire.ByeInternal) })
	inTown(t, map[string]func(*scripted.Conn){"hub": gone, "good": well}, func(w *town) {
		w.source.Add(1, 3000, wire.Routine)
		w.arrives(1, time.Minute)
		if s := w.u.Status(); s.Hub != "good" || s.Carriers[0].LastError != "" {
			t.Errorf("%+v", s)
		}
	})
}

// TestWhatOneNodeNeverTakesGoesToTheOther: it takes everything else, so it is never
// long in the wrong; the one object is asked of the other node all the same.
func TestWhatOneNodeNeverTakesGoesToTheOther(t *testing.T) {
	var poison atomic.Pointer[uplinktest.Item]
	inTown(t, map[string]func(*scripted.Conn){"hub": except(&poison), "good": well}, func(w *town) {
		poison.Store(w.source.Add(0, 200_000, wire.Routine))
		for i := range 60 {
			w.source.Add(uint64(i+1), 200_000, wire.Routine)
			time.Sleep(time.Second)
		}
		w.arrives(61, 10*time.Second)
	})
}
