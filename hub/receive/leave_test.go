package receive_test

import (
	"context"
	"testing"
	"time"

	"edged/uplink/wire"
)

// TestANodeThatLeavesSendsItsAppliancesOn, and whoever comes meanwhile; when it is
// back they are served as before.
func TestANodeThatLeavesSendsItsAppliancesOn(t *testing.T) {
	overBoth(t, func(t *testing.T, w *world) {
		w.start()
		here := []*rude{hello(t, w.dial("one"), "data"), hello(t, w.dial("two"), "data"), hello(t, w.dial("three"), "data")}
		began := time.Now()
		w.server.Leave(t.Context(), 20)
		if took := time.Since(began); took < 100*time.Millisecond {
			t.Errorf("three were sent away in %s: 20 a second were asked for", took)
		}
		for _, r := range here {
			r.closed(wire.ByeLeaving)
		}
		late := w.dial("four")
		late.say(&wire.Hello{Versions: []uint16{wire.Version}, Boot: []byte("boot"), DataDir: []byte("data")})
		late.closed(wire.ByeLeaving)
		w.server.Return()
		hello(t, w.dial("one"), "data")
	})
}

// TestLeavingIsBounded: an end that is in a hurry does not wait for the slow farewell.
func TestLeavingIsBounded(t *testing.T) {
	w := newWorld(t)
	w.start()
	hello(t, w.dial("one"), "data")
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	w.server.Leave(ctx, 1)
	if ctx.Err() == nil {
		t.Error("one in a second was sent away at once")
	}
}
