package spool

import (
	"math"
	"sort"
)

// Outline is Objects without their Meta: nothing is read from the disk, so that a
// whole spool can be walked in a moment. Page through with the last Seq.
func (s *Spool) Outline(after uint64, limit int) (out []Object) {
	s.walk(after, math.MaxUint64, func(e *entry) bool {
		if len(out) < limit && !e.gone {
			out = append(out, e.object())
		}
		return len(out) < limit
	})
	return out
}

// GroupOutline is Outline for one group. It looks at what came between its first
// and its last object only.
func (s *Spool) GroupOutline(name string, after uint64, limit int) (out []Object) {
	s.mu.Lock()
	g, last := s.groups[name], uint64(0)
	if g != nil && g.first > 0 {
		after, last = max(after, g.first-1), g.last
	}
	s.mu.Unlock()
	s.walk(after, last, func(e *entry) bool {
		if len(out) < limit && !e.gone && e.group == g {
			out = append(out, e.object())
		}
		return len(out) < limit
	})
	return out
}

// walkAtOnce is at how many entries walk looks before it lets others have their turn:
// each commit takes mu, and its answer waits for it.
const walkAtOnce = 4096

// walk visits entries in the order of arrival, those from after to last, until visit
// has seen enough. What comes or goes meanwhile is visited or is not.
func (s *Spool) walk(after, last uint64, visit func(*entry) bool) {
	for more := after < last; more; {
		after, more = s.walkPiece(after, last, visit)
	}
}

func (s *Spool) walkPiece(after, last uint64, visit func(*entry) bool) (at uint64, more bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	from := s.at(after)
	for i := from; i < min(from+walkAtOnce, len(s.order)); i++ {
		e := s.order[i]
		if after = e.seq; e.seq > last || !visit(e) {
			return after, false
		}
	}
	return after, from+walkAtOnce < len(s.order)
}

// Meta is that of one object; nil when it is not here, or cannot be read now.
func (s *Spool) Meta(seq uint64) []byte {
	s.mu.Lock()
	e := s.atSeq(seq)
	s.mu.Unlock()
	if e == nil {
		return nil
	}
	return s.meta(seq)
}

// latest picks the limit groups with the newest objects, the newest first, without
// putting all others in order.
func latest(all []*group, limit int) []*group {
	limit = min(len(all), max(limit, 0))
	newer := func(a, b *group) bool { return a.last > b.last || a.last == b.last && a.name < b.name }
	if limit < len(all)/16 {
		top := make([]*group, 0, limit+1) // sorted, the newest first
		for _, g := range all {
			if len(top) == limit && (limit == 0 || !newer(g, top[limit-1])) {
				continue
			}
			i := sort.Search(len(top), func(i int) bool { return newer(g, top[i]) })
			top = append(top, nil)
			copy(top[i+1:], top[i:])
			top[i] = g
			top = top[:min(len(top), limit)]
		}
		return top
	}
	sort.Slice(all, func(i, k int) bool { return newer(all[i], all[k]) })
	return all[:limit]
}
