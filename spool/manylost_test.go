package spool

import (
	"testing"
	"time"
)

// A start that misses a hundred thousand objects (a directory that fsck dropped) lists
// them, and as many that are here, in seconds: in order, each once.
func TestManyLostObjectsDoNotHoldUpAStart(t *testing.T) {
	const n = 100_000
	cfg, err := memConfig(newMemFS()).withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	s := newSpool(cfg, cfg.FS)
	r := &recovery{s: s, book: newBook(), rep: &s.report, maxSeq: 2 * n}
	for i := range n {
		r.lost = append(r.lost, lostFrom(uint64(n+i+1), facts{id: ID{1, byte(i), byte(i >> 8), byte(i >> 16)}}, missing, "gone"))
		c := &container{}
		c.seq, c.id = uint64(i+1), ID{2, byte(i), byte(i >> 8), byte(i >> 16)}
		r.found = append(r.found, found{c.seq, c})
	}
	started := time.Now()
	for _, dir := range []string{objectsDir, journalDir} {
		if err := s.fs.Mkdir(dir); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.beginJournal(); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(started); took > 2*time.Minute { // sorted once for each: hours
		t.Fatalf("%v to list %d objects", took, 2*n)
	}
	if len(s.order) != 2*n {
		t.Fatalf("%d listed, want %d", len(s.order), 2*n)
	}
	for i, e := range s.order {
		if e.seq != uint64(i+1) {
			t.Fatalf("place %d has number %d", i, e.seq)
		}
	}
}
