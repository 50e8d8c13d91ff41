package uplink

import (
	"testing"
	"time"

	"edged/internal/dicom"
	"edged/uplink/wire"
)

// TestACapOfBackfillIsNotACapOfRoutine: what backfill has leased and may not send
// yet takes no room from routine.
func TestACapOfBackfillIsNotACapOfRoutine(t *testing.T) {
	w := &wires{carries: map[string]func(int) float64{carrierQUIC: full(100e6, 100e6), carrierTCP: full(10e6, 10e6)}}
	s := newShelf()
	onShelf(t, w, Config{Transport: carrierQUIC, LanesMax: 1, Shape: Shape{Backfill: 2e6}}, s, func(*Uplink) {
		for range 400 {
			s.add(wire.Backfill, 512<<10)
		}
		time.Sleep(30 * time.Second)
		began := time.Now()
		var ids []dicom.ID
		for range 100 { // 420 Mbit: 4 s of the line
			ids = append(ids, s.add(wire.Routine, 512<<10))
		}
		time.Sleep(15 * time.Minute)
		late, worst := 0, time.Duration(0)
		for _, id := range ids {
			took := s.took(id)
			if took < 0 || took > 20*time.Second {
				late++
			}
			worst = max(worst, took)
		}
		if late > 0 {
			t.Errorf("%d of 100 routine objects took more than 20 s, the worst %v, on a line of 100 Mbit/s with 2 for backfill (begun %v)", late, worst, began)
		}
	})
}
