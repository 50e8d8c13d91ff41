package main

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"sync"
	"time"

	"edged/agent/status"
	"edged/spool"
	"edged/uplink"
)

// departures follows what leaves, for people: how far the studies are of which
// something is on its way, and how fast. Objects are in here from their lease to
// its end, studies as long as one of theirs is and a little longer, so that both are
// bounded by what the uplink takes at once (P9). It knows no more than the spool.
type departures struct {
	now func() time.Time

	mu     sync.Mutex // guards what follows
	moving map[string]*movement
	flying map[spool.ID]*flying
	left   [3]int64 // bytes that left since the start, by priority; what is sent twice counts twice
	told   [3]int64 // that when moved was asked last
}

// movement is what a study does.
type movement struct {
	partly int64 // bytes sent of objects without a receipt
	flying int   // objects leased
	pace   pace
}

// flying is an object that was leased.
type flying struct {
	study *movement
	class uint8
	sent  int64
}

func newDepartures() *departures {
	return &departures{now: time.Now, moving: map[string]*movement{}, flying: map[spool.ID]*flying{}}
}

// begin is told of a lease. All of them may be called on a nil *departures.
func (p *departures) begin(o spool.Object) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.flying[o.ID] != nil {
		return
	}
	m := p.moving[o.Group]
	if m == nil {
		p.sweep()
		m = &movement{}
		p.moving[o.Group] = m
	}
	m.flying++
	p.flying[o.ID] = &flying{study: m, class: min(uint8(o.Priority), uint8(len(p.left)-1))}
}

// sent is told when sent bytes of an object have left; see uplink.Config.Progress.
// It hears of each chunk, from every lane.
func (p *departures) sent(o uplink.Object, sent int64) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	f := p.flying[spool.ID(o.ID)]
	if f == nil {
		return // its receipt was faster
	}
	step := sent - f.sent
	if step < 0 || f.sent == 0 {
		step = min(sent, chunkBytes) // it begins anew, or in the middle where the hub had a part
	}
	f.study.partly += sent - f.sent
	f.sent = sent
	f.study.pace.add(p.now(), step)
	p.left[f.class] += step
}

// chunkBytes is the most that one call of sent speaks of (uplink/wire).
const chunkBytes = 256 << 10

// end is told of the end of a lease.
func (p *departures) end(id spool.ID) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if f := p.flying[id]; f != nil {
		delete(p.flying, id)
		f.study.flying--
		f.study.partly -= f.sent
	}
}

// sweep lets go of studies of which nothing is on its way any more. Called with mu held.
func (p *departures) sweep() {
	now := p.now()
	for name, m := range p.moving {
		if m.flying == 0 && m.pace.forgotten(now) {
			delete(p.moving, name)
		}
	}
}

// of says how far a group is; nil when nothing of it is still to be sent.
func (p *departures) of(g spool.Group) *status.Progress {
	if g.ByState[spool.Received]+g.ByState[spool.Sending] == 0 {
		return nil
	}
	out := &status.Progress{SentBytes: g.There, TotalBytes: g.There + g.Waiting}
	if p == nil {
		return out
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	m := p.moving[g.Name]
	if m == nil {
		return out
	}
	now := p.now()
	out.SentBytes += min(m.partly, g.Waiting) // a receipt may be in one sum and not yet out of the other
	out.RateBitsPerSecond = int64(8 * m.pace.perSecond(now))
	if seconds, known := m.pace.secondsFor(now, out.TotalBytes-out.SentBytes); known {
		out.EndsAt = now.Add(time.Duration(seconds * float64(time.Second)))
	}
	return out
}

// studies are the names of at most limit groups of which something is on its way or
// was a moment ago, those of which something is leased first, then the latest.
func (p *departures) studies(limit int) []string {
	if p == nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sweep()
	names := slices.Collect(maps.Keys(p.moving))
	slices.SortFunc(names, func(x, y string) int {
		a, b := p.moving[x], p.moving[y]
		return cmp.Or(cmp.Compare(min(b.flying, 1), min(a.flying, 1)), b.pace.last.Compare(a.pace.last), cmp.Compare(x, y))
	})
	return names[:min(len(names), max(limit, 0))]
}

// bytesLeft are the bytes that left since the start, by priority.
func (p *departures) bytesLeft() status.Classes {
	if p == nil {
		return status.Classes{}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return status.Classes{Urgent: p.left[spool.Urgent], Routine: p.left[spool.Routine], Backfill: p.left[spool.Backfill]}
}

// moved says whether anything has left since it was asked last.
func (p *departures) moved() bool {
	if p == nil {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	before := p.told
	p.told = p.left
	return p.left != before
}

// pace is a rate, smoothed: what came t ago counts e^(-t/paceMemory) of what comes
// now. It takes no memory, and a study that stands still is seen to.
type pace struct {
	began, last time.Time
	level       float64 // bytes, faded to the moment last
}

const (
	paceMemory = 10 * time.Second
	paceYoung  = 3 * time.Second  // before nobody knows anything
	paceStill  = 15 * time.Second // after which it has stopped, for whatever reason
	paceGone   = time.Minute
	paceLong   = 7 * 24 * time.Hour // no estimate is worth anything beyond
)

func (p *pace) add(now time.Time, bytes int64) {
	if p.last.IsZero() || now.Sub(p.last) > paceStill { // it starts anew: what it did before says nothing
		*p = pace{began: now}
	}
	p.level = p.faded(now) + float64(bytes)
	p.last = now
}

func (p *pace) faded(now time.Time) float64 {
	if p.last.IsZero() {
		return 0
	}
	return p.level * math.Exp(-max(now.Sub(p.last), 0).Seconds()/paceMemory.Seconds())
}

// perSecond is 0 when there is no rate. The divisor is how much would have piled up
// of a steady byte a second since it began, so that a young rate is not too low.
func (p *pace) perSecond(now time.Time) float64 {
	age := now.Sub(p.began)
	if p.last.IsZero() || age < paceYoung || now.Sub(p.last) > paceStill {
		return 0
	}
	return p.faded(now) / (paceMemory.Seconds() * (1 - math.Exp(-age.Seconds()/paceMemory.Seconds())))
}

// secondsFor is how long that many bytes take at this rate, if anybody can say.
func (p *pace) secondsFor(now time.Time, bytes int64) (seconds float64, known bool) {
	rate := p.perSecond(now)
	if rate <= 0 {
		return 0, false
	}
	seconds = float64(max(bytes, 0)) / rate
	return seconds, seconds < paceLong.Seconds()
}

func (p *pace) forgotten(now time.Time) bool { return p.last.IsZero() || now.Sub(p.last) > paceGone }
