package spool

import (
	"context"
	"os"
	"path/filepath"
	"testing"
)

// P6: who reads from outside gets past a directory that cannot be read, as a start does:
// everything else comes, what the journal knows of it is told as lost, and the end is an
// error, because there may have been more.
func TestAReaderGetsPastABadDirectory(t *testing.T) {
	cfg := Config{Dir: t.TempDir(), BallastBytes: -1}
	s := open(t, cfg)
	known, _ := put(t, s, newSample(1), sample(1, 100))
	put(t, s, newSample(2), sample(2, 100))
	if err := s.AtHub(context.Background(), receipt(known)); err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	s.next = 1 << shardBits // the next one goes elsewhere
	s.mu.Unlock()
	other, _ := put(t, s, newSample(3), sample(3, 100))
	s.Close()
	dir := filepath.Join(cfg.Dir, shardName(known.Seq))
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir, nil, 0o600); err != nil { // no directory any more
		t.Fatal(err)
	}
	r, err := OpenReadOnly(cfg.Dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var seen []Object
	if err := r.Each(func(o Object) error { seen = append(seen, o); return nil }); err == nil {
		t.Error("no word of the directory that cannot be read")
	}
	if len(seen) != 2 || seen[0].ID != other.ID || seen[0].Damaged || seen[1].ID != known.ID || !seen[1].Lost {
		t.Errorf("seen: %+v", seen)
	}
}
