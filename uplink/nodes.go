package uplink

import (
	"math/rand/v2"
	"time"
)

// nodes chooses which node of the hub to use and when: the current one until
// it fails, then the one that may be tried first. It is owned by Run.
type nodes struct {
	list     []node
	current  int
	min, max time.Duration
	random   func() float64 // in [0, 1)
}

type node struct {
	addr      string
	failures  int
	notBefore time.Time
}

func newNodes(addrs []string, min, max time.Duration) *nodes {
	ns := &nodes{min: min, max: max, random: rand.Float64}
	for _, a := range addrs {
		ns.list = append(ns.list, node{addr: a})
	}
	return ns
}

// next makes the node that may be tried first the current one and says how
// long to wait for it. The current one wins a tie, then the order of the list.
func (ns *nodes) next(now time.Time) (*node, time.Duration) {
	best := ns.current
	for i := range ns.list {
		if ns.list[i].wait(now) < ns.list[best].wait(now) {
			best = i
		}
	}
	ns.current = best
	return &ns.list[best], ns.list[best].wait(now)
}

func (n *node) wait(now time.Time) time.Duration { return max(0, n.notBefore.Sub(now)) }

// failed sets when n may be tried again. The bound doubles from min to max and
// the pause is random below it, so that a fleet does not come back in one second.
func (ns *nodes) failed(n *node, now time.Time) {
	bound := ns.min << min(n.failures, 16)
	if bound <= 0 || bound > ns.max {
		bound = ns.max
	}
	n.failures++
	n.notBefore = now.Add(bound/4 + time.Duration(ns.random()*float64(bound-bound/4)))
}

// crowd waits longer when what ended this connection may have ended those of a whole
// fleet: a hub that starts again hangs up on thousands in the same moment, and
// whichever node they turn to next must not meet them in the same second. within is
// how long they are spread over.
func (ns *nodes) crowd(now time.Time, within time.Duration) {
	until := now.Add(time.Duration(ns.random() * float64(within)))
	for i := range ns.list {
		if ns.list[i].notBefore.Before(until) {
			ns.list[i].notBefore = until
		}
	}
}

// spread is how long a fleet is spread over that an end like this one may have sent
// off; zero: it concerns this appliance alone, or the hub does the spreading: a node that
// leaves sends its appliances to the others a few at a time, and nothing need wait. Who
// was told by the hub itself otherwise knows, and waits up to half the longest pause. A cut says nothing of whom it concerns: either
// a hub was killed, and no second may bring all back, or something on the way has
// closed this one connection, and images wait. It gets a sixth of that.
func (ns *nodes) spread(err error) time.Duration {
	switch {
	case leaving(err) && len(ns.list) > 1:
		return 0
	case leaving(err): // the same name may be another node's now
		return ns.max / 12
	case hungUp(err):
		return ns.max / 2
	case cutOff(err):
		return ns.max / 12
	}
	return 0
}

// worked forgets the failures of a node that said Welcome and stayed a while.
func (n *node) worked() { n.failures = 0 }

// setAside leaves a node alone.
func (n *node) setAside(until time.Time) { n.notBefore = until }
