package spool

import (
	"container/list"
	"sort"
	"time"
)

// group sums up the objects of one group. Guarded by Spool.mu.
type group struct {
	name         string
	byState      [states]int64
	bytes        int64  // content of what is here
	waiting      int64  // of these, of what is still to be sent
	there        int64  // and of what the hub has
	first        uint64 // nothing of it that is here came before; zero: nothing came
	last         uint64
	lastReceived int64
	forgotten    int64 // of which a tombstone is left
	discarded    int64 // of those
	tests        int64 // test objects, here or forgotten
	parts        partSet

	expected expectation   // what is to come, if somebody said
	quiet    time.Duration // zero: the Config's
	moves    uint64        // arrivals and discards since the start
	movedAt  int64         // Spool.ran at the last of them
	row      *groupRow     // its last event, nil: none yet
	inUntold *list.Element // in Spool.untold; nil: it does not wait to be told
	place    chained       // in Spool.latest
}

// part sums up what came of one part and was not discarded. A nil one is of an
// object of which nobody knows where it belongs.
type part struct {
	name           string
	objects, bytes int64
}

func (p *part) add(objects, bytes int64) {
	if p != nil {
		p.objects += objects
		p.bytes += bytes
	}
}

func (p *part) label() string {
	if p == nil {
		return ""
	}
	return p.name
}

// weigh adds content in that state.
func (g *group) weigh(st State, bytes int64) {
	g.bytes += bytes
	switch st {
	case Received, Sending:
		g.waiting += bytes
	case AtHub, Held, Archived:
		g.there += bytes
	}
}

// waits says whether something of it is still to be sent.
func (g *group) waits() bool { return g.byState[Received]+g.byState[Sending] > 0 }

func (g *group) live() (n int64) {
	for _, c := range g.byState {
		n += c
	}
	return n
}

// part returns the part of that name.
func (g *group) part(name string) *part {
	p := g.parts.named(name)
	if p == nil {
		p = &part{name: name}
		g.parts.add(p)
	}
	return p
}

// prune lets a part go of which nothing is left.
func (g *group) prune(p *part) {
	if p != nil && p.objects == 0 {
		g.parts.remove(p)
	}
}

// bury counts the row of an object that was let go, or takes it out again.
func (g *group) bury(o op, by int64) {
	g.forgotten += by
	if o.discard {
		g.discarded += by
		return
	}
	if o.test {
		g.tests += by
	}
	p := g.part(o.part)
	p.add(by, by*o.length)
	g.prune(p)
}

func (g *group) allTest() bool {
	n := g.live() + g.forgotten - g.discarded
	return n > 0 && g.tests == n
}

// partList lists parts by name, as many as a row of so many bytes holds.
func (g *group) partList(limit int) []GroupPart {
	out := make([]GroupPart, 0, g.parts.len())
	for p := range g.parts.all {
		if p.objects > 0 {
			out = append(out, GroupPart{Name: p.name, Objects: p.objects, Bytes: p.bytes})
		}
	}
	sort.Slice(out, func(i, k int) bool { return out[i].Name < out[k].Name })
	for i, p := range out {
		if limit -= len(p.Name) + 2 + 8 + 8; limit < 0 {
			return out[:i]
		}
	}
	return out
}

// intern returns the group of that name. Guarded by mu.
func (s *Spool) intern(name string) *group {
	g := s.groups[name]
	if g == nil {
		g = &group{name: name}
		s.groups[name] = g
	}
	return g
}

// dismiss lets a group go of which nothing is here or remembered, and its event
// with it: what is kept of groups is bounded by what is kept of objects (P9).
// Guarded by mu.
func (s *Spool) dismiss(g *group) {
	if s.groups[g.name] != g || g.live() > 0 || g.forgotten > 0 {
		return
	}
	delete(s.groups, g.name)
	delete(s.unsettled, g)
	s.isTold(g)
	s.latest.drop(g)
}
