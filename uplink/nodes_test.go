package uplink

import (
	"context"
	"math"
	"testing"
	"testing/synctest"
	"time"

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

// TestRoutineAndBackfillShareFourToOne in bytes while both have chunks to send,
// whatever the sizes of these.
func TestRoutineAndBackfillShareFourToOne(t *testing.T) {
	for _, size := range [][wire.Classes]int{{0, 1000, 1000}, {0, 30 << 10, 256 << 10}, {0, 256 << 10, 30 << 10}, {0, 1000, 256 << 10}} {
		synctest.Test(t, func(t *testing.T) {
			line := newBucket(Shape{})
			g := &gate{line: line}
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			var sent [wire.Classes]int
			run := func(class uint8) {
				for err := g.enter(ctx, class); err == nil; err = g.yield(ctx, class) {
					n, _ := line.take(ctx, take{class: class, want: size[class], overhead: 1})
					sent[class] += n + frameHead // one at a time: the gate is the lock
					time.Sleep(10 * time.Millisecond)
				}
			}
			done := make(chan struct{}, 2)
			for _, class := range []uint8{wire.Routine, wire.Backfill} {
				go func() { run(class); done <- struct{}{} }()
			}
			<-done
			<-done
			if ratio := float64(sent[wire.Routine]) / float64(sent[wire.Backfill]); math.Abs(ratio-4) > 0.1 {
				t.Errorf("chunks of %v: sent %v, ratio %.2f", size, sent, ratio)
			}
			if line.sending != [wire.Classes]int{} {
				t.Errorf("%v still send", line.sending)
			}
		})
	}
}

func TestBackfillAloneHasTheWholeLine(t *testing.T) {
	g := &gate{line: newBucket(Shape{})}
	if err := g.enter(t.Context(), wire.Backfill); err != nil {
		t.Fatal(err)
	}
	for range 100 {
		if err := g.yield(t.Context(), wire.Backfill); err != nil {
			t.Fatal(err)
		}
	}
	g.leave(wire.Backfill)
	if err := g.enter(t.Context(), wire.Routine); err != nil {
		t.Fatal(err)
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
