package receive_test

import (
	"errors"
	"testing"
	"time"

	"edged/uplink"
	"edged/uplink/uplinktest"
	"edged/uplink/wire"
)

// failOnce has the ledger fail the next time that rows are to be written.
func (w *world) failOnce() {
	w.ledger.mu.Lock()
	defer w.ledger.mu.Unlock()
	w.ledger.fail = errors.New("database or disk is full")
}

// hasFailed tells whether it has.
func (w *world) hasFailed() bool {
	w.ledger.mu.Lock()
	defer w.ledger.mu.Unlock()
	return w.ledger.fail == nil
}

// TestRowsThatCannotBeWrittenCostNoTransfer: the object is at the hub, whole, proved
// and flushed; only its row cannot be written, for a while, or the hub ends before it
// is. Counted at the sender, each of its bytes goes once.
func TestRowsThatCannotBeWrittenCostNoTransfer(t *testing.T) {
	const size, failures = 4 << 20, 3
	for name, between := range map[string]func(*world){
		"a full disk":   func(*world) {},
		"the hub ended": func(w *world) { w.stop(); w.start() },
	} {
		t.Run(name, func(t *testing.T) {
			overBoth(t, func(t *testing.T, w *world) {
				w.start()
				w.failOnce()
				source := uplinktest.NewSource()
				source.Add(1, size, wire.Routine)
				u, _ := w.appliance("one", source, func(c *uplink.Config) { c.RetryMin, c.RetryMax = time.Millisecond, 10*time.Millisecond })
				for range failures {
					eventually(t, "the ledger to fail", w.hasFailed)
					if source.Count(uplinktest.AtHub) > 0 {
						t.Fatal("a receipt without a row")
					}
					w.failOnce()
					between(w)
				}
				waitFor(t, source, uplinktest.Archived)
				w.identical(source)
				if sent := u.Status().BytesSent; sent != size {
					t.Errorf("%d bytes were sent of an object of %d", sent, size)
				}
			})
		})
	}
}
