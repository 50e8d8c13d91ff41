package uplink

import "time"

// How the pilot judges. Goodput swings by a few per cent from second to second on
// a line that nothing is wrong with.
const (
	closeEnough = 0.8              // of what TCP carries: QUIC is preferred
	slumped     = 0.6              // of what was measured before, three times running: the line has changed
	headStart   = time.Second      // of QUIC before TCP is dialled as well
	compareRest = 10 * time.Minute // between two comparisons of the carriers
	rareCompare = 2 * time.Hour    // and when they end the same way
	voidRest    = 20 * time.Second // after a try in which there was too little to send
	knockRest   = time.Minute      // before a carrier that did not get through is tried again
)

// pilot decides which carrier carries, and on how many lanes. It is told what was
// measured and what connects, and knows nothing of connections. It is not safe for
// several goroutines: its team owns it.
type pilot struct {
	min, max int
	auto     bool
	started  time.Time

	carrier string // in charge; "" before the first connection
	lanes   int    // wanted of it
	why     WhyCode
	marks   map[string]mark

	stage    stage
	seek     seek
	defender string
	compare  time.Time // of the next comparison
	between  time.Duration
	slumps   int

	closed map[string]*knock // carriers that did not get through
}

type stage uint8

const (
	steady stage = iota // what was measured is the mark
	racing              // the carrier in charge is compared with its defender
	trying              // another number of lanes is compared with the one before
)

// mark is what a carrier carried under load.
type mark struct {
	goodput float64 // data set bits a second
	lanes   int
	at      time.Time
}

// knock is when a carrier that did not get through is tried again.
type knock struct {
	at   time.Time
	rest time.Duration
	open bool // it connects again; whether it carries is not known yet
	sure bool // the other carrier got through meanwhile: the hub was there; until it connects again
}

// shut reports whether a carrier did not get through the last time.
func (p *pilot) shut(carrier string) bool {
	k := p.closed[carrier]
	return k != nil && !k.open
}

func newPilot(transport string, min, max int, now time.Time) *pilot {
	p := &pilot{min: min, max: max, auto: transport == "auto", started: now, marks: map[string]mark{}, closed: map[string]*knock{}, seek: newSeek(now), between: compareRest}
	if !p.auto {
		p.carrier, p.lanes, p.why = transport, min, WhyConfigured
	}
	return p
}

// wish is how many lanes of each carrier are wanted now.
func (p *pilot) wish(now time.Time) map[string]int {
	w := map[string]int{}
	switch {
	case p.carrier == "":
		w[carrierQUIC] = 1
		if p.shut(carrierQUIC) || now.Sub(p.started) >= headStart {
			w[carrierTCP] = 1
		}
		return w
	case p.stage == racing:
		w[p.defender] = min(p.marks[p.defender].lanes, max(1, maxLanes-p.lanes)) // the hub admits no more
	case p.auto && p.knocks(now):
		w[other(p.carrier)] = 1
	}
	w[p.carrier] = p.lanes
	return w
}

// knocks reports whether it is time to see whether the other carrier gets through
// now.
func (p *pilot) knocks(now time.Time) bool {
	return p.shut(other(p.carrier)) && !now.Before(p.closed[other(p.carrier)].at)
}

func other(carrier string) string {
	if carrier == carrierQUIC {
		return carrierTCP
	}
	return carrierQUIC
}

// arrived is told of each lane that the hub has welcomed.
func (p *pilot) arrived(carrier string, now time.Time) {
	blocked := p.shut(carrier)
	if blocked {
		p.closed[carrier].open, p.closed[carrier].sure = true, false
	}
	switch {
	case p.carrier == "":
		p.take(carrier, WhyFirst, now)
		if p.shut(other(carrier)) && p.closed[other(carrier)].sure { // a hub that was away answered neither
			p.why = blockedBy(carrier)
		}
	case p.stage == racing || carrier == p.carrier:
	case p.marks[p.carrier].at.IsZero() && carrier == carrierQUIC: // nothing speaks against it
		p.take(carrier, WhyFirst, now)
	case blocked:
		p.compare = now // when there is something to send
	}
}

// failed is told when a carrier could not be connected. others says that the
// other carrier has a lane.
func (p *pilot) failed(carrier string, others bool, now time.Time) {
	k := p.closed[carrier]
	if k == nil {
		k = &knock{rest: knockRest}
		p.closed[carrier] = k
	}
	k.at, k.rest, k.open = now.Add(k.rest), min(2*k.rest, longRest), false
	k.sure = k.sure || others
	switch {
	case !p.auto || !others:
	case p.stage == racing && carrier == p.carrier:
		p.take(p.defender, p.why, now)
		p.compare = k.at
	case carrier == p.carrier || p.carrier == "":
		p.take(other(carrier), blockedBy(other(carrier)), now)
	case p.why == WhyFirst:
		p.why = blockedBy(p.carrier)
	}
}

// blockedBy says why a carrier is used whose rival does not get through.
func blockedBy(carrier string) WhyCode {
	if carrier == carrierTCP {
		return WhyUDPBlocked
	}
	return WhyTCPBlocked
}

// take puts a carrier in charge, with the lanes that did best.
func (p *pilot) take(carrier string, why WhyCode, now time.Time) {
	p.carrier, p.why, p.stage, p.slumps = carrier, why, steady, 0
	p.lanes = max(p.min, p.marks[carrier].lanes)
	p.seek = newSeek(now)
}

// alone is told when no lane of the carrier in charge is left: nothing that was
// measured need hold on the next connection.
func (p *pilot) alone(now time.Time) {
	if p.auto {
		fresh := newPilot("auto", p.min, p.max, now)
		fresh.closed = p.closed
		*p = *fresh
		return
	}
	p.stage, p.lanes, p.seek = steady, p.min, newSeek(now)
}

// measured is told what the carrier in charge carried over a while in which there
// was always something to send and no cap held it back.
func (p *pilot) measured(goodput float64, now time.Time) {
	if k := p.closed[p.carrier]; k != nil && k.open {
		delete(p.closed, p.carrier) // it carries
	}
	switch p.stage {
	case racing:
		p.decide(goodput, now)
	case trying:
		p.tried(goodput, now)
	default:
		p.watch(goodput, now)
	}
}

// watch keeps the mark and sees whether it is time to try something.
func (p *pilot) watch(goodput float64, now time.Time) {
	m := p.marks[p.carrier]
	switch {
	case p.lanes < m.lanes: // it slept
		p.lanes = m.lanes
		return
	case p.doubt(goodput, now):
		return
	case m.goodput > 0 && goodput < slumped*m.goodput:
		if p.slumps++; p.slumps < 3 {
			return // an outlier spoils no mark
		}
		p.between, p.compare, p.seek = compareRest, now, newSeek(now)
		m = mark{}
	}
	p.slumps = 0
	p.marks[p.carrier] = mark{goodput, p.lanes, now}
	rival := other(p.carrier)
	switch {
	case p.auto && !p.shut(rival) && !now.Before(p.compare):
		p.stage, p.defender, p.carrier = racing, p.carrier, rival
		p.lanes = min(max(p.min, p.marks[rival].lanes), maxLanes-1)
	case m.at.IsZero() && p.carrier == carrierTCP: // one lane may find the whole rate in its next second; a second one would only crowd it
	case m.lanes == p.lanes && goodput > stillGrows*m.goodput && now.Sub(m.at) < growthWait:
	default:
		p.try(now)
	}
}

// decide ends a race. What is lost by a wrong decision on a line that swings is
// less than what changing back and forth would cost: it stays for a while.
func (p *pilot) decide(goodput float64, now time.Time) {
	p.marks[p.carrier] = mark{goodput, p.lanes, now}
	quic, tcp := p.marks[carrierQUIC].goodput, p.marks[carrierTCP].goodput
	winner, why := carrierTCP, WhyFaster
	if quic >= closeEnough*tcp {
		winner = carrierQUIC
		if quic < tcp {
			why = WhyClose
		}
	}
	if winner == p.defender {
		p.between = min(2*p.between, rareCompare)
	} else {
		p.between = compareRest
	}
	p.compare = now.Add(p.between)
	p.take(winner, why, now)
}

// unloaded is told when a measurement is void, because there was too little to
// send or a cap held it back: what was being tried is tried another time.
func (p *pilot) unloaded(now time.Time) {
	switch p.stage {
	case racing:
		p.take(p.defender, p.why, now)
		p.compare = now.Add(voidRest)
	case trying:
		p.stage, p.lanes = steady, p.seek.before
		p.seek.inVoid(now)
	}
}

// sleep gives up surplus lanes while there is nothing to send. What they carried
// is remembered.
func (p *pilot) sleep() {
	if p.carrier != "" && p.stage == steady {
		p.lanes = p.min
	}
}
