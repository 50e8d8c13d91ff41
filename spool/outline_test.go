package spool

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
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

// However the numbers of objects come, the latest groups are those, in the order of their
// newest objects, also after a restart.
func TestTheLatestGroupsAreThose(t *testing.T) {
	groups, rng := map[string]*group{}, rand.New(rand.NewPCG(1, 2))
	for i := range 50 {
		groups[fmt.Sprint(i)] = &group{name: fmt.Sprint(i), last: uint64(100 - i)}
	}
	l := newLatest(groups)
	for seq := uint64(101); seq < 2000; seq++ {
		name := fmt.Sprint(rng.IntN(200))
		g := groups[name]
		if g == nil {
			g = &group{name: name}
			groups[name] = g
		}
		if rng.IntN(20) == 0 {
			l.drop(g)
			delete(groups, name)
		} else {
			l.reached(g, seq-min(uint64(rng.IntN(8)), uint64(rng.IntN(8)))) // its commit was overtaken
		}
	}
	for range 2 {
		for _, limit := range []int{-1, 0, 1, 12, len(groups), 2000} {
			got := l.some(limit)
			if len(got) != min(max(limit, 0), len(groups)) {
				t.Fatalf("%d: %d groups of %d", limit, len(got), len(groups))
			}
			if !slices.IsSortedFunc(got, func(a, b *group) int { return cmp.Compare(b.last, a.last) }) {
				t.Errorf("%d: not in order", limit)
			}
		}
		l = newLatest(groups) // as after a restart
	}
}

// An order of 100,000 studies is not looked through for the latest ten, or for the ten
// events that have waited longest: C-STOREs wait for that lock. All others here are nil,
// and whoever looks at one of them dies of it.
func TestFewGroupsAreFoundWithoutLookingAtAll(t *testing.T) {
	s := open(t, groupConfig(newMemFS(), newClock()))
	for i := range 20 {
		put(t, s, inGroup(fmt.Sprint(i), ""), sample(i, 100))
	}
	s.mu.Lock()
	for i := range 20 {
		if s.groups[fmt.Sprint(i)].row = (&groupRow{revision: 1}); i < 10 {
			s.waitsToBeTold(s.groups[fmt.Sprint(i)])
		}
	}
	for i := range 10 {
		s.groups["never looked at "+fmt.Sprint(i)] = nil
	}
	s.groups["10"].place.older = nil
	for at := s.untold.Front(); at != nil; at = at.Next() {
		if i, _ := strconv.Atoi(at.Value.(*group).name); i >= 3 {
			at.Value = (*group)(nil)
		}
	}
	s.mu.Unlock()
	if got := s.Groups(10); len(got) != 10 || got[0].Name != "19" || got[9].Name != "10" {
		t.Errorf("%+v", got)
	}
	if got := s.GroupEvents(3); len(got) != 3 || got[0].Group != "0" || got[2].Group != "2" {
		t.Errorf("%+v", got)
	}
}

// BenchmarkGroups is ten of 100,000, as the page asks for them.
func BenchmarkGroups(b *testing.B) {
	s := &Spool{groups: map[string]*group{}}
	for i := range 100_000 {
		g := s.intern(fmt.Sprint(i))
		g.last = uint64(i + 1)
	}
	s.latest = newLatest(s.groups)
	for b.Loop() {
		s.Groups(10)
	}
}
