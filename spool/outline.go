package spool

import (
	"math"
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
