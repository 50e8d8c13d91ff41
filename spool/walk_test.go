package spool

import (
	"fmt"
	"math"
	"testing"
)

// crowd is a spool of so many objects in memory, each hundred a group.
func crowd(n int) *Spool {
	s := &Spool{groups: map[string]*group{}}
	for i := range n {
		s.order = append(s.order, &entry{seq: uint64(i + 1), group: s.intern(fmt.Sprint(i / 100))})
	}
	return s
}

// Whoever walks a spool gives up its lock again and again, however many objects are
// there: each commit takes that lock, and a device waits for its answer.
func TestAWalkHoldsTheLockForFewObjects(t *testing.T) {
	const n = 10*walkAtOnce + 17
	s := crowd(n)
	none := &group{name: "none", first: 1, last: n} // of which each of these is looked at
	s.groups["none"] = none
	pieces, visited := 0, 0
	for after, more := uint64(0), true; more; pieces++ {
		before := visited
		after, more = s.walkPiece(after, math.MaxUint64, func(*entry) bool {
			if s.mu.TryLock() {
				t.Fatal("an object is looked at without the lock")
			}
			visited++
			return true
		})
		if visited-before > walkAtOnce {
			t.Errorf("%d objects are looked at in one go", visited-before)
		}
		if !s.mu.TryLock() {
			t.Fatal("the lock is held between two pieces")
		}
		s.mu.Unlock()
	}
	if pieces != 11 || visited != n {
		t.Errorf("%d objects in %d pieces", visited, pieces)
	}
	if got := len(s.Outline(0, n+1)); got != n {
		t.Errorf("%d of %d objects are listed", got, n)
	}
	if got := s.GroupOutline("none", 0, 10); got != nil {
		t.Errorf("a group that has none has %v", got)
	}
	if got := len(s.Outline(uint64(n-5), 3)); got != 3 {
		t.Errorf("%d objects, want 3", got)
	}
}

// The objects of a study are looked for where it begins, not at the oldest object: in
// an outage the studies that people ask about stand behind all others. What stands
// before its first object and behind its last one is not even looked at.
func TestAGroupIsLookedForWhereItBegins(t *testing.T) {
	s := open(t, Config{Dir: t.TempDir()})
	for i := range 30 {
		n := newSample(i)
		n.Group = fmt.Sprint("g", i/10)
		put(t, s, n, sample(i, 10))
	}
	s.mu.Lock()
	g := s.groups["g1"]
	real := map[*entry]*group{}
	for _, e := range s.order { // if others are looked at, they are taken for its own
		real[e], e.group = e.group, g
	}
	s.mu.Unlock()
	if list := s.GroupObjects("g1", 100); len(list) != 10 || list[0].Seq != g.first || list[9].Seq != g.last || list[0].Meta == nil {
		t.Errorf("%d objects", len(list))
	}
	if list := s.GroupOutline("g1", 0, 1); len(list) != 1 || list[0].Seq != g.first {
		t.Errorf("the first is %v", list)
	}
	s.mu.Lock()
	for e, of := range real {
		e.group = of
	}
	s.mu.Unlock()
}
