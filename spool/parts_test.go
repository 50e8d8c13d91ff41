package spool

import (
	"fmt"
	"maps"
	"testing"
)

// A set of parts is a map by name, however many come and go.
func TestASetOfPartsIsAMap(t *testing.T) {
	var s partSet
	want := map[string]*part{}
	for step := range 400 {
		name := fmt.Sprint("1.2.", step*7%23)
		if p := s.named(name); p != want[name] {
			t.Fatalf("step %d: %s is %v, want %v", step, name, p, want[name])
		} else if p != nil && step%3 == 0 {
			s.remove(p)
			delete(want, name)
		} else if p == nil {
			want[name] = &part{name: name}
			s.add(want[name])
		}
		got := map[string]*part{}
		for p := range s.all {
			got[p.name] = p
		}
		if !maps.Equal(got, want) || s.len() != len(want) {
			t.Fatalf("step %d: %d parts %v, want %v", step, s.len(), got, want)
		}
	}
	s.remove(&part{name: "1.2.0"}) // another one of that name
	if len(want) > 0 && s.len() != len(want) {
		t.Error("one that is not in the set took one out")
	}
}
