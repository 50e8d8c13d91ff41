package uplink

import (
	"testing"
	"time"
)

// TestWhatFillsTheCapIsKept: a number of lanes, or a carrier, that reaches the cap
// has won; a measurement that the cap ended is not void in its favour.
func TestWhatFillsTheCapIsKept(t *testing.T) {
	cases := map[string]struct {
		quic, tcp func(int) float64
		transport string
	}{
		"a second lane fills it": {full(200e6, 50e6), full(1e6, 1e6), carrierQUIC},
		"TCP fills it":           {full(60e6, 60e6), full(300e6, 300e6), "auto"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			w := &wires{carries: map[string]func(int) float64{carrierQUIC: c.quic, carrierTCP: c.tcp}}
			onWires(t, w, Config{Transport: c.transport, Shape: Shape{Rate: 100e6}}, 1<<40, func(u *Uplink, _ *endless) {
				time.Sleep(5 * time.Minute)
				s := u.Status()
				byQUIC, _, _ := w.seen(carrierQUIC)
				byTCP, _, _ := w.seen(carrierTCP)
				if got := float64(s.WireBytes) * 8 / 300; got < 0.9*100e6 || byQUIC+byTCP > 8 {
					t.Errorf("%.0f of 100 Mbit/s, %s on %d lanes, %d and %d dials", got/1e6, s.Transport, s.Lanes, byQUIC, byTCP)
				}
			})
		})
	}
}
