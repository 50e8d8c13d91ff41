package spool

import (
	"context"
	"testing"
	"time"
)

// P7, D-S8: near the low-water mark archived objects go before their time, oldest
// first and no more than needed, and what is not archived stays.
func TestArchivedGoEarlyWhenSpaceIsShort(t *testing.T) {
	ctx := context.Background()
	fs := newMemFS()
	cfg := memConfig(fs)
	cfg.ReserveBytes, cfg.RetainArchived = 100_000, 24*time.Hour
	s := open(t, cfg)
	var archived, waiting []Object
	for n := range 60 {
		o, _ := put(t, s, newSample(n), sample(n, 10_000))
		if n%6 == 5 {
			waiting = append(waiting, o)
			continue
		}
		if err := s.archivedOutright(ctx, receipt(o)); err != nil {
			t.Fatal(err)
		}
		archived = append(archived, o)
	}
	here := func(all []Object) (n int) {
		for _, o := range all {
			if _, err := s.Object(o.ID); err == nil {
				n++
			}
		}
		return n
	}
	sweep := func(free int64) {
		fs.mu.Lock()
		fs.free = free
		fs.mu.Unlock()
		if err := s.Sweep(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if sweep(-1); here(archived) != len(archived) {
		t.Fatalf("%d of %d archived objects left, with room and before their time", here(archived), len(archived))
	}
	sweep(150_000)
	if left := here(archived); left == len(archived) || left == 0 {
		t.Fatalf("%d of %d archived objects left; want some to go, and no more than the room needs", left, len(archived))
	}
	if _, err := s.Object(archived[0].ID); err == nil {
		t.Fatal("the oldest is still here")
	}
	if s.Admission() != Admit || here(waiting) != len(waiting) {
		t.Fatalf("%v, with %d of %d that are not archived", s.Admission(), here(waiting), len(waiting))
	}
}

// P7: the ballast is made again only from room beside the reserve: it is there for
// confirmations, and must not itself be what makes the disk full.
func TestBallastIsNotMadeOfTheReserve(t *testing.T) {
	fs := newMemFS()
	cfg := memConfig(fs)
	cfg.ReserveBytes, cfg.BallastBytes = 100_000, 20_000
	s := open(t, cfg)
	sweep := func(free int64) (there bool) {
		fs.mu.Lock()
		fs.free = free
		fs.mu.Unlock()
		if err := s.Sweep(context.Background()); err != nil {
			t.Fatal(err)
		}
		if _, err := fs.walk(ballastName); (err == nil) != s.Stats().Ballast {
			t.Fatalf("the spool says ballast %v, the disk %v", s.Stats().Ballast, err)
		}
		return s.Stats().Ballast
	}
	if !sweep(-1) || !s.yieldBallast() {
		t.Fatal("there is no ballast to give up")
	}
	for _, free := range []int64{0, 20_000, 99_999, 100_000, 119_999} {
		if sweep(free) {
			t.Fatalf("ballast of 20,000 was made of %d free, 100,000 of them reserved", free)
		}
	}
	if !sweep(125_000) {
		t.Fatal("there is room beside the reserve, and no ballast")
	}
}
