package spool

import (
	"context"
	"math/rand/v2"
	"testing"
)

// A number is never given twice, over a clean end and over a power cut, although
// neither a file nor the row of what had it is left: rows of the journal that speak
// of it may come to life again, and speak of that object only.
func TestANumberIsNeverGivenTwice(t *testing.T) {
	ctx := context.Background()
	for _, clean := range []bool{true, false} {
		fs := newMemFS()
		cfg := memConfig(fs)
		cfg.MaxTombstones = 1
		s := open(t, cfg)
		var all []Object
		for n := range 5 {
			o, _ := put(t, s, newSample(n), sample(n, 1000))
			all = append(all, o)
		}
		last := all[4]
		if err := s.Discard(ctx, byAdmin(last)); err != nil {
			t.Fatal(err)
		}
		for _, o := range all[:4] { // of these the last is remembered, not of the discarded one
			if err := s.archivedOutright(ctx, receipt(o)); err != nil {
				t.Fatal(err)
			}
			if err := s.Sweep(ctx); err != nil {
				t.Fatal(err)
			}
		}
		if clean {
			s.Close()
		}
		for range 2 { // the second start knows it from the first one's segment only
			cfg.FS = fs.powerCut(0, rand.New(rand.NewPCG(1, 1)))
			fs = cfg.FS.(*memFS)
			s = open(t, cfg)
			if n := s.Stats().Objects; n != 0 {
				t.Fatalf("%d objects are back", n)
			}
		}
		if o, _ := put(t, s, newSample(9), sample(9, 1000)); o.Seq <= last.Seq {
			t.Fatalf("clean end %v: number %d was given again, up to %d they were used", clean, o.Seq, last.Seq)
		}
	}
}
