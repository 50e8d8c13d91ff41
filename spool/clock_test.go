package spool

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// clockTroubles are what the clock of an appliance with an empty battery, a wrong
// time server or a summer time shows.
var clockTroubles = []func(time.Time) time.Time{
	func(now time.Time) time.Time { return now.AddDate(-10, 0, 0) },
	func(now time.Time) time.Time { return now.AddDate(10, 0, 0) },
	func(time.Time) time.Time { return time.Unix(0, 0) },
	func(time.Time) time.Time { return time.Date(2038, 1, 19, 3, 14, 7, 0, time.UTC) },
	func(time.Time) time.Time { return time.Date(1969, 12, 31, 23, 59, 59, 999, time.UTC) },
	func(time.Time) time.Time { return time.Date(2262, 4, 12, 0, 0, 0, 0, time.UTC) }, // behind the last Unix nanosecond
	func(now time.Time) time.Time { return now.Add(time.Hour) },
	func(now time.Time) time.Time { return now.Add(-time.Hour) },
	func(time.Time) time.Time { return time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC) },
}

// clockStory is a life under a clock that jumps, and what must be true of it.
type clockStory struct {
	t        *testing.T
	rnd      *rand.Rand
	now      time.Time
	fs       *memFS
	cfg      Config
	s        *Spool
	order    []ID // as they came
	bodies   map[ID][]byte
	waiting  map[ID]bool // neither leased nor said to be anywhere
	archived map[ID]bool
}

// R16, D-S7, SPOOL-21: objects come, leave, are archived, and the spool starts
// anew, in good order or not, while the clock jumps between all of it. Nothing is
// lost, nothing is deleted by age, and the order is that of arrival.
func TestNothingIsLostWhileTheClockJumps(t *testing.T) {
	for seed := range uint64(20) {
		c := newClockStory(t, seed)
		for range 150 {
			if c.rnd.IntN(3) == 0 {
				c.now = clockTroubles[c.rnd.IntN(len(clockTroubles))](c.now)
			}
			c.now = c.now.Add(time.Duration(c.rnd.IntN(2000)) * time.Millisecond)
			c.step()
			c.check()
		}
		c.ageThemAll()
	}
}

func newClockStory(t *testing.T, seed uint64) *clockStory {
	c := &clockStory{t: t, rnd: rand.New(rand.NewPCG(seed, 16)), now: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC), fs: newMemFS(),
		bodies: map[ID][]byte{}, waiting: map[ID]bool{}, archived: map[ID]bool{}}
	c.cfg = memConfig(c.fs)
	c.cfg.RetainArchived = 0 // 72 hours of running; all the jumps together count for less
	c.cfg.Now = func() time.Time { return c.now }
	c.s = open(t, c.cfg)
	return c
}

func (c *clockStory) step() {
	ctx := context.Background()
	switch c.rnd.IntN(8) {
	case 0, 1, 2:
		n := len(c.order)
		body := sample(n, 100)
		o, _ := put(c.t, c.s, routineSample(n), body)
		c.order, c.bodies[o.ID], c.waiting[o.ID] = append(c.order, o.ID), body, true
	case 3, 4:
		c.lease()
	case 5:
		if len(c.order) > 0 {
			id := c.order[c.rnd.IntN(len(c.order))]
			if err := c.s.archivedOutright(ctx, []Receipt{{ID: id, Length: 100, At: c.now}}); err != nil {
				c.t.Fatal(err)
			}
			c.archived[id] = true
			delete(c.waiting, id)
		}
	case 6:
		if err := c.s.Sweep(ctx); err != nil {
			c.t.Fatal(err)
		}
	case 7:
		c.restart()
	}
}

// lease wants the oldest that waits, whatever the clock said when it came.
func (c *clockStory) lease() {
	o, ok, err := c.s.TryLease("lane")
	if err != nil || ok != (len(c.waiting) > 0) {
		c.t.Fatalf("leased %v, %v, while %d wait", ok, err, len(c.waiting))
	}
	if !ok {
		return
	}
	for _, id := range c.order {
		if c.waiting[id] {
			if id != o.ID {
				c.t.Fatal("an object left before an older one")
			}
			break
		}
	}
	if c.rnd.IntN(2) == 0 {
		if err := c.s.Return(o.ID, 0, errors.New("line is down")); err != nil {
			c.t.Fatal(err)
		}
		return
	}
	if err := c.s.AtHub(context.Background(), []Receipt{{ID: o.ID, Length: 100, At: c.now}}); err != nil {
		c.t.Fatal(err)
	}
	delete(c.waiting, o.ID)
}

func (c *clockStory) restart() {
	if c.rnd.IntN(2) == 0 {
		c.s.Close()
	} else {
		c.fs = c.fs.powerCut(50, c.rnd)
		c.cfg.FS = c.fs
	}
	c.now = clockTroubles[c.rnd.IntN(len(clockTroubles))](c.now)
	c.s = open(c.t, c.cfg)
}

func (c *clockStory) check() {
	list := c.s.Objects(0, len(c.order)+1)
	if len(list) != len(c.order) {
		c.t.Fatalf("%d objects are here, %d came", len(list), len(c.order))
	}
	for i, o := range list {
		if o.ID != c.order[i] {
			c.t.Fatalf("object %d is not in the order of arrival", i)
		}
		if (o.State == Archived) != c.archived[o.ID] || (o.State == Received) != c.waiting[o.ID] {
			c.t.Fatalf("object %d is %v", i, o.State)
		}
	}
	c.s.Ages() // whatever they are
	c.s.Stats()
	if g := c.s.Groups(5); len(c.order) > 0 && (len(g) != 1 || g[0].Objects != int64(len(c.order)) || g[0].LastSeq != list[len(list)-1].Seq) {
		c.t.Fatalf("%+v; want one group with all objects", g)
	}
}

// ageThemAll runs for the time of Config.RetainArchived with a clock that only
// runs: what is archived goes, everything else stays.
func (c *clockStory) ageThemAll() {
	for range 72*60 + 2 {
		c.now = c.now.Add(time.Minute)
		if err := c.s.Sweep(context.Background()); err != nil {
			c.t.Fatal(err)
		}
	}
	c.order = slices.DeleteFunc(c.order, func(id ID) bool { return c.archived[id] })
	c.check()
	for _, id := range c.order {
		wantContent(c.t, c.s, id, c.bodies[id])
	}
}

// R16: a clock that goes to and fro every second, in a spool that is short of
// nothing: the age that decides counts what it ran, a minute for each jump at
// most, and nothing for the time in which it was off.
func TestAgeCountsRunningTimeOnly(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	fs := newMemFS()
	cfg := memConfig(fs)
	cfg.RetainArchived = time.Hour
	cfg.Now = func() time.Time { return now }
	s := open(t, cfg)
	o, _ := put(t, s, newSample(1), sample(1, 100))
	if err := s.archivedOutright(context.Background(), receipt(o)); err != nil {
		t.Fatal(err)
	}
	for i := range 30 { // off for years, again and again
		if err := s.Sweep(context.Background()); err != nil {
			t.Fatal(err)
		}
		s.Close()
		now = now.AddDate(1+i%3, 0, 0)
		s = open(t, cfg)
	}
	wantState(t, s, o.ID, Archived)
	for i := range 50 {
		now = clockTroubles[i%2](now)
		if err := s.Sweep(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	wantState(t, s, o.ID, Archived)
}
