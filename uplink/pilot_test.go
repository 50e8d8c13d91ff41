package uplink

import (
	"math/rand/v2"
	"testing"
	"time"
)

// a path is a line as a pilot meets it: what a number of lanes of a carrier carries.
type path struct {
	quic, tcp func(lanes int) float64
	noise     float64
}

// fly lets p measure once a second for a while under load; it returns what was
// carried and how often the carrier changed.
func (l path) fly(p *pilot, from time.Time, seconds int, random *rand.Rand) (carried float64, changes int) {
	last := p.carrier
	for i := range seconds {
		now := from.Add(time.Duration(i) * time.Second)
		p.wish(now)
		carries := l.quic
		if p.carrier == carrierTCP {
			carries = l.tcp
		}
		g := carries(p.lanes) * (1 + l.noise*(2*random.Float64()-1))
		carried += g
		p.measured(g, now)
		if p.stage != racing && p.carrier != last {
			last = p.carrier
			changes++
		}
	}
	return carried, changes
}

// full is a line of a capacity, of which one lane gets a share.
func full(capacity, one float64) func(int) float64 {
	return func(n int) float64 { return min(capacity, one*float64(n)) }
}

// TestTheBetterCarrierAndItsLanesAreFound on lines as they were measured: Mbit/s
// of one lane, and what the line gives.
func TestTheBetterCarrierAndItsLanesAreFound(t *testing.T) {
	cases := map[string]struct {
		path
		carrier string
		least   float64 // of the best, over three minutes
	}{
		"1 Gbit/s, no loss: TCP carries more":       {path{full(870, 250), full(940, 940), 0.03}, carrierTCP, 0.97},
		"1 Gbit/s, 1 % loss: TCP by far":            {path{full(260, 10), full(800, 800), 0.05}, carrierTCP, 0.95},
		"100 Mbit/s: both fill it, QUIC is ours":    {path{full(95, 95), full(97, 97), 0.03}, carrierQUIC, 0.93},
		"TCP is throttled: QUIC":                    {path{full(900, 300), full(20, 20), 0.03}, carrierQUIC, 0.93},
		"each lane gets a little: many are found":   {path{full(900, 30), full(300, 10), 0.02}, carrierQUIC, 0.85},
		"more lanes carry less: one stays":          {path{func(n int) float64 { return 500 / float64(n) }, func(n int) float64 { return 100 / float64(n) }, 0.02}, carrierQUIC, 0.93},
		"a swinging line: no flight back and forth": {path{full(200, 100), full(210, 105), 0.25}, "", 0.7},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(50) {
				random := rand.New(rand.NewPCG(seed, 1))
				start := time.Unix(1e9, 0)
				p := newPilot("auto", 1, 32, start)
				p.arrived(carrierQUIC, start)
				carried, changes := c.fly(p, start, 180, random)
				best := max(c.quic(1), c.quic(32), c.tcp(1), c.tcp(32))
				if c.carrier == carrierQUIC {
					best = max(c.quic(1), c.quic(32))
				}
				if p.stage == racing || c.carrier != "" && p.carrier != c.carrier || carried < c.least*best*180 || changes > 3 {
					t.Fatalf("seed %d: %s on %d lanes (stage %d), carried %.2f of the best, %d changes", seed, p.carrier, p.lanes, p.stage, carried/best/180, changes)
				}
			}
		})
	}
}

// TestUDPBlocked: TCP is dialled a second after QUIC, stays in charge, and QUIC
// is tried again later, at growing intervals; when it gets through it is compared.
func TestUDPBlocked(t *testing.T) {
	now := time.Unix(1e9, 0)
	p := newPilot("auto", 1, 32, now)
	if w := p.wish(now); w[carrierQUIC] != 1 || w[carrierTCP] != 0 {
		t.Fatalf("at first %v", w)
	}
	now = now.Add(headStart)
	if w := p.wish(now); w[carrierTCP] != 1 {
		t.Fatalf("after a second %v", w)
	}
	p.arrived(carrierTCP, now)
	p.failed(carrierQUIC, true, now.Add(4*time.Second))
	if p.carrier != carrierTCP || p.why != WhyUDPBlocked {
		t.Fatalf("%s, %s", p.carrier, p.why)
	}
	knocks := 0
	for range 3600 {
		now = now.Add(time.Second)
		p.measured(500, now)
		if p.stage == racing {
			t.Fatal("a race against a carrier that does not get through")
		}
		if p.wish(now)[carrierQUIC] > 0 {
			knocks++
			p.failed(carrierQUIC, true, now)
		}
	}
	if knocks < 5 || knocks > 9 {
		t.Errorf("%d knocks in an hour", knocks)
	}
	p.arrived(carrierQUIC, now)
	p.measured(500, now)
	if p.stage != racing || p.carrier != carrierQUIC {
		t.Errorf("UDP is open again and is not compared: stage %d, %s", p.stage, p.carrier)
	}
	p.failed(carrierQUIC, true, now)
	if p.carrier != carrierTCP || p.stage != steady {
		t.Errorf("the challenger went away: stage %d, %s in charge", p.stage, p.carrier)
	}
}

// TestAHubThatWasAwaySaysNothingOfUDP: neither carrier had an answer, and TCP was first
// when it came back.
func TestAHubThatWasAwaySaysNothingOfUDP(t *testing.T) {
	now := time.Unix(1e9, 0)
	p := newPilot("auto", 1, 32, now)
	p.failed(carrierQUIC, false, now)
	p.failed(carrierTCP, false, now)
	now = now.Add(time.Minute)
	if p.arrived(carrierTCP, now); p.carrier != carrierTCP || p.why != WhyFirst {
		t.Errorf("%s, %s", p.carrier, p.why)
	}
	if p.failed(carrierQUIC, true, now.Add(time.Minute)); p.why != WhyUDPBlocked {
		t.Errorf("UDP had no answer while TCP had: %s", p.why)
	}
}

// TestAnOutageOpensNoUDP: what was known to be blocked before the hub went away is so
// when it is back, until QUIC connects.
func TestAnOutageOpensNoUDP(t *testing.T) {
	now := time.Unix(1e9, 0)
	p := newPilot("auto", 1, 32, now)
	p.failed(carrierQUIC, false, now)
	p.arrived(carrierTCP, now)
	p.failed(carrierQUIC, true, now)
	p.alone(now)
	p.failed(carrierQUIC, false, now)
	p.failed(carrierTCP, false, now)
	if p.arrived(carrierTCP, now); p.why != WhyUDPBlocked {
		t.Errorf("after the outage: %s", p.why)
	}
	p.arrived(carrierQUIC, now)
	p.alone(now)
	p.failed(carrierQUIC, false, now)
	if p.arrived(carrierTCP, now); p.why != WhyFirst {
		t.Errorf("QUIC had got through meanwhile: %s", p.why)
	}
}

// TestAConfiguredCarrierStays whatever happens to it.
func TestAConfiguredCarrierStays(t *testing.T) {
	now := time.Unix(1e9, 0)
	p := newPilot(carrierQUIC, 2, 4, now)
	for i := range 300 {
		now = now.Add(time.Second)
		p.failed(carrierQUIC, false, now)
		p.measured(float64(1+i%7), now)
		if w := p.wish(now); w[carrierTCP] != 0 || w[carrierQUIC] < 2 || w[carrierQUIC] > 4 || p.why != WhyConfigured {
			t.Fatalf("%v, %s", w, p.why)
		}
	}
}

// TestASlumpIsNoticed: three bad seconds, and both carriers are looked at again.
func TestASlumpIsNoticed(t *testing.T) {
	start := time.Unix(1e9, 0)
	p := newPilot("auto", 1, 32, start)
	p.arrived(carrierQUIC, start)
	random := rand.New(rand.NewPCG(1, 1))
	path{full(90, 90), full(90, 90), 0.02}.fly(p, start, 60, random)
	if p.carrier != carrierQUIC {
		t.Fatal(p.carrier)
	}
	start = start.Add(time.Minute)
	path{full(5, 5), full(85, 85), 0.02}.fly(p, start, 20, random)
	if p.carrier != carrierTCP || p.why != WhyFaster {
		t.Errorf("twenty seconds after QUIC fell to 5 of 90: %s, %s", p.carrier, p.why)
	}
}

// TestAStudyThatEndsInARaceIsNoRace: nothing is decided by a line without load, and
// the next study is not raced at once.
func TestAStudyThatEndsInARaceIsNoRace(t *testing.T) {
	now := time.Unix(1e9, 0)
	p := newPilot("auto", 1, 32, now)
	p.arrived(carrierQUIC, now)
	p.measured(100, now)
	if p.stage != racing {
		t.Fatalf("stage %d under load", p.stage)
	}
	p.unloaded(now)
	if p.stage != steady || p.carrier != carrierQUIC || len(p.marks) != 1 {
		t.Fatalf("stage %d, %s, %v", p.stage, p.carrier, p.marks)
	}
	p.measured(100, now.Add(time.Second))
	if p.stage == racing {
		t.Error("raced again a second later")
	}
	p.unloaded(now.Add(2 * time.Second))
	p.measured(100, now.Add(voidRest+3*time.Second))
	if p.stage != racing {
		t.Errorf("stage %d under load, half a minute later", p.stage)
	}
}
