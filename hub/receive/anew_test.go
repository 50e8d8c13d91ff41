package receive_test

import (
	"testing"
	"time"

	"edged/hub"
	"edged/uplink/uplinktest"
	"edged/uplink/wire"
)

// The rows are restored from a backup while appliances are connected, by another node: who
// was told of the generation before is sent to say hello anew, who knows the new one stays.
func TestWhoWasWelcomedBeforeARestoreSaysHelloAnew(t *testing.T) {
	overBoth(t, func(t *testing.T, w *world) {
		w.start()
		here := []*rude{hello(t, w.dial("one"), "data"), hello(t, w.dial("two"), "data")}
		w.ledger.restored()
		late := hello(t, w.dial("three"), "data")
		for _, r := range here {
			r.closed(wire.ByeLeaving)
		}
		late.sends(1, 1, 1000, wire.Routine)
		for {
			if _, ok := late.hear().(*wire.Receipt); ok {
				return
			}
		}
	})
}

// What a restore has taken back an appliance offers again, though it was connected all
// the time and nothing else ends its connection.
func TestWhatARestoreTookBackComesAgainFromWhoStayedConnected(t *testing.T) {
	overBoth(t, func(t *testing.T, w *world) {
		w.ledger.hold = true // nothing is archived
		w.start()
		source := uplinktest.NewSource()
		for i := range 3 {
			source.Add(uint64(i), 10_000, wire.Routine)
		}
		w.appliance("one", source, nil)
		waitFor(t, source, uplinktest.AtHub)
		w.ledger.restored()
		for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
			w.ledger.mu.Lock()
			n := len(w.ledger.objects["one"])
			w.ledger.mu.Unlock()
			if n == 3 {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("%d of three objects have come again", n)
			}
		}
	})
}

// restored is a backup of before anything came.
func (l *ledger) restored() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.generation++
	l.objects = map[string]map[hub.ID]hub.Object{}
}
