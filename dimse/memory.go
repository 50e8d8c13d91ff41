package dimse

import "sync/atomic"

// memory is what the small data sets of all associations of a Server may take
// together (P9).
type memory struct{ left atomic.Int64 }

// share is what one association has of it. The association's goroutine owns it.
type share struct {
	of    *memory // nil: of a Client, whose own limits are enough
	taken int64
}

// take says whether there were n bytes left.
func (s *share) take(n int64) bool {
	if s.of != nil && s.of.left.Add(-n) < 0 {
		s.of.left.Add(n)
		return false
	}
	s.taken += n
	return true
}

func (s *share) give(n int64) {
	if s.of != nil {
		s.of.left.Add(n)
	}
	s.taken -= n
}

func (s *share) giveAll() { s.give(s.taken) }

// freeSmall of each small data set is not counted, so that an ordinary request is
// served on every association whoever else fills the memory.
const freeSmall = 64 << 10

func charged(size int64) int64 { return max(size-freeSmall, 0) }

// grow gives a buffer room for as much again, at most MaxSmallDataSet, if there is
// any. It grows as bytes arrive; what the peer declares allocates nothing (P9).
func (s *share) grow(b []byte) (_ []byte, ok bool) {
	before := int64(cap(b))
	after := min(max(2*before, 1<<10), MaxSmallDataSet)
	if after == before || !s.take(charged(after)) {
		return nil, false
	}
	b = append(make([]byte, 0, after), b...)
	s.give(charged(before)) // for a moment both were there, and both were counted
	return b, true
}
