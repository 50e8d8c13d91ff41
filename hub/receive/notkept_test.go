package receive_test

import (
	"context"
	"testing"

	"edged/hub/receive"
	"edged/uplink"
	"edged/uplink/uplinktest"
	"edged/uplink/wire"
)

// A study that the hub does not keep now is not acknowledged, and no connection ends for
// it: the appliance has it still, and its objects go on.
func TestAStudyThatIsNotKeptStaysAtTheAppliance(t *testing.T) {
	overBoth(t, func(t *testing.T, w *world) {
		source, s := uplinktest.NewSource(), newStudies(10)
		said := 0
		w.change = func(c *receive.Config) {
			c.Notice = func(context.Context, string, wire.Frame) error {
				s.mu.Lock()
				defer s.mu.Unlock()
				said++
				return receive.ErrNotKept
			}
		}
		w.start()
		for i := range 20 {
			source.Add(uint64(i), 1000, wire.Routine)
		}
		w.appliance("one", source, func(c *uplink.Config) { c.Studies = s })
		waitFor(t, source, uplinktest.Archived)
		left, _ := s.Waiting(t.Context(), 100)
		s.mu.Lock()
		defer s.mu.Unlock()
		if len(left) != 10 || said > 10 {
			t.Errorf("%d of 10 wait; they were said %d times", len(left), said)
		}
	})
}
