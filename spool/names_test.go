package spool

import (
	"context"
	"testing"
	"time"
)

func called(n int, name string) New {
	w := newSample(n)
	w.Name = name
	return w
}

func conflicting(t *testing.T, s *Spool, want ...Object) {
	t.Helper()
	in := map[ID]bool{}
	for _, o := range want {
		in[o.ID] = true
	}
	for _, o := range s.Objects(0, 100) {
		if o.Conflict != in[o.ID] {
			t.Errorf("object %d: conflict %v, want %v", o.Seq, o.Conflict, in[o.ID])
		}
	}
	if n := s.Stats().Conflicts; n != int64(len(want)) {
		t.Errorf("%d objects in conflict, want %d", n, len(want))
	}
}

// P5, SPOOL-9: other contents under a name that was here already are kept beside
// the first ones and told, both, over every start; the same contents again are no
// conflict, and objects without a name never are.
func TestOneNameOtherContentsIsTold(t *testing.T) {
	inBoth(t, func(t *testing.T, key []byte) {
		cfg := memConfig(newMemFSWith(key))
		s := open(t, cfg)
		a, _ := put(t, s, called(1, "1.2.3"), sample(1, 500))
		put(t, s, called(1, "1.2.3"), sample(1, 500)) // the same again
		other, _ := put(t, s, called(2, "1.2.4"), sample(2, 500))
		put(t, s, newSample(3), sample(3, 500))
		put(t, s, newSample(4), sample(4, 500))
		conflicting(t, s)
		b, _ := put(t, s, called(5, "1.2.3"), sample(5, 600))
		if !b.Conflict {
			t.Error("the second contents are not told when they come")
		}
		c, _ := put(t, s, called(6, "1.2.3"), sample(6, 700))
		conflicting(t, s, a, b, c)
		s.Close()
		s = open(t, cfg)
		conflicting(t, s, a, b, c)
		for _, o := range []Object{b, c} { // the middle one and the newest go
			if err := s.Discard(context.Background(), Discard{ID: o.ID, By: "anna", Reason: "sent twice"}); err != nil {
				t.Fatal(err)
			}
		}
		conflicting(t, s, a)
		d, _ := put(t, s, called(7, "1.2.3"), sample(7, 700))
		conflicting(t, s, a, d)
		if err := s.Discard(context.Background(), Discard{ID: other.ID, By: "anna", Reason: "test"}); err != nil {
			t.Fatal(err)
		}
		e, _ := put(t, s, called(8, "1.2.4"), sample(8, 500)) // nothing of that name is left
		if e.Conflict {
			t.Error("a name that nobody has any more is in conflict")
		}
	})
}

// P9: whoever sends one name again and again with other contents costs no more for
// each than others do.
func TestManyOfOneNameAreCheap(t *testing.T) {
	s := newSpool(Config{Now: time.Now}, newMemFS())
	var all []*entry
	for n := range 200_000 {
		e := &entry{facts: facts{id: ID{byte(n), byte(n >> 8), byte(n >> 16)}}, name: sumOf("1.2.3")}
		s.called(e)
		all = append(all, e)
	}
	for _, e := range all {
		s.uncalled(e)
	}
	if len(s.byName) != 0 || s.conflicts != 0 {
		t.Fatalf("%d names, %d conflicts are left", len(s.byName), s.conflicts)
	}
}
