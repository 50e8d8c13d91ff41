package uplink

import (
	"math/rand/v2"
	"testing"
	"time"
)

// seeker is a pilot of a configured carrier, told once a second what its lanes carry.
type seeker struct {
	*pilot
	now   time.Time
	tries int // of another number of lanes
	noise float64
	rand  *rand.Rand
}

func newSeeker(seed uint64) *seeker {
	now := time.Unix(1e9, 0)
	return &seeker{pilot: newPilot(carrierQUIC, 1, 32, now), now: now, rand: rand.New(rand.NewPCG(seed, 7))}
}

func (s *seeker) fly(seconds int, carries func(lanes int) float64) {
	for range seconds {
		s.now = s.now.Add(time.Second)
		was := s.lanes
		s.measured(carries(s.lanes)*(1+s.noise*(2*s.rand.Float64()-1)), s.now)
		if s.stage == trying && s.lanes != was {
			s.tries++
		}
	}
}

// TestLossAloneIsOutnumbered: where each lane carries as much as the first, as on a
// line that loses packets, four measurements lead to 32 lanes.
func TestLossAloneIsOutnumbered(t *testing.T) {
	for seed := range uint64(50) {
		s := newSeeker(seed)
		s.noise = 0.1
		if s.fly(4, full(900, 8)); s.lanes != 32 {
			t.Fatalf("seed %d: %d lanes after four measurements", seed, s.lanes)
		}
	}
}

// TestAFirstBurstIsNoMeasure: a lane of slow start carries at first what it never
// will again. More lanes that carry less than this burst are not given up for long.
func TestAFirstBurstIsNoMeasure(t *testing.T) {
	s := newSeeker(1)
	s.fly(1, full(900, 120))
	if s.fly(4, full(900, 30)); s.lanes < 8 {
		t.Errorf("%d lanes four measurements after the burst", s.lanes)
	}
}

// TestALineThatOneLaneFillsIsSeldomTried: an hour of it costs few tries, none of
// which stays.
func TestALineThatOneLaneFillsIsSeldomTried(t *testing.T) {
	for seed := range uint64(50) {
		s := newSeeker(seed)
		s.noise = 0.03
		if s.fly(3600, full(900, 900)); s.lanes > 2 || s.tries > 16 {
			t.Fatalf("seed %d: %d lanes, %d tries in an hour", seed, s.lanes, s.tries)
		}
	}
}

// TestLanesThatGiveNothingMoreAreGivenUp within minutes.
func TestLanesThatGiveNothingMoreAreGivenUp(t *testing.T) {
	for seed := range uint64(50) {
		s := newSeeker(seed)
		s.noise = 0.02
		s.fly(10, full(900, 30))
		if s.lanes < 16 {
			t.Fatalf("seed %d: %d lanes where each is needed", seed, s.lanes)
		}
		if s.fly(600, full(900, 450)); s.lanes > 4 {
			t.Errorf("seed %d: %d lanes ten minutes after two became enough", seed, s.lanes)
		}
	}
}

// TestALaneThatGrowsByItselfIsLetGrow: what its start-up adds after a race is not
// taken for the work of a second lane.
func TestALaneThatGrowsByItselfIsLetGrow(t *testing.T) {
	s := newSeeker(1)
	s.marks[carrierQUIC] = mark{100, 1, s.now}
	for _, mbit := range []float64{200, 400, 800} {
		if s.fly(1, full(900, mbit)); s.lanes > 1 {
			t.Fatalf("%d lanes at %.0f", s.lanes, mbit)
		}
	}
	if s.fly(20, full(900, 900)); s.lanes != 1 || s.tries == 0 {
		t.Errorf("%d lanes on a line that one fills, %d tries", s.lanes, s.tries)
	}
}

// TestAClearWinIsSeenEarly, a doubtful one and fewer lanes are measured in full.
func TestAClearWinIsSeenEarly(t *testing.T) {
	s := newSeeker(1)
	s.measured(100, s.now)
	if s.stage != trying || s.clear(140) || !s.clear(160) {
		t.Errorf("stage %d: 1.4 times %v, 1.6 times %v", s.stage, s.clear(140), s.clear(160))
	}
	s.seek.down = true
	if s.clear(160) {
		t.Error("fewer lanes that carry more: not measured in full")
	}
}

// TestOneLaneOfTCPMayFindItsRate before another is tried: BBR needs more than a first
// look for it, and many of its lanes would only queue.
func TestOneLaneOfTCPMayFindItsRate(t *testing.T) {
	s := newSeeker(1)
	s.pilot = newPilot(carrierTCP, 1, 32, s.now)
	s.fly(1, full(900, 300))
	if s.fly(3, full(900, 850)); s.lanes > 1 && s.stage == steady || s.lanes > 2 {
		t.Errorf("%d lanes, stage %d", s.lanes, s.stage)
	}
}
