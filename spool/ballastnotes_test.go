package spool

import (
	"context"
	"testing"
)

// P7: where room is short the ballast is as large as fits, and what receipts take comes
// first; they never fail because somebody keeps notes.
func TestReceiptsDoNotFailBecauseOfNotes(t *testing.T) {
	for _, notes := range []int{0, 8} {
		fs := newMemFS()
		fs.free = 4_000_000
		cfg := memConfig(fs)
		cfg.ReserveBytes, cfg.BallastBytes = 10_000, 16<<10
		s := open(t, cfg)
		var kept []Object
		for n := range 20 {
			o, _ := put(t, s, newSample(n), sample(n, 1000))
			kept = append(kept, o)
		}
		for i := range notes {
			setNote(t, s, string(rune('a'+i)), string(make([]byte, 200<<10)))
		}
		if !s.yieldBallast() {
			t.Fatal("there was no ballast")
		}
		free := func(n int64) { fs.mu.Lock(); fs.free = n; fs.mu.Unlock() }
		free(cfg.ReserveBytes + 6*cfg.BallastBytes) // somebody made room
		s.restoreBallast()
		if got := s.space.ballast; got < cfg.BallastBytes || got > 6*cfg.BallastBytes {
			t.Errorf("with %d notes the ballast has %d bytes", notes, got)
		}
		free(0) // others filled the disk again
		for i, o := range kept {
			if err := s.AtHub(context.Background(), receipt(o)); err != nil {
				t.Fatalf("with %d notes, receipt %d: %v", notes, i, err)
			}
		}
	}
}

// A ballast is the largest that fits, and is seldom made again while room grows.
func TestABallastIsAsLargeAsFits(t *testing.T) {
	s := &Spool{cfg: Config{BallastBytes: 16}}
	for room, want := range map[int64]int64{0: 0, 15: 0, 16: 16, 31: 16, 32: 32, 47: 32, 48: 48, 79: 48, 80: 80, 1000: 80} {
		if got := s.fittingBallast(80, room); got != want {
			t.Errorf("with room for %d: %d, want %d", room, got, want)
		}
	}
}
