package receive_test

import (
	"testing"
	"testing/synctest"
	"time"

	"edged/hub"
	"edged/hub/receive"
	"edged/uplink"
	"edged/uplink/uplinktest"
	"edged/uplink/wire"
)

// listens notes what an appliance is told of what is archived, and acknowledges nothing.
func (r *rude) listens() (told chan time.Time) {
	told = make(chan time.Time, 100)
	go func() {
		for {
			f, err := r.frames.Next()
			if err != nil {
				return
			}
			if _, ok := f.(*wire.Archived); ok {
				told <- time.Now()
			}
		}
	}()
	return told
}

// archives has news for the appliance "one".
func (l *ledger) archives(id byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.add(hub.Object{ID: hub.ID{id}, Device: "one", Length: 5})
	l.wake()
}

// TestNewsGoToTheConnectionThatIsHeard: the path of the one that tells them has died, which
// the hub cannot know, and the appliance has connected anew. Its news come there soon, not
// when they are repeated or the dead connection ends: whether the hub still gets rid of what
// it says on it or not.
func TestNewsGoToTheConnectionThatIsHeard(t *testing.T) {
	for name, dies := range map[string]func(*rude){
		"what is said vanishes": func(r *rude) { r.listens() },
		"nothing is taken":      func(*rude) {},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLedger()
				ca, server := bubbleServer(t, func(c *receive.Config) { c.Ledger = l })
				old, oldEnded := join(t, ca, server, "one")
				hello(t, old, "data")
				dies(old)
				time.Sleep(10 * time.Second)
				anew, anewEnded := join(t, ca, server, "one")
				told := hello(t, anew, "data").listens()
				time.Sleep(10 * time.Second)
				began := time.Now()
				l.archives(1)
				if took := (<-told).Sub(began); took > 10*time.Second {
					t.Errorf("told after %s", took)
				}
				old.hangUp()
				anew.hangUp()
				<-oldEnded
				<-anewEnded
			})
		})
	}
}

// TestWhoIsSlowToAcknowledgeKeepsTheWord until news are repeated: that another connection is
// there, heard no later, is no reason to tell all of it there too.
func TestWhoIsSlowToAcknowledgeKeepsTheWord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLedger()
		ca, server := bubbleServer(t, func(c *receive.Config) { c.Ledger = l })
		slow, slowEnded := join(t, ca, server, "one")
		hello(t, slow, "data")
		time.Sleep(time.Second)
		idle, idleEnded := join(t, ca, server, "one")
		elsewhere := hello(t, idle, "data").listens()
		time.Sleep(time.Second)
		slow.asks()
		here := slow.listens()
		l.archives(1)
		<-here
		time.Sleep(30 * time.Second) // Repeat is a minute
		if len(elsewhere) > 0 {
			t.Error("it is told on the other connection too")
		}
		slow.hangUp()
		l.archives(2)
		<-elsewhere // who is left speaks
		idle.hangUp()
		<-slowEnded
		<-idleEnded
	})
}

// TestADeadPathKeepsNoNewDataDirectoryOut: over QUIC the hub keeps a connection for long
// that says nothing. When another data directory comes with the same identity it is asked
// whether it is there: what is dead ends then, what is only idle stays, and is protected.
func TestADeadPathKeepsNoNewDataDirectoryOut(t *testing.T) {
	w := newWorld(t)
	w.change = func(c *receive.Config) { c.IdleTimeout = time.Hour }
	w.start()
	direct, r := w.addr, newRelay(t, w.addr)
	w.addr = r.addr()
	connected := func(device string) {
		u, _ := w.appliance(device, uplinktest.NewSource(), func(c *uplink.Config) {
			c.Transport, c.LanesMax, c.Idle = "quic", 1, time.Hour
		})
		eventually(t, device, func() bool { return u.Status().Connected })
	}
	connected("dead")
	w.addr = direct
	connected("idle")
	r.cut(true)
	admitted := func(device string) bool {
		c := w.dial(device)
		defer c.hangUp()
		c.greet("boot", "another")
		f, err := c.frames.Next()
		return err == nil && f.Type() == wire.TypeWelcome
	}
	for deadline := time.Now().Add(patience); !admitted("dead"); time.Sleep(500 * time.Millisecond) {
		if admitted("idle") {
			t.Fatal("a copy of who is there was admitted")
		}
		if time.Now().After(deadline) {
			t.Fatal("a new data directory is kept out by a dead path")
		}
	}
	if admitted("idle") {
		t.Error("a copy of who is there was admitted")
	}
}
