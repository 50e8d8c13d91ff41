package uplink

import "time"

// How another number of lanes is judged. A lane that is held back by loss alone
// carries the same beside others, so twice the lanes carry twice as much; where
// the line or a processor is full, more lanes only crowd its queue.
const (
	worthMore  = 1.15             // times as much as before: more lanes stay
	worthSame  = 0.95             // as much as before: fewer lanes stay
	inStep     = 0.7              // of what was hoped for of the new lanes: the next step is larger
	farMore    = 1.5              // times as much: nobody need measure for long
	stillGrows = 1.1              // times as much as a moment ago, on the same lanes: the line has not found its rate
	growthWait = 5 * time.Second  // how long ago that moment may be
	moreRest   = 3 * time.Second  // after a first try of more lanes in vain
	fewerRest  = 30 * time.Second // before and after a first try of fewer
	longRest   = 10 * time.Minute // between tries in vain
)

// seek is the search for the number of lanes that carries most, on fewest lanes.
type seek struct {
	more, fewer turn
	step        int // times as many, of the next try of more
	before      int // lanes before what is being tried
	down        bool
	vain        mark // of the last try of more
}

// turn is when the number may be changed in one direction.
type turn struct {
	next time.Time
	rest time.Duration // after the next try in vain
}

func newSeek(now time.Time) seek {
	return seek{more: turn{now, moreRest}, fewer: turn{now.Add(fewerRest), fewerRest}, step: 2}
}

// inVain waits twice as long as the last time.
func (t *turn) inVain(now time.Time) {
	t.next, t.rest = now.Add(t.rest), min(2*t.rest, longRest)
}

// inVoid postpones the try of which nothing was learnt.
func (s *seek) inVoid(now time.Time) { s.turn().next = now.Add(voidRest) }

func (s *seek) turn() *turn {
	if s.down {
		return &s.fewer
	}
	return &s.more
}

// next is another number of lanes whose time has come, or the same.
func (s *seek) next(lanes, least, most int, now time.Time) int {
	switch {
	case lanes < most && !now.Before(s.more.next):
		s.down = false
		return min(most, s.step*lanes)
	case lanes > least && !now.Before(s.fewer.next):
		s.down = true
		return max(least, lanes/2)
	}
	return lanes
}

// try begins with another number of lanes, if it is time.
func (p *pilot) try(now time.Time) {
	if n := p.seek.next(p.lanes, p.min, p.max, now); n != p.lanes {
		p.stage, p.seek.before, p.lanes = trying, p.lanes, n
	}
}

// doubt goes back to what was tried in vain, when that was more than what is
// carried after it: what was measured before was a lane's first burst, or luck.
func (p *pilot) doubt(goodput float64, now time.Time) bool {
	v := p.seek.vain
	p.seek.vain = mark{}
	if v.at.IsZero() || now.Sub(v.at) > growthWait || v.goodput < worthMore*goodput {
		return false
	}
	p.lanes, p.marks[p.carrier] = v.lanes, v
	p.seek = newSeek(now)
	return true
}

// clear reports whether a try of more lanes has won so clearly that it need not be
// measured for longer.
func (p *pilot) clear(goodput float64) bool {
	return p.stage == trying && !p.seek.down && goodput >= farMore*p.marks[p.carrier].goodput
}

// tried keeps the number of lanes and goes on that way, or goes back.
func (p *pilot) tried(goodput float64, now time.Time) {
	s, gain, hoped := &p.seek, goodput/p.marks[p.carrier].goodput, float64(p.lanes)/float64(p.seek.before)
	p.stage = steady
	if s.down && gain < worthSame || !s.down && gain < worthMore {
		if !s.down {
			s.vain = mark{goodput, p.lanes, now}
		}
		p.lanes, s.step = s.before, 2
		s.turn().inVain(now)
		return
	}
	p.marks[p.carrier] = mark{goodput, p.lanes, now}
	if s.step = 2; !s.down && gain >= inStep*hoped {
		s.step = 4
	}
	if s.down {
		s.fewer = turn{now, fewerRest}
	} else {
		s.more, s.fewer = turn{now, moreRest}, turn{now.Add(fewerRest), fewerRest}
	}
	p.try(now)
}
