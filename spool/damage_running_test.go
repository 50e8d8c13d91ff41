package spool

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"
)

// SPOOL-13: an index that is damaged while the daemon runs: bytes change under
// it, or its pages cannot be read any more, which is what a cut file looks like.
// Lists go on telling the truth and the sweep makes it again.
func TestIndexIsDamagedWhileItRuns(t *testing.T) {
	for _, c := range []struct {
		what string
		do   func(x *indexedSpool) error
	}{
		{"leaves overwritten", func(x *indexedSpool) error {
			return writeOver(x.name, int64(4*indexPage), make([]byte, len(x.good)-4*indexPage))
		}},
		{"everything overwritten", func(x *indexedSpool) error { return writeOver(x.name, 0, make([]byte, len(x.good))) }},
		{"cut to two pages", func(x *indexedSpool) error { return os.Truncate(x.name, 2*indexPage) }},
		{"cut to nothing", func(x *indexedSpool) error { return os.Truncate(x.name, 0) }},
	} {
		for _, looked := range []bool{true, false} { // a list finds it first, or the sweep
			t.Run(fmt.Sprintf("%s, looked %v", c.what, looked), func(t *testing.T) { damagedWhileItRuns(t, c.do, looked) })
		}
	}
}

func damagedWhileItRuns(t *testing.T, damage func(*indexedSpool) error, looked bool) {
	x := newIndexedSpool(t, nil)
	s := open(t, x.cfg)
	if err := damage(x); err != nil {
		t.Fatal(err)
	}
	if looked {
		x.mustList(t, s, "running")
	}
	extra, _ := put(t, s, newSample(999), sample(999, 64)) // the sweep has something to write
	if err := s.archivedOutright(context.Background(), receipt(extra)); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Sweep(context.Background()) }()
	select {
	case err := <-done:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(2 * time.Minute):
		t.Fatal("the sweep hangs, and with it all that Run does")
	}
	if list := s.Objects(0, indexObjects+2); len(list) != indexObjects+1 {
		t.Fatalf("%d objects, want %d", len(list), indexObjects+1)
	}
	s.Close()
	s = open(t, x.cfg)
	if list := s.Objects(0, indexObjects+2); len(list) != indexObjects+1 {
		t.Fatalf("%d objects after a restart, want %d", len(list), indexObjects+1)
	}
}

func writeOver(name string, at int64, b []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.WriteAt(b, at)
	return err
}
