package spool

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// bySender takes the whole Meta for the name of the source.
func bySender(cfg Config) Config {
	cfg.Source = func(meta []byte) string { return string(meta) }
	return cfg
}

func putOf(t testing.TB, s *Spool, sender string, p Priority, n, size int) Object {
	t.Helper()
	o, _ := put(t, s, New{Group: sender, Priority: p, Meta: []byte(sender), Seed: fmt.Append(nil, sender, n)}, sample(n, size))
	return o
}

func leaseNow(t testing.TB, s *Spool) Object {
	t.Helper()
	o, ok, err := s.TryLease("lane")
	if err != nil || !ok {
		t.Fatalf("leased nothing: %v", err)
	}
	return o
}

// DESIGN 7, fair between modalities: a study of few images does not wait for the
// thousands that came before it from another device, in whatever class, and a start
// in between changes nothing of that.
func TestASmallStudyDoesNotWaitForALargeOne(t *testing.T) {
	for _, class := range []Priority{Urgent, Routine, Backfill} {
		for _, restart := range []bool{false, true} {
			t.Run(fmt.Sprint(class, " restart=", restart), func(t *testing.T) {
				cfg := bySender(memConfig(newMemFS()))
				s := open(t, cfg)
				for n := range 300 {
					putOf(t, s, "CT1", class, n, 64<<10)
				}
				for range 50 {
					leaseNow(t, s)
				}
				for n := range 20 {
					putOf(t, s, "US1", class, n, 64<<10)
				}
				if restart {
					s.Close()
					s = open(t, cfg)
				}
				last, seq := 0, uint64(0)
				for n, left := 1, 20; left > 0; n++ {
					if o := leaseNow(t, s); o.Group == "US1" {
						if o.Seq < seq {
							t.Fatal("an older image left after a newer one of its device")
						}
						last, left, seq = n, left-1, o.Seq
					}
				}
				if last > 41 {
					t.Errorf("the last of 20 images left as the %dth, want every second one", last)
				}
			})
		}
	}
}

// Turns count bytes: one mammogram is worth many slices, and keeps them waiting no
// longer than it takes itself; nor do thousands of tiny objects count as nothing.
func TestTurnsCountBytes(t *testing.T) {
	var q queue = newQueue()
	for n := range 40 {
		q.push(&entry{seq: uint64(n + 1), priority: Routine, source: 0, content: 30 << 20})
	}
	for n := range 4000 {
		q.push(&entry{seq: uint64(n + 1000), priority: Routine, source: 1, content: 512 << 10})
		q.push(&entry{seq: uint64(n + 9000), priority: Routine, source: 2, content: 0})
	}
	var bytes, objects [3]int64
	for range 1000 {
		e := q.pop(Backfill)
		bytes[e.source] += e.content
		objects[e.source]++
	}
	if diff := bytes[0] - bytes[1]; diff < -31<<20 || diff > 31<<20 {
		t.Errorf("%d bytes of mammograms left, and %d of slices", bytes[0], bytes[1])
	}
	if tiny := objects[2] * objectPrice; tiny > bytes[0]+31<<20 || objects[2] < objects[1] {
		t.Errorf("%d tiny objects left, and %d slices", objects[2], objects[1])
	}
}

// seen follows a queue and knows, for each pair of sources, how far they came apart
// since both last began to wait.
type seen struct {
	waits, most [8]int64 // objects that wait; price of the largest one so far
	apart       [8][8]struct{ now, low, high int64 }
	came        [8]bool
	since       [8]map[int]int // of who came for the first time and waits: what left of the others
}

func (x *seen) push(of int, price int64) {
	if x.waits[of]++; x.waits[of] == 1 {
		if !x.came[of] {
			x.came[of], x.since[of] = true, map[int]int{}
		}
		for k := range x.apart {
			x.apart[of][k], x.apart[k][of] = struct{ now, low, high int64 }{}, struct{ now, low, high int64 }{}
		}
	}
	x.most[of] = max(x.most[of], price)
}

func (x *seen) pop(of int, price int64) error {
	x.waits[of]--
	x.since[of] = nil // it had its turn; from here on bytes count
	for k := range x.apart {
		if k == of || x.waits[k] == 0 {
			continue
		}
		if x.since[k] != nil {
			if x.since[k][of]++; x.since[k][of] > 1 {
				return fmt.Errorf("source %d came and waits, and %d had a second turn", k, of)
			}
		}
		for _, d := range []struct {
			a, b int
			by   int64
		}{{of, k, price}, {k, of, -price}} {
			p := &x.apart[d.a][d.b]
			p.now += d.by
			p.low, p.high = min(p.low, p.now), max(p.high, p.now)
			if p.high-p.low > x.most[d.a]+x.most[d.b] {
				return fmt.Errorf("sources %d and %d are %d apart, the largest objects are %d and %d", d.a, d.b, p.high-p.low, x.most[d.a], x.most[d.b])
			}
		}
	}
	return nil
}

// However sources come, go and mix their sizes: whoever comes new waits for at most one
// object of each other source, and two that both wait are never further apart than
// the largest object of each, whatever they sent before.
func TestNoSourceWaitsLongerThanATurnOfEach(t *testing.T) {
	for seed := range uint64(200) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		q, x, seq := newQueue(), &seen{}, uint64(0)
		largest := make([]int64, 8)
		for k := range largest {
			largest[k] = 1 << rnd.IntN(26)
		}
		for range 3000 {
			if rnd.IntN(100) < 55 {
				of := rnd.IntN(8)
				for range 1 + rnd.IntN(3) {
					seq++
					e := &entry{seq: seq, priority: Routine, source: uint16(of), content: rnd.Int64N(largest[of]) + 1}
					q.push(e)
					x.push(of, e.price())
				}
			} else if e := q.pop(Backfill); e != nil {
				if err := x.pop(int(e.source), e.price()); err != nil {
					t.Fatalf("seed %d: %v", seed, err)
				}
			}
		}
	}
}

// Whatever is leased, given back, delayed, poisoned and sent, nothing is leased twice
// at a time, nothing is left behind, and of each source the oldest that may leave does.
func TestNothingIsLeasedTwiceBetweenSources(t *testing.T) {
	for seed := range uint64(20) {
		if err := leaseAtRandom(t, rand.New(rand.NewPCG(seed, 7))); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
}

func leaseAtRandom(t *testing.T, rnd *rand.Rand) error {
	ctx, now := context.Background(), time.Unix(1e9, 0)
	cfg := bySender(memConfig(newMemFS()))
	cfg.Now, cfg.MaxTries = func() time.Time { return now }, 2
	s := open(t, cfg)
	const objects = 120
	for n := range objects {
		putOf(t, s, fmt.Sprint("S", n%5), Priority(n%3), n, 100+rnd.IntN(5000))
	}
	out := map[ID]Object{}
	done, parked := 0, 0
	for steps := 0; done+parked < objects; steps++ {
		if steps > 50*objects {
			return fmt.Errorf("%d sent and %d parked of %d", done, parked, objects)
		}
		if o, ok, err := s.TryLease("lane"); err != nil {
			return err
		} else if ok {
			if _, twice := out[o.ID]; twice {
				return fmt.Errorf("object %d is leased twice", o.Seq)
			}
			out[o.ID] = o
		}
		for id, o := range out {
			switch rnd.IntN(8) {
			case 0:
				s.Return(id, 0, errors.New("line is down"))
			case 1:
				s.Return(id, time.Second, errors.New("busy"))
			case 2:
				s.Return(id, time.Second, Poison(errors.New("refused")))
				if o, err := s.Object(id); err == nil && o.State == Quarantined {
					parked++
				}
			case 3:
				if err := s.AtHub(ctx, receipt(o)); err != nil {
					return err
				}
				done++
			default:
				continue
			}
			delete(out, id)
		}
		now = now.Add(100 * time.Millisecond)
	}
	if o, ok, _ := s.TryLease("lane"); ok {
		return fmt.Errorf("object %d is leased behind the last one", o.Seq)
	}
	return nil
}

// A lease that comes back takes its old place among those of its device and costs
// the others no turn; one that rests holds nobody up, and neither does a poisoned one (P6).
func TestAReturnedLeaseKeepsItsPlaceInItsSource(t *testing.T) {
	cfg, now := bySender(memConfig(newMemFS())), time.Unix(1e9, 0)
	cfg.Now, cfg.MaxTries = func() time.Time { return now }, 2
	s := open(t, cfg)
	var a, b []Object
	for n := range 4 {
		a, b = append(a, putOf(t, s, "A", Routine, n, 1000)), append(b, putOf(t, s, "B", Routine, n, 1000))
	}
	want := func(what string, o Object) {
		t.Helper()
		if got := leaseNow(t, s); got.ID != o.ID {
			t.Fatalf("%s: leased %d of %s, want %d of %s", what, got.Seq, got.Group, o.Seq, o.Group)
		}
	}
	want("first", a[0])
	want("in turn", b[0])
	s.Return(a[0].ID, 0, errors.New("line is down"))
	want("its old place", a[0])
	s.Return(a[0].ID, time.Minute, errors.New("busy"))
	want("the other's turn", b[1])
	want("the next of its device", a[1])
	s.Return(b[1].ID, time.Minute, Poison(errors.New("refused")))
	want("the next behind a poisoned one", b[2])
	want("and so on", a[2])
	now = now.Add(time.Minute)
	want("the poisoned one again", b[1])
	want("what rested", a[0])
	s.Return(b[1].ID, 0, Poison(errors.New("refused")))
	want("it is parked", b[3])
	want("nobody waits for it", a[3])
}

// P9: who may store may say many titles. They cost no more than maxSources of them,
// and every object still leaves.
func TestSourcesAreBounded(t *testing.T) {
	x, q := newSources(), newQueue()
	const titles = 10 * maxSources
	for n := range titles {
		q.push(&entry{seq: uint64(n + 1), source: x.number(fmt.Sprint("AE", n)), content: 1})
	}
	if len(x.numbers) != maxSources || len(q.ready[Urgent].shares) > maxSources {
		t.Errorf("%d names and %d shares are kept", len(x.numbers), len(q.ready[Urgent].shares))
	}
	for n := range titles {
		if q.pop(Backfill) == nil {
			t.Fatalf("only %d of %d left", n, titles)
		}
	}
	if a, b := x.number("AE7"), x.number("AE7"); a != b || a != 7 {
		t.Errorf("one source has the numbers %d and %d", a, b)
	}
}

// BenchmarkLease is what a turn costs with many objects of many sources.
func BenchmarkLease(b *testing.B) {
	for _, sources := range []int{1, 20, maxSources} {
		b.Run(fmt.Sprint("sources=", sources), func(b *testing.B) {
			q, all := newQueue(), make([]entry, 100_000)
			for n := range all {
				all[n] = entry{seq: uint64(n), source: uint16(n % sources), content: int64(n%7) << 16}
				q.push(&all[n])
			}
			for b.Loop() {
				q.push(q.pop(Backfill))
			}
		})
	}
}
