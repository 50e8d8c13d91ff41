package uplink

import (
	"testing"
	"time"

	"edged/uplink/wire"
)

// TestAHubThatDiesInMidTransferIsLeftSoon: QUIC says so rarely that it is there that it
// may not be what notices. Something is in flight, nothing comes back on any carrier, and
// after Idle the lane has ended, so that another one is dialled.
func TestAHubThatDiesInMidTransferIsLeftSoon(t *testing.T) {
	w := &wires{carries: map[string]func(int) float64{carrierQUIC: full(100e6, 50e6), carrierTCP: full(10e6, 10e6)}}
	s := newShelf()
	onShelf(t, w, Config{Transport: carrierQUIC, LanesMax: 1}, s, func(*Uplink) {
		for range 200 {
			s.add(wire.Routine, 512<<10)
		}
		time.Sleep(3 * time.Second)
		before, _, _ := w.seen(carrierQUIC)
		w.mu.Lock()
		lane := w.all[0]
		w.mu.Unlock()
		lane.dead.Store(true)
		time.Sleep(19 * time.Second) // Idle is 20 s
		if now, _, _ := w.seen(carrierQUIC); now != before {
			t.Errorf("%d dials after 19 s, %d before", now, before)
		}
		time.Sleep(6 * time.Second)
		if now, _, _ := w.seen(carrierQUIC); now == before {
			t.Error("25 s after the hub died nothing was dialled")
		}
	})
}

// TestALastAcknowledgementIsNoSilence: nobody acknowledges it, so nothing comes back
// for as long as nobody has anything to say. That is no sign of a dead path: neither is
// the other carrier dialled for it, nor does the lane end.
func TestALastAcknowledgementIsNoSilence(t *testing.T) {
	w := &wires{carries: map[string]func(int) float64{carrierQUIC: full(100e6, 100e6), carrierTCP: full(100e6, 100e6)}}
	s := newShelf()
	onShelf(t, w, Config{}, s, func(*Uplink) {
		for range 20 {
			s.add(wire.Routine, 512<<10)
		}
		time.Sleep(5 * time.Minute) // all is there, and the other carrier is not looked at any more
		quic, _, _ := w.seen(carrierQUIC)
		tcp, _, _ := w.seen(carrierTCP)
		w.mu.Lock()
		for _, lane := range w.all {
			lane.sent.Add(1)
		}
		w.mu.Unlock()
		time.Sleep(24 * time.Second)
		quicNow, _, _ := w.seen(carrierQUIC)
		tcpNow, _, _ := w.seen(carrierTCP)
		if quicNow != quic || tcpNow != tcp {
			t.Errorf("dials of QUIC: %d, before %d; of TCP: %d, before %d", quicNow, quic, tcpNow, tcp)
		}
	})
}

func TestSilenceIsWhatIsAskedForTwice(t *testing.T) {
	now := time.Now()
	var s silence
	for _, c := range []struct {
		after       time.Duration
		sent, heard uint64
		dead        bool
	}{
		{0, 10, 10, false},
		{100 * time.Millisecond, 11, 10, false}, // an acknowledgement of the last that came
		{10 * time.Second, 11, 10, false},
		{11 * time.Second, 12, 11, false}, // a keep-alive, and its answer
		{20 * time.Second, 13, 11, false}, // another one
		{21 * time.Second, 14, 11, false}, // again: the first is lost
		{22 * time.Second, 15, 11, false},
		{23 * time.Second, 15, 11, true},
		{24 * time.Second, 16, 12, false},
	} {
		at := now.Add(c.after)
		s.hear(c.sent, c.heard, at)
		if got := s.dead(at); got != c.dead {
			t.Errorf("after %s: got %v", c.after, got)
		}
	}
}
