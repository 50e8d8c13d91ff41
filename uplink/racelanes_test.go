package uplink

import (
	"testing"
	"time"
)

// config.go says: maxLanes is what a hub admits of one appliance (34), less what a
// line test needs. So all lanes together, also in a race, are at most maxLanes.
func TestARaceAsksForNoMoreLanesThanTheHubAdmits(t *testing.T) {
	now := time.Unix(0, 0)
	p := newPilot("auto", 1, maxLanes, now)
	p.arrived(carrierTCP, now)
	p.take(carrierTCP, WhyFaster, now) // found before: QUIC did best on 32 lanes, TCP better on 8
	p.marks[carrierQUIC] = mark{5e8, 32, now}
	p.marks[carrierTCP] = mark{8e8, 8, now}
	p.lanes = 8
	p.watch(8e8, now.Add(time.Hour))
	sum := 0
	for _, n := range p.wish(now.Add(time.Hour)) {
		sum += n
	}
	if sum > maxLanes {
		t.Errorf("%d lanes are wished for in stage %d; the hub closes the oldest above 34", sum, p.stage)
	}
}
