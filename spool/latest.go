package spool

import "sort"

// latest keeps groups in the order of their newest object, so that who asks for some of
// them does not look at all, under the lock that each C-STORE needs. The chain runs through
// the groups themselves: there are 100,000. It is nil while the spool is being recovered.
// Guarded by Spool.mu.
type latest struct {
	ends chained // older is the newest of all, newer the oldest
	n    int
}

// chained is a place in latest.
type chained struct {
	newer, older *group // nil at an end
	in           bool
}

// newLatest puts groups in order once, after a start.
func newLatest(groups map[string]*group) *latest {
	all := make([]*group, 0, len(groups))
	for _, g := range groups {
		all = append(all, g)
	}
	sort.Slice(all, func(i, k int) bool { return all[i].last > all[k].last })
	l := &latest{}
	for _, g := range all {
		l.put(g, l.ends.newer)
	}
	return l
}

// reached notes the number of an object of g. Numbers come nearly in order: it steps over
// those alone whose commit overtook this one.
func (l *latest) reached(g *group, seq uint64) {
	newer := seq > g.last
	g.last = max(g.last, seq)
	if l == nil || !newer && g.place.in {
		return
	}
	l.drop(g)
	var before *group // the oldest of those that are newer
	for at := l.ends.older; at != nil && at.last > g.last; at = at.place.older {
		before = at
	}
	l.put(g, before)
}

// put makes g the next older one of before, of nil the newest.
func (l *latest) put(g, before *group) {
	next := l.ends.older
	if before != nil {
		next = before.place.older
	}
	g.place = chained{newer: before, older: next, in: true}
	l.of(before).older, l.of(next).newer = g, g
	l.n++
}

// drop lets g go.
func (l *latest) drop(g *group) {
	if l == nil || !g.place.in {
		return
	}
	newer, older := g.place.newer, g.place.older
	l.of(newer).older, l.of(older).newer = older, newer
	g.place = chained{}
	l.n--
}

// of is the place of a group, of nil that before the first and behind the last.
func (l *latest) of(g *group) *chained {
	if g == nil {
		return &l.ends
	}
	return &g.place
}

// some are at most so many, the newest first. It looks at no others.
func (l *latest) some(limit int) []*group {
	if l == nil {
		return nil
	}
	out := make([]*group, 0, min(l.n, max(limit, 0)))
	for at := l.ends.older; len(out) < cap(out); at = at.place.older {
		out = append(out, at)
	}
	return out
}
