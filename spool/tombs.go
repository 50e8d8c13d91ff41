package spool

import "time"

// group sums up the objects of one group. Guarded by Spool.mu.
type group struct {
	name         string
	byState      [states]int64
	bytes        int64
	last         uint64
	lastReceived int64
	forgotten    int64 // of which a tombstone is left
}

func (g *group) live() (n int64) {
	for _, c := range g.byState {
		n += c
	}
	return n
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

// tombs remembers the objects that were forgotten last. A ring, so that it is bounded.
type tombs struct {
	ring  []op
	start int
	ids   map[ID]int // how many tombstones an ID has
}

// add remembers o and lets the oldest go when there are more than limit.
func (t *tombs) add(o op, limit int, groups map[string]*group) {
	if t.ids == nil {
		t.ids = map[ID]int{}
	}
	if !o.healed && o.id != (ID{}) { // else the object itself is here, or nobody knows which it was
		t.ids[o.id]++
	}
	old := o
	switch {
	case len(t.ring) < limit:
		t.ring = append(t.ring, o)
		return
	case limit > 0:
		old, t.ring[t.start] = t.ring[t.start], o
		t.start = (t.start + 1) % limit
	}
	if old.healed {
		return
	}
	if t.ids[old.id]--; t.ids[old.id] <= 0 {
		delete(t.ids, old.id)
	}
	if g := groups[old.group]; g != nil && !old.lost {
		if g.forgotten--; g.forgotten <= 0 && g.live() == 0 {
			delete(groups, old.group)
		}
	}
}

// list returns them, oldest first.
func (t *tombs) list() []op {
	out := make([]op, 0, len(t.ring))
	out = append(out, t.ring[t.start:]...)
	return append(out, t.ring[:t.start]...)
}

// Forgotten is what is still known of an object that is no longer here.
type Forgotten struct {
	ID         ID
	Seq        uint64
	Group      string
	Length     int64
	ArchivedAt time.Time
	Test       bool

	Discarded   bool // an administrator let it go: the archive may never have had it
	DiscardedAt time.Time
	By, Reason  string // who, and why
}

// Forgotten lists the objects that were forgotten last, newest first.
func (s *Spool) Forgotten(limit int) []Forgotten {
	s.mu.Lock()
	defer s.mu.Unlock()
	return forgottenOf(s.tombs.list(), limit)
}

func (o op) forgotten() Forgotten {
	f := Forgotten{ID: o.id, Seq: o.seq, Group: o.group, Length: o.length, Test: o.test, Discarded: o.discard, By: o.by}
	if at := time.Unix(0, o.at); o.discard {
		f.DiscardedAt, f.Reason = at, o.reason
	} else {
		f.ArchivedAt = at
	}
	return f
}
