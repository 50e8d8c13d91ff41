package uplink

import (
	"fmt"
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

// TestAKeepAliveAfterALastAcknowledgementIsNoSilence: nobody answered the acknowledgement,
// and the answer to the keep-alive, 25 s later, is under way when the idle team looks. Nor
// does an object that comes a few seconds after all was quiet make a silence of these.
func TestAKeepAliveAfterALastAcknowledgementIsNoSilence(t *testing.T) {
	for _, quiet := range []time.Duration{3 * time.Second, 25 * time.Second} {
		for phase := time.Duration(0); phase < idlePace; phase += idlePace / 20 {
			t.Run(fmt.Sprint(quiet+phase), func(t *testing.T) { askAfterQuiet(t, quiet+phase) })
		}
	}
}

// askAfterQuiet has all lanes of a team that has come to rest send a last acknowledgement,
// and after that long a packet that is answered a round trip later.
func askAfterQuiet(t *testing.T, quiet time.Duration) {
	w := &wires{carries: map[string]func(int) float64{carrierQUIC: full(100e6, 100e6), carrierTCP: full(100e6, 100e6)}}
	s := newShelf()
	onShelf(t, w, Config{}, s, func(*Uplink) {
		for range 20 {
			s.add(wire.Routine, 512<<10)
		}
		time.Sleep(5 * time.Minute)
		each := func(count func(*wiredLane)) {
			w.mu.Lock()
			defer w.mu.Unlock()
			for _, lane := range w.all {
				count(lane)
			}
		}
		quic, _, _ := w.seen(carrierQUIC)
		tcp, _, _ := w.seen(carrierTCP)
		each(func(c *wiredLane) { c.sent.Add(1) })
		time.Sleep(quiet)
		each(func(c *wiredLane) { c.sent.Add(1) })
		time.Sleep(60 * time.Millisecond)
		each(func(c *wiredLane) { c.heard.Add(1) })
		time.Sleep(5 * time.Second)
		quicNow, _, _ := w.seen(carrierQUIC)
		tcpNow, _, _ := w.seen(carrierTCP)
		if quicNow != quic || tcpNow != tcp {
			t.Errorf("dials of QUIC: %d, before %d; of TCP: %d, before %d", quicNow, quic, tcpNow, tcp)
		}
	})
}

func TestSilenceIsWhatIsAskedForTwice(t *testing.T) {
	type look struct {
		after       time.Duration
		sent, heard uint64
		dead, ends  bool // for Idle of 20 s
	}
	const ms, s = time.Millisecond, time.Second
	for name, looks := range map[string][]look{
		"a keep-alive that is answered, and one that is repeated": {
			{0, 10, 10, false, false},
			{100 * ms, 11, 10, false, false}, // an acknowledgement of the last that came
			{10 * s, 11, 10, false, false},
			{11 * s, 12, 11, false, false}, // a keep-alive, and its answer
			{20 * s, 13, 11, false, false}, // another one
			{21 * s, 14, 11, false, false}, // again: the first is lost
			{22 * s, 15, 11, false, false},
			{23 * s, 15, 11, true, false},
			{24 * s, 16, 12, false, false},
		},
		"an answer that is under way at the look": {
			{0, 10, 10, false, false},
			{1 * s, 11, 10, false, false}, // a last acknowledgement
			{26 * s, 12, 10, false, false},
			{26*s + 100*ms, 12, 10, false, false}, // a busy look
			{27 * s, 12, 11, false, false},
			{52 * s, 13, 11, false, false},
			{77 * s, 13, 12, false, false},
		},
		"a keep-alive after a last acknowledgement is lost once": {
			{0, 10, 10, false, false},
			{1 * s, 11, 10, false, false},
			{26 * s, 12, 10, false, false},
			{27 * s, 14, 10, false, false}, // probes, on a path of more than half a second
			{28 * s, 14, 11, false, false},
		},
		"the path died while all was quiet": {
			{0, 10, 10, false, false},
			{1 * s, 11, 10, false, false},
			{26 * s, 12, 10, false, false},
			{27 * s, 15, 10, false, false}, // probes, at intervals that double (RFC 9002 §6.2)
			{28 * s, 16, 10, true, false},
			{34 * s, 17, 10, true, false},
			{41 * s, 17, 10, true, false},
			{42 * s, 18, 10, true, true},
		},
		"the path dies in the middle of a transfer": {
			{0, 10, 10, false, false},
			{100 * ms, 20, 10, false, false},
			{200 * ms, 30, 10, false, false},
			{400 * ms, 32, 10, false, false}, // the window is full; from here on probes
			{1 * s, 34, 10, false, false},
			{2500 * ms, 36, 10, false, false},
			{2600 * ms, 36, 10, true, false},
			{20 * s, 42, 10, true, false},
			{20100 * ms, 42, 10, true, true},
		},
	} {
		t.Run(name, func(t *testing.T) {
			now := time.Now()
			var state silence
			for _, l := range looks {
				at := now.Add(l.after)
				state.hear(l.sent, l.heard, at)
				if dead, ends := state.dead(at), state.lasts(at, 20*time.Second); dead != l.dead || ends != l.ends {
					t.Errorf("after %s: dead %t, ends %t", l.after, dead, ends)
				}
			}
		})
	}
}
