package spool

import (
	"os"
	"path/filepath"
	"testing"
)

// P14: whoever looks while no daemon runs is told what the next start will find: an
// object from the mark on of which a page did not reach the disk is not shown as good.
func TestReaderProvesFromTheMarkOn(t *testing.T) {
	dir := t.TempDir()
	s := open(t, Config{Dir: dir, BallastBytes: -1})
	good, _ := put(t, s, newSample(1), sample(1, 50_000))
	torn, _ := put(t, s, newSample(2), sample(2, 50_000))
	name := filepath.Join(dir, objectName(torn.Seq))
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	clear(b[20_000:24_096])
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
	s.lock.Close() // the process was killed: nothing moved the mark
	r, err := OpenReadOnly(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	seen := map[uint64]bool{}
	err = r.Each(func(o Object) error { seen[o.Seq] = o.Damaged; return nil })
	if err != nil || len(seen) != 2 || seen[good.Seq] || !seen[torn.Seq] {
		t.Fatalf("damaged by number: %v, %v; want only %d", seen, err, torn.Seq)
	}
}
