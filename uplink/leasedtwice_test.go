package uplink

import (
	"testing"
	"time"

	"edged/internal/dicom"
	"edged/uplink/wire"
)

// TestNobodySaysUDPIsBlockedWhenNothingGetsThrough: the hub is down, or the line.
func TestNobodySaysUDPIsBlockedWhenNothingGetsThrough(t *testing.T) {
	w := &wires{blocked: map[string]bool{carrierQUIC: true, carrierTCP: true}, carries: map[string]func(int) float64{}}
	onWires(t, w, Config{}, 10, func(u *Uplink, e *endless) {
		time.Sleep(time.Minute)
		if s := u.Status(); s.UDPOpen != nil {
			t.Errorf("UDP open: %t", *s.UDPOpen)
		}
	})
}

// TestWhatIsLeasedTwiceIsGivenBack: between the receipt that is durable and the end
// of its flight everything may be offered again.
func TestWhatIsLeasedTwiceIsGivenBack(t *testing.T) {
	s, _, lane := mute()
	l := lane("l")
	l.u.c.Source = s
	id := dicom.ID{1}
	o := Object{ID: id, Length: 5, Priority: wire.Routine}
	l.flights[id] = &flight{Object: o, number: 1, state: receipted}
	l.offer(o) // the Source has lent it anew
	l.mu.Lock()
	l.end(l.flights[id])
	l.mu.Unlock()
	if len(s.told) == 0 {
		t.Error("the second lease belongs to nobody: the object is never sent again")
	}
}
