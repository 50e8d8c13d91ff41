package receive_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"edged/uplink/uplinktest/sim"
	"edged/uplink/wire"
)

// plan is what a seed draws: the line, the objects, what breaks and when.
// docs/simulation.md lists it.
type plan struct {
	seed    uint64
	carrier string // of the appliance's configuration
	lanes   int    // that it has at least
	nodes   int
	line    sim.Line
	objects []planned
	faults  []fault

	caps     []limit // in order; none after the last
	schedule bool    // they are a schedule; else somebody changes the rate
	backfill int64   // the cap of backfill
}

// cap is the rate after d.
func (p plan) cap(d time.Duration) (bits int64) {
	for _, c := range p.caps {
		if d >= c.at {
			bits = c.bits
		}
	}
	return bits
}

// planned is an object that the modality sends at a time.
type planned struct {
	at       time.Duration
	size     int
	priority uint8
}

type limit struct {
	at   time.Duration
	bits int64 // 0: unlimited
}

type fault struct {
	at   time.Duration
	what kind
	node int           // of killHub
	down time.Duration // how long it stays dead
}

type kind int

const (
	killHub kind = iota // the process of a node dies and comes back
	rebind              // the router forgets the appliance's address
	move                // the appliance gets another address, its sockets are dead
	restart             // the appliance's process dies and comes back
	kinds
)

func (k kind) String() string { return [...]string{"kill hub", "rebind", "move", "restart"}[k] }

// busyTime is when most is sent, and when things break.
const busyTime = 40 * time.Second

func newPlan(seed uint64) plan {
	r := rand.New(rand.NewPCG(seed, 1))
	p := plan{seed: seed, carrier: []string{"auto", "auto", "quic", "tcp"}[r.IntN(4)], nodes: 1 + r.IntN(2), lanes: 1 + r.IntN(4)*r.IntN(2)}
	p.line = sim.Line{
		Delay:     time.Duration(1+r.IntN(100)) * time.Millisecond,
		Jitter:    time.Duration(r.IntN(3)*r.IntN(10)) * time.Millisecond,
		Rate:      pick[int64](r, 0, 0, 4e6, 20e6, 100e6),
		MTU:       pick(r, 0, 1280, 1400, 1500),
		Loss:      pick(r, 0, 0, 0.001, 0.01, 0.05, 0.1),
		Duplicate: pick(r, 0, 0, 0.01, 0.1),
	}
	for range r.IntN(4) {
		p.line.Outages = append(p.line.Outages, outage(r))
	}
	for range 10 + r.IntN(40) {
		p.objects = append(p.objects, planned{at: when(r), size: size(r), priority: uint8(r.IntN(wire.Classes))})
	}
	for range r.IntN(5) {
		f := fault{at: when(r), what: kind(r.IntN(int(kinds))), node: r.IntN(p.nodes), down: time.Duration(r.ExpFloat64() * float64(20*time.Second))}
		p.faults = append(p.faults, f)
	}
	slices.SortFunc(p.faults, func(a, b fault) int { return int(a.at - b.at) })
	for at := time.Duration(0); at < busyTime; at += time.Duration(1+r.IntN(30)) * time.Second {
		p.caps = append(p.caps, limit{at, pick[int64](r, 0, 1e6, 2e6, 8e6)})
	}
	p.schedule, p.backfill = r.IntN(2) == 0, pick[int64](r, 0, 0, 500e3)
	return p
}

func pick[T any](r *rand.Rand, from ...T) T { return from[r.IntN(len(from))] }

// when is at once for half of what happens.
func when(r *rand.Rand) time.Duration {
	if r.IntN(2) == 0 {
		return time.Duration(r.Int64N(int64(5 * time.Second)))
	}
	return time.Duration(r.Int64N(int64(busyTime)))
}

// outage lasts from moments to ten minutes; one in three goes one way only.
func outage(r *rand.Rand) sim.Outage {
	from := when(r)
	lasts := pick(r, time.Second, 10*time.Second, time.Minute, 10*time.Minute)
	o := sim.Outage{From: from, To: from + lasts/10 + time.Duration(r.Int64N(int64(lasts)))}
	switch r.IntN(6) {
	case 0:
		o.Up = true
	case 1:
		o.Down = true
	}
	return o
}

// size prefers what is awkward: nothing, one byte, around a chunk.
func size(r *rand.Rand) int {
	switch r.IntN(10) {
	case 0:
		return pick(r, 0, 1, 4095, 4096, 4097)
	case 1:
		return wire.MaxBody + r.IntN(3) - 1
	case 2, 3:
		return r.IntN(300_000)
	}
	return r.IntN(40_000)
}

func (p plan) String() string {
	var b strings.Builder
	total := 0
	for _, o := range p.objects {
		total += o.size
	}
	fmt.Fprintf(&b, "seed %d: carrier %s, %d lanes or more, %d nodes, %d objects of %d bytes, line %+v, caps %v (schedule %t, backfill %d), faults",
		p.seed, p.carrier, p.lanes, p.nodes, len(p.objects), total, p.line, p.caps, p.schedule, p.backfill)
	for _, f := range p.faults {
		fmt.Fprintf(&b, " [%s: %s %d for %s]", f.at.Round(time.Millisecond), f.what, f.node, f.down.Round(time.Millisecond))
	}
	return b.String()
}
