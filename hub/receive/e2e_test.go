package receive_test

import (
	"testing"

	"edged/uplink/uplinktest"
	"edged/uplink/wire"
)

// sizes are the awkward ones: nothing, one byte, around a chunk, many chunks.
var sizes = []int{0, 1, 1000, wire.MaxBody - 1, wire.MaxBody, wire.MaxBody + 1, 3*wire.MaxBody + 7}

func TestAllArriveOnceAndIdentical(t *testing.T) {
	overBoth(t, func(t *testing.T, w *world) {
		w.start()
		source := uplinktest.NewSource()
		for i := range 105 {
			source.Add(uint64(i), sizes[i%len(sizes)], uint8(i%wire.Classes))
		}
		w.appliance("one", source, nil)
		waitFor(t, source, uplinktest.Archived)
		w.identical(source)
		if err := w.ledger.once(); err != nil {
			t.Error(err)
		}
		source.With(func(s *uplinktest.Source) {
			if len(s.Returned) > 0 {
				t.Errorf("leases came back: %v", s.Returned)
			}
		})
	})
}
