package spool

import (
	"fmt"
	"slices"
	"testing"
)

// An outline is the list without what has to be read from the disk, and a group's is
// its part of it.
func TestAnOutlineIsTheListWithoutMeta(t *testing.T) {
	s := open(t, Config{Dir: t.TempDir()})
	for i := range 40 {
		n := newSample(i)
		n.Group = fmt.Sprint("g", i%3)
		put(t, s, n, sample(i, 10))
	}
	want := s.Objects(0, 100)
	if err := s.Discard(t.Context(), Discard{Seq: want[4].Seq, ID: want[4].ID, By: "x", Reason: "y"}); err != nil {
		t.Fatal(err)
	}
	if s.Meta(want[4].Seq) != nil || s.Meta(1000) != nil || s.Meta(0) != nil {
		t.Error("there is Meta of what is not here")
	}
	want = slices.Delete(want, 4, 5)
	var got []Object
	for after := uint64(0); ; after = got[len(got)-1].Seq {
		page := s.Outline(after, 7)
		if got = append(got, page...); len(page) < 7 {
			break
		}
	}
	if len(got) != len(want) {
		t.Fatalf("%d objects, want %d", len(got), len(want))
	}
	counts := map[string]int{}
	for i, o := range got {
		if o.Meta != nil || o.ID != want[i].ID || o.Seq != want[i].Seq || string(s.Meta(o.Seq)) != string(want[i].Meta) {
			t.Errorf("%d is %+v, want %+v", i, o, want[i])
		}
		counts[o.Group]++
	}
	for g, n := range counts {
		all := s.GroupOutline(g, 0, 100)
		if len(all) != n || slices.ContainsFunc(all, func(o Object) bool { return o.Group != g }) {
			t.Errorf("group %s: %d objects, want %d", g, len(all), n)
		}
		if rest := s.GroupOutline(g, all[2].Seq, 3); len(rest) != 3 || rest[0].ID != all[3].ID {
			t.Errorf("group %s from its third on: %+v", g, rest)
		}
	}
	for g := range counts {
		whole, _ := s.Group(g)
		by, objects, ok := s.Figures(g)
		if !ok || objects != whole.Objects || by(Received) != whole.ByState[Received] {
			t.Errorf("group %s: figures %d, %d, want those of %+v", g, objects, by(Received), whole)
		}
	}
	if by, objects, ok := s.Figures("none"); ok || objects != 0 || by(Received) != 0 {
		t.Error("a group that is not here has figures")
	}
	if s.GroupOutline("none", 0, 10) != nil {
		t.Error("a group that is not here has objects")
	}
}

// The latest of many groups are the same ones, in the same order, as when all are put
// in order.
func TestTheLatestGroupsAreThose(t *testing.T) {
	var all []*group
	for i := range 1000 {
		all = append(all, &group{name: fmt.Sprint(i), last: uint64(i * 7919 % 500)})
	}
	whole := latest(slices.Clone(all), len(all))
	for _, limit := range []int{-1, 0, 1, 12, 62, 63, 999, 2000} {
		got := latest(slices.Clone(all), limit)
		if want := whole[:min(max(limit, 0), len(all))]; !slices.Equal(got, want) {
			t.Errorf("%d: others", limit)
		}
	}
}
