package main

import (
	"fmt"
	"maps"
	"testing"
)

// openGroups counts what is open, as a spool does.
type openGroups struct{ n map[string]int }

func (g *openGroups) OpenGroup(name string)  { g.n[name]++ }
func (g *openGroups) CloseGroup(name string) { g.n[name]-- }

// What an association has opened is closed when it ends, however that was, and
// nothing of anybody else's.
func TestAnAssociationClosesWhatItOpened(t *testing.T) {
	g, o := &openGroups{map[string]int{}}, &openStudies{}
	for _, s := range []struct {
		association uint64
		group       string
	}{{1, "a"}, {1, "a"}, {1, "b"}, {2, "a"}, {2, ""}} {
		o.begin(g, s.association, s.group)
	}
	if want := map[string]int{"a": 2, "b": 1}; !maps.Equal(g.n, want) {
		t.Errorf("open %v, want %v", g.n, want)
	}
	o.end(1)
	o.end(1)
	o.end(3) // sent nothing
	if want := map[string]int{"a": 1, "b": 0}; !maps.Equal(g.n, want) {
		t.Errorf("after the first ended: open %v, want %v", g.n, want)
	}
	o.end(2)
	if len(o.by) != 0 || g.n["a"] != 0 {
		t.Errorf("after all ended: %v, open %v", o.by, g.n)
	}
}

// An association that goes through ever new studies is bounded (P9), and closes no
// more than it opened.
func TestOpenStudiesAreBounded(t *testing.T) {
	g, o := &openGroups{map[string]int{}}, &openStudies{}
	for n := range 3 * maxOpenStudies {
		o.begin(g, 1, fmt.Sprint(n))
	}
	if len(g.n) != maxOpenStudies {
		t.Errorf("%d are open, want %d", len(g.n), maxOpenStudies)
	}
	o.end(1)
	for name, n := range g.n {
		if n != 0 {
			t.Errorf("%s: %d", name, n)
		}
	}
}
