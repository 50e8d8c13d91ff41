package spool

import (
	"context"
	"os"
	"path/filepath"
	"testing"
)

// P7: an index that is made again holds up nothing that Run does: it gets a turn,
// and Run comes back for the rest.
func TestTheIndexHoldsUpNothing(t *testing.T) {
	ctx := context.Background()
	s := open(t, Config{Dir: t.TempDir(), BallastBytes: -1})
	put(t, s, newSample(1), sample(1, 100))
	s.mu.Lock()
	for range 100_000 { // as after a remake
		s.stale = append(s.stale, s.order[0])
	}
	s.mu.Unlock()
	left := func() int {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.stale)
	}
	for len(s.kick) > 0 {
		<-s.kick
	}
	if err := s.Sweep(ctx); err != nil {
		t.Fatal(err)
	}
	first := left()
	if first == 0 || first > 100_000-2*indexBatch+1 || len(s.kick) != 1 {
		t.Fatalf("%d rows left after a sweep, asked to come back: %v; want a part, and true", first, len(s.kick) == 1)
	}
	if err := s.Sweep(ctx); err != nil {
		t.Fatal(err)
	}
	if left() >= first {
		t.Fatal("it does not get on")
	}
	s.mu.Lock()
	s.stale = s.stale[:1]
	s.mu.Unlock()
	if err := s.Sweep(ctx); err != nil || left() != 0 {
		t.Fatalf("%d left, %v", left(), err)
	}
}

// P7: the reserve is for receipts. While the disk is full nothing is written to the
// index; with room again it catches up.
func TestTheIndexEatsNothingOfTheReserve(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	s := open(t, Config{Dir: dir, BallastBytes: -1})
	o, _ := put(t, s, newSample(1), sample(1, 100))
	reserve := s.cfg.ReserveBytes
	s.cfg.ReserveBytes = 1 << 62
	before, err := os.ReadFile(filepath.Join(dir, indexName))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Sweep(ctx); err != nil {
		t.Fatal(err)
	}
	after, err := os.ReadFile(filepath.Join(dir, indexName))
	if err != nil || string(before) != string(after) {
		t.Fatalf("the index was written, %v", err)
	}
	s.cfg.ReserveBytes = reserve
	if err := s.Sweep(ctx); err != nil {
		t.Fatal(err)
	}
	if got := rows(t, s); got[o.Seq] != o.ID {
		t.Fatalf("rows %v: not caught up", got)
	}
}
