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

// TestACapOfBackfillIsNoLine: what carries backfill at its cap, and a routine object
// now and then, says nothing of the carriers: they are not compared by it, and no
// lanes are tried.
func TestACapOfBackfillIsNoLine(t *testing.T) {
	w := &wires{carries: map[string]func(int) float64{carrierQUIC: full(100e6, 100e6), carrierTCP: full(100e6, 100e6)}}
	s := newShelf()
	onShelf(t, w, Config{LanesMax: 8, Shape: Shape{Rate: 8e6, Backfill: 2e6}}, s, func(u *Uplink) {
		for range 400 {
			s.add(wire.Backfill, 512<<10)
		}
		for range 300 {
			s.add(wire.Routine, 64<<10)
			time.Sleep(time.Second)
		}
		dials, _, _ := w.seen(carrierTCP)
		if st := u.Status(); st.Switches > 0 || st.Transport != carrierQUIC || dials > 0 {
			t.Errorf("%s (%s), %d switches, %d dials of TCP", st.Transport, st.Why, st.Switches, dials)
		}
	})
}
