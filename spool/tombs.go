package spool

import "time"

// tombs remembers the objects that were forgotten last. A ring, so that it is bounded.
type tombs struct {
	ring  []op
	start int
	ids   map[ID]int              // how many tombstones an ID has
	names map[nameSum]*namedTombs // and which a name has
}

// add remembers o; the oldest goes when there are more than limit.
func (t *tombs) add(o op, limit int) (old op, gone bool) {
	if t.ids == nil {
		t.ids, t.names = map[ID]int{}, map[nameSum]*namedTombs{}
	}
	if !o.healed && o.id != (ID{}) { // else the object itself is here, or nobody knows which it was
		t.ids[o.id]++
	}
	old = o
	switch {
	case len(t.ring) < limit:
		t.ring = append(t.ring, o)
		t.call(len(t.ring) - 1)
		return op{}, false
	case limit > 0:
		t.uncall(t.start)
		old, t.ring[t.start] = t.ring[t.start], o
		t.call(t.start)
		t.start = (t.start + 1) % limit
	}
	if old.healed {
		return old, true
	}
	if t.ids[old.id]--; t.ids[old.id] <= 0 {
		delete(t.ids, old.id)
	}
	return old, true
}

// bury remembers an object that was let go, in its group too. Guarded by mu.
func (s *Spool) bury(o op) {
	if o.buried() {
		g := s.intern(o.group)
		s.latest.reached(g, o.seq)
		g.bury(o, +1)
	}
	old, gone := s.tombs.add(o, s.cfg.MaxTombstones)
	if !gone || !old.buried() {
		return
	}
	if g := s.groups[old.group]; g != nil {
		g.bury(old, -1)
		s.dismiss(g)
	}
}

// buried says whether the row counts in a group: it is not about a copy of what
// is still here, and the group is known.
func (o op) buried() bool { return !o.healed && !o.lost }

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
	Part       string
	Length     int64
	ArchivedAt time.Time // zero when it was discarded
	Test       bool

	Discarded   bool // an administrator let it go: the archive may never have had it
	DiscardedAt time.Time
	By, Reason  string // who, and why
}

// Forgotten lists the objects that were let go last, newest first.
func (s *Spool) Forgotten(limit int) []Forgotten {
	s.mu.Lock()
	defer s.mu.Unlock()
	return forgottenOf(s.tombs.list(), limit)
}

func (o op) forgotten() Forgotten {
	f := Forgotten{ID: o.id, Seq: o.seq, Group: o.group, Part: o.part, Length: o.length, Test: o.test, Discarded: o.discard, By: o.by}
	if at := time.Unix(0, o.at); o.discard {
		f.DiscardedAt, f.Reason = at, o.reason
	} else {
		f.ArchivedAt = at
	}
	return f
}
