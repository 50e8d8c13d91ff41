package uplink

import (
	"testing"
	"time"

	"edged/internal/dicom"
	"edged/uplink/wire"
)

// TestADeadLaneAmongLivingOnesTakesNoUrgentObjects: the sums of a carrier hide that
// one of its lanes hears nothing; it goes on leasing until the connection times out.
func TestADeadLaneAmongLivingOnesTakesNoUrgentObjects(t *testing.T) {
	w := &wires{carries: map[string]func(int) float64{carrierQUIC: full(100e6, 50e6), carrierTCP: full(10e6, 10e6)}}
	s := newShelf()
	onShelf(t, w, Config{Transport: carrierQUIC, LanesMin: 4, LanesMax: 4}, s, func(*Uplink) {
		for range 1500 {
			s.add(wire.Routine, 512<<10)
		}
		time.Sleep(3 * time.Second)
		w.mu.Lock()
		lane := w.all[0]
		w.mu.Unlock()
		lane.dead.Store(true)
		time.AfterFunc(20*time.Second, func() { lane.Close(0, "") }) // Idle
		var ids []dicom.ID
		for range 150 {
			time.Sleep(100 * time.Millisecond)
			ids = append(ids, s.add(wire.Urgent, 64<<10))
		}
		time.Sleep(10 * time.Second)
		late, worst := 0, time.Duration(0)
		for _, id := range ids {
			took := s.took(id)
			if took < 0 || took > 5*time.Second {
				late++
			}
			worst = max(worst, took)
		}
		if late > 0 {
			t.Errorf("%d of %d urgent objects took more than 5 s, the worst %v", late, len(ids), worst)
		}
	})
}

// TestUDPThatEndsAfterTheHandshake: who lets a handshake through and nothing else
// is raced again and again, each time a minute after the last.
func TestUDPThatEndsAfterTheHandshake(t *testing.T) {
	w := &wires{mute: map[string]bool{carrierQUIC: true}, carries: map[string]func(int) float64{carrierQUIC: full(50e6, 50e6), carrierTCP: full(50e6, 50e6)}}
	onWires(t, w, Config{}, 1<<40, func(u *Uplink, e *endless) {
		time.Sleep(time.Minute)
		before := e.atHub.Load()
		time.Sleep(time.Hour)
		dials, _, _ := w.seen(carrierQUIC)
		if got := float64(e.atHub.Load()-before) * 8 * (1 << 20) / 3600; got < 0.97*50e6 || dials > 20 {
			t.Errorf("%.1f of 50 Mbit/s over an hour, %d dials of QUIC, %d switches", got/1e6, dials, u.Status().Switches)
		}
	})
}
