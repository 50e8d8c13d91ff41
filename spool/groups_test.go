package spool

import (
	"context"
	"errors"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"
)

// clock is a wall clock that a test sets.
type clock struct{ now time.Time }

func newClock() *clock { return &clock{time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)} }

// run lets d pass as running time, with a sweep every ten seconds.
func (c *clock) run(t *testing.T, s *Spool, d time.Duration) {
	t.Helper()
	for ; d > 0; d -= 10 * time.Second {
		c.now = c.now.Add(min(d, 10*time.Second))
		if err := s.Sweep(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
}

func groupConfig(fs FS, c *clock) Config {
	cfg := memConfig(fs)
	cfg.RetainArchived = 0
	cfg.Now = func() time.Time { return c.now }
	return cfg
}

func inGroup(group, part string) New { return New{Group: group, Part: part, Seed: testSeed} }

// wantEvent checks the only event that waits.
func wantEvent(t *testing.T, s *Spool, kind GroupKind, revision uint32, objects int64) GroupEvent {
	t.Helper()
	evs := s.GroupEvents(10)
	if len(evs) != 1 || evs[0].Kind != kind || evs[0].Revision != revision || evs[0].Objects != objects {
		t.Fatalf("events %+v; want one: %v, revision %d, %d objects", evs, kind, revision, objects)
	}
	return evs[0]
}

func wantNoEvent(t *testing.T, s *Spool) {
	t.Helper()
	if evs := s.GroupEvents(10); len(evs) != 0 {
		t.Fatalf("events %+v, want none", evs)
	}
}

// D-S11: a group is complete when nothing came for the quiet time; what comes
// later, or is discarded, is a change with the next revision. Confirmations and
// forgetting are none.
func TestAGroupIsCompleteAndChanges(t *testing.T) {
	ctx := context.Background()
	c := newClock()
	cfg := groupConfig(newMemFS(), c)
	cfg.RetainArchived = -1
	s := open(t, cfg)
	w := s.Watch(100)
	defer w.Close()
	a, _ := put(t, s, inGroup("study", "1"), sample(1, 100))
	put(t, s, inGroup("study", "2"), sample(2, 200))
	c.run(t, s, 50*time.Second)
	third, _ := put(t, s, inGroup("study", "2"), sample(3, 300))
	c.run(t, s, 50*time.Second)
	wantNoEvent(t, s)
	c.run(t, s, 10*time.Second)
	ev := wantEvent(t, s, GroupComplete, 1, 3)
	if want := []GroupPart{{"1", 1, 100}, {"2", 2, 500}}; ev.Bytes != 600 || ev.Test || !reflect.DeepEqual(ev.Parts, want) {
		t.Fatalf("event %+v, want parts %v", ev, want)
	}
	if err := errors.Join(s.archivedOutright(ctx, receipt(a)), s.AckGroup(ctx, ev)); err != nil {
		t.Fatal(err)
	}
	c.run(t, s, 10*time.Minute)
	wantNoEvent(t, s)
	if g := s.Groups(1)[0]; !g.Complete || g.Revision != 1 || g.CompleteAt.IsZero() || g.Objects != 2 || g.Forgotten != 1 || !reflect.DeepEqual(g.Parts, ev.Parts) {
		t.Fatalf("group %+v", g)
	}
	put(t, s, inGroup("study", "3"), sample(4, 50))
	if g := s.Groups(1)[0]; g.Complete || g.Revision != 1 {
		t.Fatalf("group after an arrival %+v", g)
	}
	c.run(t, s, time.Minute)
	wantEvent(t, s, GroupChanged, 2, 4)
	if err := s.Discard(ctx, byAdmin(third)); err != nil {
		t.Fatal(err)
	}
	c.run(t, s, time.Minute)
	ev = wantEvent(t, s, GroupChanged, 3, 3)
	if err := s.AckGroup(ctx, GroupEvent{Group: "study", Revision: 2}); err != nil {
		t.Fatal(err)
	}
	wantEvent(t, s, GroupChanged, 3, 3) // an old word is not about it
	if g := s.Groups(1)[0]; g.Discarded != 1 || g.Forgotten != 1 || g.Objects != 2 {
		t.Fatalf("group after a discard %+v", g)
	}
	var told []uint32
	for len(w.C) > 0 {
		if e := <-w.C; e.Kind != 0 && e.Group == "study" {
			told = append(told, e.Revision)
		}
	}
	if !reflect.DeepEqual(told, []uint32{1, 2, 3}) {
		t.Fatalf("watchers were told of revisions %v, want 1, 2, 3", told)
	}
}

// D-S11: an open association keeps a group from being complete, however quiet;
// the number that the modality said makes waiting needless.
func TestOpenAndExpectedGroups(t *testing.T) {
	c := newClock()
	s := open(t, groupConfig(newMemFS(), c))
	s.OpenGroup("study")
	s.OpenGroup("study")
	put(t, s, inGroup("study", ""), sample(1, 100))
	c.run(t, s, 10*time.Minute)
	s.CloseGroup("study")
	c.run(t, s, 10*time.Second)
	wantNoEvent(t, s)
	if g := s.Groups(1)[0]; g.Open != 1 || g.Complete {
		t.Fatalf("group %+v, want it open", g)
	}
	s.CloseGroup("study")
	select {
	case <-s.kick:
	default:
		t.Fatal("Run is not woken when the last association has ended")
	}
	c.run(t, s, time.Second)
	wantEvent(t, s, GroupComplete, 1, 1)

	s = open(t, groupConfig(newMemFS(), c))
	s.ExpectGroup("study", 2)
	put(t, s, inGroup("study", ""), sample(1, 100))
	put(t, s, inGroup("study", ""), sample(1, 100)) // the same one again
	c.run(t, s, time.Second)
	wantNoEvent(t, s)
	put(t, s, inGroup("study", ""), sample(2, 100))
	c.run(t, s, time.Second)
	wantEvent(t, s, GroupComplete, 1, 2)
	put(t, s, inGroup("study", ""), sample(3, 100)) // one more than was said: quiet decides
	c.run(t, s, 30*time.Second)
	wantEvent(t, s, GroupComplete, 1, 2)
	c.run(t, s, 30*time.Second)
	wantEvent(t, s, GroupChanged, 2, 3)
	s.ExpectGroup("study", 4)
	put(t, s, inGroup("study", ""), sample(4, 100))
	c.run(t, s, time.Second)
	wantEvent(t, s, GroupChanged, 3, 4)
}

// New.Quiet: a slow device has its own patience. Test objects make test events.
func TestQuietIsTheDevices(t *testing.T) {
	c := newClock()
	s := open(t, groupConfig(newMemFS(), c))
	n := inGroup("study", "")
	n.Quiet, n.Test = 5*time.Minute, true
	put(t, s, n, sample(1, 100))
	c.run(t, s, 5*time.Minute-time.Second)
	wantNoEvent(t, s)
	c.run(t, s, time.Second)
	if ev := wantEvent(t, s, GroupComplete, 1, 1); !ev.Test {
		t.Fatalf("event %+v, want it to be a test", ev)
	}
}

// D-S7, SPOOL-21: no step of the wall clock makes a group complete early, or
// keeps it from becoming so.
func TestClockJumpsCompleteNoGroup(t *testing.T) {
	c := newClock()
	start := c.now
	s := open(t, groupConfig(newMemFS(), c))
	put(t, s, inGroup("study", ""), sample(1, 100))
	for _, at := range []time.Time{start.AddDate(10, 0, 0), time.Unix(0, 0), time.Date(2038, 1, 19, 3, 14, 8, 0, time.UTC), start.Add(-time.Hour), start.Add(time.Hour), start, start.AddDate(-10, 0, 0)} {
		c.now = at
		if err := s.Sweep(context.Background()); err != nil {
			t.Fatal(err)
		}
		wantNoEvent(t, s)
	}
	c.run(t, s, time.Minute)
	wantEvent(t, s, GroupComplete, 1, 1)
}

// groupStory completes a group, changes it and acknowledges; it ends at the
// first error, the power cut. told and acked are what callers were told.
func groupStory(s *Spool, c *clock) (told, acked uint32) {
	ctx := context.Background()
	for i := range 3 {
		if _, _, err := tryPut(s, inGroup("study", "part"), sample(i, 100)); err != nil {
			return told, acked
		}
		for range 7 {
			c.now = c.now.Add(10 * time.Second)
			_ = s.Sweep(ctx)
		}
		for _, ev := range s.GroupEvents(1) {
			told = ev.Revision
			if i != 1 && s.AckGroup(ctx, ev) == nil {
				acked = ev.Revision
			}
		}
	}
	return told, acked
}

// D-S4: events and what was acknowledged of them survive a power cut anywhere;
// what came behind the last event makes another one after the start.
func TestGroupEventsSurviveEveryCrashPoint(t *testing.T) {
	dry := newMemFS()
	c := newClock()
	if told, acked := groupStory(open(t, groupConfig(dry, c)), c); told != 3 || acked != 3 {
		t.Fatalf("the story told %d, acknowledged %d", told, acked)
	}
	for at := 12; at <= dry.ops; at++ {
		for _, keep := range []int{0, 50, 100} {
			fs, c := newMemFS(), newClock()
			s := open(t, groupConfig(fs, c))
			fs.crashAt = at
			told, acked := groupStory(s, c)
			disk := fs.powerCut(keep, rand.New(rand.NewPCG(uint64(at), uint64(keep))))
			for range 2 { // at once, and after another start
				s = open(t, groupConfig(disk, c))
				checkGroup(t, s, at, told, acked)
				s.Close()
			}
			s = open(t, groupConfig(disk, c))
			n := s.Stats().Objects - s.Stats().SetAside - s.Stats().Unfinished // what the cut left unfinished belongs to no group
			c.run(t, s, 2*time.Minute)
			evs, gs := s.GroupEvents(10), s.Groups(1)
			if n > 0 && (!gs[0].Complete || gs[0].row(s).objects != n) || len(evs) == 1 && evs[0].Objects != n {
				t.Fatalf("cut after operation %d: %d objects, %+v, events %+v", at, n, gs, evs)
			}
		}
	}
}

func (g Group) row(s *Spool) *groupRow { return s.groups[g.Name].row }

func checkGroup(t *testing.T, s *Spool, at int, told, acked uint32) {
	t.Helper()
	evs, revision := s.GroupEvents(10), uint32(0)
	for _, g := range s.Groups(1) {
		revision = g.Revision
	}
	if revision < told {
		t.Fatalf("cut after operation %d: revision %d is known, %d was told", at, revision, told)
	}
	if len(evs) == 0 && revision > told {
		t.Fatalf("cut after operation %d: revision %d was never told", at, revision)
	}
	if len(evs) == 1 && (evs[0].Revision != revision || revision <= acked) {
		t.Fatalf("cut after operation %d: %+v waits, %d was acknowledged", at, evs, acked)
	}
}

// D-S4: what came, or was discarded, behind the last event is told after a start,
// also when the journal was compacted in between; and the quiet time starts anew.
func TestWhatMovedBeforeAStartIsToldAfterIt(t *testing.T) {
	ctx := context.Background()
	c := newClock()
	cfg := groupConfig(newMemFS(), c)
	s := open(t, cfg)
	a, _ := put(t, s, inGroup("came", ""), sample(1, 100))
	b, _ := put(t, s, inGroup("went", ""), sample(2, 100))
	put(t, s, inGroup("went", ""), sample(3, 100))
	put(t, s, inGroup("calm", ""), sample(4, 100))
	c.run(t, s, time.Minute)
	for _, ev := range s.GroupEvents(10) {
		if err := s.AckGroup(ctx, ev); err != nil {
			t.Fatal(err)
		}
	}
	put(t, s, inGroup("came", ""), sample(5, 100))
	if err := errors.Join(s.Discard(ctx, byAdmin(b)), s.AtHub(ctx, receipt(a))); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		s.Close()
		s = open(t, cfg)
		c.run(t, s, 50*time.Second)
		wantNoEvent(t, s)
	}
	c.run(t, s, 10*time.Second)
	evs := s.GroupEvents(10)
	if len(evs) != 2 || evs[0].Revision != 2 || evs[1].Revision != 2 || evs[0].Objects+evs[1].Objects != 3 {
		t.Fatalf("events %+v; want both changes", evs)
	}
}

// P9: groups, parts and expectations go with what they are about.
func TestGroupsAreBounded(t *testing.T) {
	ctx := context.Background()
	c := newClock()
	cfg := groupConfig(newMemFS(), c)
	cfg.MaxTombstones, cfg.RetainArchived = 3, -1
	s := open(t, cfg)
	for i := range maxExpected + 10 {
		s.ExpectGroup(string(rune(i)), 5)
	}
	for i := range 20 {
		name := string(rune(i + 1000))
		s.OpenGroup(name)
		o, _ := put(t, s, inGroup(name, "part"), sample(i, 100))
		s.CloseGroup(name)
		if err := s.archivedOutright(ctx, receipt(o)); err != nil {
			t.Fatal(err)
		}
		c.run(t, s, time.Minute)
	}
	latest := s.Groups(maxExpected)
	if s.latest.n != 3 || len(latest) != 3 {
		t.Errorf("%d groups in order, %d listed, want 3", s.latest.n, len(latest))
	}
	if len(s.groups) != 3 || len(s.unsettled) > 3 || s.untold.Len() > 3 || len(s.openGroups) != 0 || len(s.expected) > maxExpected {
		t.Fatalf("%d groups, %d unsettled, %d untold, %d open, %d expected", len(s.groups), len(s.unsettled), s.untold.Len(), len(s.openGroups), len(s.expected))
	}
	s.Close()
	if s = open(t, cfg); len(s.groups) != 3 {
		t.Fatalf("%d groups after the start, want 3", len(s.groups))
	}
	for i, g := range s.Groups(maxExpected) {
		if g.Name != latest[i].Name || g.LastSeq != latest[i].LastSeq || g.LastSeq == 0 {
			t.Errorf("after the start %d is %s up to %d, want %s up to %d", i, g.Name, g.LastSeq, latest[i].Name, latest[i].LastSeq)
		}
	}
}

// What comes while an event is being written is not in it, and makes the next one.
func TestWhatComesDuringAnEventIsTold(t *testing.T) {
	c := newClock()
	s := open(t, groupConfig(newMemFS(), c))
	put(t, s, inGroup("study", ""), sample(1, 100))
	c.now = c.now.Add(time.Minute)
	s.tick()
	s.mu.Lock()
	ops := s.settling()
	s.mu.Unlock()
	put(t, s, inGroup("study", ""), sample(2, 100))
	if err := s.oblige(ops...); err != nil {
		t.Fatal(err)
	}
	wantEvent(t, s, GroupComplete, 1, 1)
	if g := s.Groups(1)[0]; g.Complete {
		t.Fatalf("group %+v; something came since", g)
	}
	c.run(t, s, time.Minute)
	wantEvent(t, s, GroupChanged, 2, 2)
}
