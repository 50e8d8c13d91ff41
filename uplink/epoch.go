package uplink

import (
	"errors"
	"slices"
	"time"
)

// How long is measured: until a lane has found its rate, and then long enough for
// many round trips.
const (
	settleTime  = 500 * time.Millisecond
	measureTime = time.Second
	hasteSettle = 100 * time.Millisecond // while nothing is known of a carrier that another may replace: what is far apart shows soon
	hasteTime   = 200 * time.Millisecond
	clearTime   = 300 * time.Millisecond // of a try that wins by far, and of the first mark of a carrier that stays
	maxEpoch    = 4 * time.Second        // of each, where a round trip takes long
	sleepAfter  = time.Minute            // without load, surplus lanes are given up
)

// epoch is one measurement of the carrier in charge.
type epoch struct {
	of       setting
	from     time.Time // zero: nothing begun
	settled  bool
	bytes    int64 // given to the carrier before
	got      int64 // bytes that had come through; 0: nobody knows
	looks    int
	starving int // looks at which there was nothing to send
	loaded   time.Time
}

// setting is what a measurement is about; another one begins another.
type setting struct {
	carrier string
	lanes   int
	stage   stage
	up      int
}

// look is called once in a pace: it measures, and notices a path that is dead.
func (t *team) look(now time.Time) {
	t.listen(now)
	e, p := &t.epoch, t.pilot
	s := setting{p.carrier, p.lanes, p.stage, t.up(p.carrier)}
	if s != e.of {
		*e = epoch{of: s, loaded: e.loaded}
	}
	if s.up == 0 || s.up < s.lanes && t.coming(p.carrier) {
		return
	}
	if t.u.disturbed(now) {
		e.from, e.settled = time.Time{}, false
		return
	}
	if e.loaded.IsZero() {
		e.loaded = now
	}
	starving, rtt := t.observe()
	switch elapsed := now.Sub(e.from); {
	case e.from.IsZero():
		t.begin(now)
	case !e.settled && elapsed >= t.settling(rtt):
		t.begin(now)
		e.settled = true
	case e.settled:
		e.looks++
		if starving {
			e.starving++
		}
		if elapsed >= t.measuring(rtt) || elapsed >= bounded(clearTime, 20*rtt) && t.pilot.clear(t.goodput(elapsed)) {
			t.judge(now, elapsed)
		}
	}
}

// unknown reports whether this is the first look at a carrier.
func (t *team) unknown() bool { return t.pilot.marks[t.pilot.carrier].at.IsZero() }

func (t *team) settling(rtt time.Duration) time.Duration {
	if t.unknown() && t.u.c.Transport == "auto" {
		return bounded(hasteSettle, 5*rtt)
	}
	return bounded(settleTime, 10*rtt)
}

func (t *team) measuring(rtt time.Duration) time.Duration {
	switch {
	case t.unknown() && t.u.c.Transport == "auto":
		return bounded(hasteTime, 10*rtt)
	case t.unknown():
		return bounded(clearTime, 20*rtt)
	}
	return bounded(measureTime, 20*rtt)
}

func bounded(least, d time.Duration) time.Duration { return min(max(least, d), maxEpoch) }

func (t *team) begin(now time.Time) {
	e := &t.epoch
	e.from, e.bytes, e.got, e.looks, e.starving = now, t.u.carried(t.pilot.carrier), t.delivered(), 0, 0
}

// delivered is what came through on the lanes that work, 0 when one does not know.
func (t *team) delivered() (n int64) {
	for _, m := range t.staying(t.pilot.carrier) {
		if m.lane != nil {
			got := m.lane.conn.Stats().Delivered
			if got == 0 {
				return 0
			}
			n += int64(float64(got) / framing(t.pilot.carrier))
		}
	}
	return n
}

// coming reports whether a lane of the carrier is being dialled.
func (t *team) coming(carrier string) bool {
	for _, m := range t.staying(carrier) {
		if m.lane == nil {
			return true
		}
	}
	return false
}

// observe asks the lanes that work: is there a lack of objects, and how long is
// the way.
func (t *team) observe() (starving bool, rtt time.Duration) {
	for _, m := range t.staying(t.pilot.carrier) {
		if m.lane == nil {
			continue
		}
		starving = starving || m.lane.starving()
		rtt = max(rtt, m.lane.conn.Stats().RTT)
		m.lane.resize()
	}
	return starving, rtt
}

// judge ends an epoch. What was measured while there was too little to send, or
// while the cap was all that there was, says nothing about the line.
func (t *team) judge(now time.Time, elapsed time.Duration) {
	e := &t.epoch
	bytes, goodput := t.u.carried(t.pilot.carrier), t.goodput(elapsed)
	t.u.c.Logger.Debug("uplink measured", "carrier", t.pilot.carrier, "lanes", t.pilot.lanes, "stage", t.pilot.stage, "mbit", int64(goodput/1e6), "starving", 5*e.starving > e.looks)
	switch {
	case t.unknown() && bytes == e.bytes && e.starving == 0 && t.sending():
		return // it has not sent a chunk yet: that, or its silence, will say more
	case 5*e.starving > e.looks || bytes == e.bytes || goodput == 0:
		t.pilot.unloaded(now)
		if now.Sub(e.loaded) > sleepAfter {
			t.pilot.sleep()
		}
	case t.pilot.stage != steady && t.u.filled(t.pilot.carrier, goodput): // what is tried reaches the cap: it is judged by that
		e.loaded = now
		t.pilot.measured(goodput, now)
	case t.u.capped(t.pilot.carrier, goodput):
		e.loaded = now
		t.pilot.unloaded(now)
	default:
		e.loaded = now
		t.u.measured(t.pilot.carrier, goodput, now)
		t.pilot.measured(goodput, now)
	}
	t.begin(now)
}

// goodput is what came through since the epoch began, in bits a second of data
// sets, or what the carrier took. A slow lane takes whole chunks, so few that they
// would not do as a measure of it.
func (t *team) goodput(elapsed time.Duration) float64 {
	n := t.u.carried(t.pilot.carrier) - t.epoch.bytes
	if got := t.delivered(); t.epoch.got > 0 && got >= t.epoch.got {
		n = got - t.epoch.got // none: the kernel took it, and it went nowhere
	}
	return float64(n) * 8 / elapsed.Seconds()
}

// sending reports whether a lane of the carrier in charge is in the middle of an
// object that the hub wants.
func (t *team) sending() bool {
	return slices.ContainsFunc(t.staying(t.pilot.carrier), func(m *member) bool {
		return m.lane != nil && m.lane.count1(func(s state) bool { return s == wanted }) > 0
	})
}

// disturbed reports whether something else than the lanes decides what they carry
// now: a line test beside them, or a pause.
func (u *Uplink) disturbed(now time.Time) bool {
	_, _, paused, _ := u.shape.all.inForce()
	return u.testing.Load() || paused.After(now)
}

// capped reports whether a cap may be what held a carrier back.
func (u *Uplink) capped(carrier string, goodput float64) bool {
	all, _, _, _ := u.shape.all.inForce()
	backfill, _, _, _ := u.shape.backfill.inForce()
	wire := goodput * overhead(carrier)
	return all > 0 && wire >= nearCap*float64(all) || backfill > 0 && wire >= nearCap*float64(backfill) && wire <= 1.1*float64(backfill)
}

// filled reports whether all of the appliance's cap was used.
func (u *Uplink) filled(carrier string, goodput float64) bool {
	all, _, _, _ := u.shape.all.inForce()
	return all > 0 && goodput*overhead(carrier) >= nearCap*float64(all)
}

// nearCap is how much of a cap counts as all of it.
const nearCap = 0.9

// silence is how long a carrier's lanes have sent without hearing anything.
type silence struct {
	sent, heard uint64
	since       time.Time // of the first packet without an answer; zero: all is answered
	asked       time.Time // of the first one so much later that an answer is due; zero: none
	at          time.Time // of the last news
}

var errNoAnswer = errors.New("nothing came back while the other carrier got through")

// deadAfter is silence while sending that a working path does not have: far more
// than a round trip, and less than fallback may take.
const deadAfter = 2500 * time.Millisecond

// hear takes the sums over all lanes.
func (s *silence) hear(sent, heard uint64, now time.Time) {
	switch {
	case heard != s.heard || sent < s.sent:
		s.since, s.asked = time.Time{}, time.Time{}
	case sent > s.sent && s.since.IsZero():
		s.since = now
	case sent > s.sent && s.asked.IsZero() && now.Sub(s.since) >= asksAgain:
		s.asked = now
	}
	if heard != s.heard {
		s.at = now
	}
	s.sent, s.heard = sent, heard
}

func (s *silence) dead(now time.Time) bool { return s.lasts(now, deadAfter) }

// asksAgain is how long after the first packet another one shows that an answer is
// waited for: a last acknowledgement, which nobody acknowledges, is sent once (RFC 9000
// §13.2.1), and what is lost again and again (RFC 9002 §6.2).
const asksAgain = 300 * time.Millisecond

// lasts reports whether answers are waited for in vain since that long. The first packet
// may have been a last acknowledgement, and the second one a keep-alive much later: so most
// of the time has to be behind the second, whose answer is due.
func (s *silence) lasts(now time.Time, d time.Duration) bool {
	return !s.asked.IsZero() && now.Sub(s.since) >= d && now.Sub(s.asked) >= d*4/5
}

// listen notices a path on which nothing comes back. The other carrier is dialled
// then, and takes over when it gets through while this one still is silent. Where
// nothing gets through a lane has ended after Idle of silence, and the next node has its
// turn; that of QUIC itself is longer, see quicConfig.
func (t *team) listen(now time.Time) {
	for _, c := range carriers {
		var sent, heard uint64
		for _, m := range t.staying(c) {
			if m.lane != nil {
				s := m.lane.conn.Stats()
				sent, heard = sent+s.Sent, heard+s.Heard
				m.silence.hear(s.Sent, s.Heard, now)
			}
		}
		t.silence[c].hear(sent, heard, now)
		for _, m := range t.staying(c) {
			switch {
			case m.lane == nil:
			case m.silence.dead(now) && t.heardSince(c, m.silence.asked):
				m.cancel(errDeaf)
			case c == carrierQUIC && m.silence.lasts(now, t.u.c.Idle): // the kernel ends one over TCP, see tcp.Tune
				m.cancel(errSilent)
			}
		}
	}
	c := t.pilot.carrier
	if t.doubtful() && t.up(other(c)) > 0 {
		t.u.c.Logger.Warn("nothing comes back, the other carrier gets through", "hub", t.addr, "silent", c)
		t.pilot.failed(c, true, now)
		t.u.failed(c, c == carrierQUIC, errNoAnswer)
		for _, m := range t.staying(c) {
			m.cancel(errSurplus)
		}
	}
}

// heardSince reports whether a lane of the carrier heard something after then.
func (t *team) heardSince(carrier string, then time.Time) bool {
	return slices.ContainsFunc(t.staying(carrier), func(m *member) bool { return m.silence.at.After(then) })
}

// doubtful reports whether the carrier in charge may be dead.
func (t *team) doubtful() bool {
	c := t.pilot.carrier
	return t.u.c.Transport == "auto" && c != "" && t.silence[c].dead(time.Now())
}
