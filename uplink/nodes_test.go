package uplink

import (
	"context"
	"math"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/time/rate"

	"edged/uplink/wire"
)

func TestANodeIsKeptUntilItFails(t *testing.T) {
	now := time.Unix(1000, 0)
	ns := newNodes([]string{"a", "b", "c"}, time.Second, time.Minute)
	n, pause := ns.next(now)
	if n.addr != "a" || pause != 0 {
		t.Fatalf("first: %s after %s", n.addr, pause)
	}
	ns.failed(n, now)
	if n, _ = ns.next(now); n.addr != "b" {
		t.Fatalf("after a failed: %s", n.addr)
	}
	if n, _ = ns.next(now.Add(time.Hour)); n.addr != "b" {
		t.Fatalf("b works and a could be tried again: %s", n.addr)
	}
	n.setAside(now.Add(2 * time.Hour))
	if n, _ = ns.next(now.Add(time.Hour)); n.addr == "b" {
		t.Fatal("a node that was set aside is used")
	}
	if got := ns.asides(); !slices.Equal(got, []string{"b"}) {
		t.Fatalf("asides %v", got)
	}
}

func TestThePauseGrowsIsBoundedAndIsNotTheSameForAll(t *testing.T) {
	now := time.Unix(1000, 0)
	seen := map[time.Duration]bool{}
	for range 50 {
		ns := newNodes([]string{"a"}, time.Second, time.Minute)
		n, _ := ns.next(now)
		for i := range 80 {
			ns.failed(n, now)
			bound := min(time.Minute, time.Second<<min(i, 10))
			if pause := n.wait(now); pause < bound/4 || pause > bound {
				t.Fatalf("failure %d: pause %s, bound %s", i, pause, bound)
			}
		}
		seen[n.wait(now)] = true
		n.worked()
		if ns.failed(n, now); n.wait(now) > time.Second {
			t.Fatal("a node that worked starts with a long pause")
		}
	}
	if len(seen) < 40 {
		t.Errorf("only %d different pauses of 50", len(seen))
	}
}

// TestRoutineAndBackfillShareFourToOne while both have chunks to send.
func TestRoutineAndBackfillShareFourToOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gate{}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		var sent [wire.Classes]int
		run := func(class uint8) {
			for err := g.enter(ctx, class); err == nil; err = g.yield(ctx, class) {
				sent[class]++ // one at a time: the gate is the lock
				time.Sleep(time.Second)
			}
		}
		done := make(chan struct{}, 2)
		for _, class := range []uint8{wire.Routine, wire.Backfill} {
			go func() { run(class); done <- struct{}{} }()
		}
		<-done
		<-done
		if ratio := float64(sent[wire.Routine]) / float64(sent[wire.Backfill]); math.Abs(ratio-4) > 0.1 {
			t.Errorf("sent %v, ratio %.2f", sent, ratio)
		}
	})
}

func TestBackfillAloneHasTheWholeLine(t *testing.T) {
	g := &gate{}
	if err := g.enter(t.Context(), wire.Backfill); err != nil {
		t.Fatal(err)
	}
	for range 100 {
		if err := g.yield(t.Context(), wire.Backfill); err != nil {
			t.Fatal(err)
		}
	}
	g.leave()
	if err := g.enter(t.Context(), wire.Routine); err != nil {
		t.Fatal(err)
	}
}

func TestAChunkIsASliceOfTheRate(t *testing.T) {
	for _, c := range []struct {
		bits int64
		want int
	}{{0, wire.MaxBody}, {1e9, wire.MaxBody}, {8e6, 50_000}, {1000, minChunk}} {
		if got := chunk(limit(c.bits)); got != c.want {
			t.Errorf("%d bit/s: %d, want %d", c.bits, got, c.want)
		}
	}
	if limit(0) != rate.Inf {
		t.Error("0 is not unlimited")
	}
}

// TestTheRateHolds sends for ten seconds of virtual time through the bucket.
func TestTheRateHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, bits := range []int64{50e6, 200e6, 1e9} {
			u, err := New(Config{Source: struct{ Source }{}, Keeper: struct{ Keeper }{}, RateBitsPerSecond: bits})
			if err != nil {
				t.Fatal(err)
			}
			began, sent := time.Now(), int64(0)
			for time.Since(began) < 10*time.Second {
				n := chunk(u.limiter.Limit())
				if err := u.take(t.Context(), n); err != nil {
					t.Fatal(err)
				}
				sent += int64(n)
			}
			if got := float64(sent*8) / 10; math.Abs(got/float64(bits)-1) > 0.02 {
				t.Errorf("%d bit/s asked for, %.0f sent", bits, got)
			}
		}
	})
}

func TestTheMeterForgets(t *testing.T) {
	var m meter
	at := time.Unix(100, 0)
	m.add(at, 1000)
	if total, bits := m.read(at.Add(time.Second)); total != 1000 || bits != 2000 {
		t.Errorf("%d bytes, %d bit/s", total, bits)
	}
	if total, bits := m.read(at.Add(time.Minute)); total != 1000 || bits != 0 {
		t.Errorf("a minute later: %d bytes, %d bit/s", total, bits)
	}
}

func TestConfigSaysWhatIsMissing(t *testing.T) {
	if _, err := New(Config{}); err == nil {
		t.Error("no source")
	}
	shadow := Config{Source: struct{ Source }{}, Keeper: struct{ Keeper }{}}
	u, err := New(shadow)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := u.Run(ctx); err != nil || u.Status().Transport != "none" {
		t.Error("without hubs Run only waits")
	}
	shadow.Hubs = []string{"hub:1"}
	if _, err := New(shadow); err == nil {
		t.Error("no TLS")
	}
}
