package receive_test

import (
	"testing"
	"testing/synctest"
	"time"

	"edged/hub/receive"
	"edged/uplink/wire"
)

// asks is the question of an appliance behind a proxy, with the hub's answer.
func (r *rude) asks() {
	r.t.Helper()
	r.say(&wire.Probe{Body: []byte{0}})
	if f, ok := r.hear().(*wire.Echo); !ok || f.Number != 0 {
		r.t.Fatalf("answered by %+v", f)
	}
}

// TestAnApplianceThatCeasedToAskIsDropped: behind a proxy that keeps its end open,
// nothing but silence tells that the appliance is dead, and its session would keep the
// same identity out of the hub for ever.
func TestAnApplianceThatCeasedToAskIsDropped(t *testing.T) {
	for name, said := range map[string][]byte{
		"between two frames": nil,
		"in a frame":         encoded(&wire.Put{Number: 1, Body: make([]byte, 1000)})[:500],
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server, r, ended := bubble(t, nil)
				hello(t, r, "data")
				r.asks()
				r.out.Write(said)
				began := time.Now()
				defer time.AfterFunc(10*time.Minute, r.hangUp).Stop() // if it is not dropped
				r.closed(wire.ByeDone)
				r.hangUp()
				<-ended
				if took := time.Since(began); took < 60*time.Second || took > 62*time.Second {
					t.Errorf("dropped after %s", took)
				}
				if len(server.Connections()) > 0 {
					t.Error("it is still listed")
				}
			})
		})
	}
}

// TestWhoIsAliveIsKept, for an hour, however little it says.
func TestWhoIsAliveIsKept(t *testing.T) {
	for name, live := range map[string]func(*rude){
		"no proxy, nothing to say": func(*rude) { <-time.After(time.Hour) },
		"no proxy, after a test of the line": func(r *rude) {
			r.say(&wire.Probe{Number: 1, Body: []byte{0}})
			r.hear()
			<-time.After(time.Hour)
		},
		"a proxy, asking": func(r *rude) {
			for range 80 {
				r.asks()
				<-time.After(45 * time.Second)
			}
		},
		"a proxy, a frame in small pieces": func(r *rude) {
			r.asks()
			for _, b := range encoded(&wire.Probe{Number: 0, Body: make([]byte, 60)}) {
				<-time.After(50 * time.Second)
				r.out.Write([]byte{b})
			}
			r.hear()
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server, r, ended := bubble(t, nil)
				hello(t, r, "data")
				live(r)
				if len(server.Connections()) != 1 {
					t.Error("dropped")
				}
				r.asks()
				r.hangUp()
				<-ended
			})
		})
	}
}

// TestTheHubsOwnSlownessIsNoSilence: while it takes nothing from the connection,
// because its ledger does not answer, it cannot know whether something was said.
func TestTheHubsOwnSlownessIsNoSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := newSlowLedger(newLedger())
		_, r, ended := bubble(t, func(c *receive.Config) { c.Ledger, c.Repeat = slow, time.Hour })
		hello(t, r, "data")
		r.asks()
		synctest.Wait() // who tells the news has looked, and waits for no lock from here on
		slow.slow.Store(true)
		o, _ := wireObject(1, 1, 500)
		r.say(&wire.Offer{Objects: []wire.Object{o}})
		said := make(chan struct{})
		go func() {
			defer close(said)
			page := encoded(&wire.ArchivedAck{Seqs: make([]uint64, wire.MaxItems)})
			for range 200 { // more than the queue holds
				r.out.Write(page)
			}
		}()
		<-time.After(10 * time.Minute)
		select {
		case <-said:
			t.Error("the hub took everything, which proves nothing")
		default:
		}
		close(slow.answer)
		if f := r.hear(); f.Type() != wire.TypeHave {
			t.Errorf("heard %+v", f)
		}
		<-said
		r.asks()
		r.hangUp()
		<-ended
	})
}
