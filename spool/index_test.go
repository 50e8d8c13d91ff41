package spool

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	bolt "go.etcd.io/bbolt"
)

// SPOOL-11, 13: whatever happens to the index file, the spool starts with every
// object and the right Meta, and the index is made again.
func TestDamagedIndexAlwaysStarts(t *testing.T) {
	dir := t.TempDir()
	cfg := Config{Dir: dir, BallastBytes: -1}
	const objects = 60
	s := open(t, cfg)
	for n := range objects {
		put(t, s, newSample(n), sample(n, 100))
	}
	if err := s.Sweep(context.Background()); err != nil {
		t.Fatal(err)
	}
	s.Close()
	name := filepath.Join(dir, indexName)
	good, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	damages := 300
	if testing.Short() {
		damages = 60
	}
	rnd := rand.New(rand.NewPCG(5, 6))
	for i := range damages {
		if err := os.WriteFile(name, damagedIndex(good, rnd, i), 0o600); err != nil {
			t.Fatal(err)
		}
		s := open(t, cfg)
		list := s.Objects(0, objects+1)
		if len(list) != objects {
			t.Fatalf("damage %d: %d objects, want %d", i, len(list), objects)
		}
		for n, o := range list {
			if want := fmt.Sprint("meta ", n); string(o.Meta) != want {
				t.Fatalf("damage %d: meta %q, want %q", i, o.Meta, want)
			}
		}
		if err := s.Sweep(context.Background()); err != nil {
			t.Fatal(err)
		}
		s.Close()
	}
}

// damagedIndex cuts, zeroes, overwrites or flips, mostly in the pages that matter.
func damagedIndex(good []byte, rnd *rand.Rand, i int) []byte {
	b := append([]byte(nil), good...)
	at := rnd.IntN(len(b))
	if i%2 == 0 {
		at = rnd.IntN(min(len(b), 4*4096))
	}
	switch i % 5 {
	case 0:
		return b[:at]
	case 1:
		b[at] ^= 1 << rnd.IntN(8)
	case 2:
		clear(b[at:min(at+4096, len(b))])
	case 3:
		for k := at; k < min(at+64, len(b)); k++ {
			b[k] = byte(rnd.IntN(256))
		}
	case 4:
		at = at / 4096 * 4096 // a page goes where another one was
		copy(b[at:], good[:min(4096, len(b)-at)])
	}
	return b
}

// SPOOL-12: the index never names what is not here; rows of objects that are
// gone, or that carry another ID, go.
func TestIndexNeverRunsAhead(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	cfg := Config{Dir: dir, BallastBytes: -1, RetainArchived: -1}
	s := open(t, cfg)
	a, _ := put(t, s, newSample(1), sample(1, 100))
	b, _ := put(t, s, newSample(2), sample(2, 100))
	if err := s.Sweep(ctx); err != nil {
		t.Fatal(err)
	}
	if got := rows(t, s); len(got) != 2 || got[a.Seq] != a.ID {
		t.Fatalf("rows %v", got)
	}
	if err := errors.Join(s.archivedOutright(ctx, receipt(a)), s.Sweep(ctx)); err != nil {
		t.Fatal(err)
	}
	if got := rows(t, s); len(got) != 1 || got[b.Seq] != b.ID {
		t.Fatalf("rows %v after forgetting", got)
	}
	if err := s.index.write(nil, []row{{seq: 999, id: ID{1}}, {seq: b.Seq, id: ID{2}}}); err != nil {
		t.Fatal(err)
	}
	s.Close()
	s = open(t, cfg)
	if err := s.Sweep(ctx); err != nil {
		t.Fatal(err)
	}
	if got := rows(t, s); len(got) != 1 || got[b.Seq] != b.ID {
		t.Fatalf("rows %v after restart", got)
	}
}

func rows(t *testing.T, s *Spool) map[uint64]ID {
	t.Helper()
	out := map[uint64]ID{}
	err := s.index.db.View(func(tx *bolt.Tx) error {
		return tx.Bucket(s.index.rows.bucket).ForEach(func(k, v []byte) error {
			r, err := s.index.rows.open(k, v)
			out[r.seq] = r.id
			return err
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// A row that rots while the daemon runs is noticed, the file answers instead,
// and the index is made again.
func TestRottenRowIsNotBelieved(t *testing.T) {
	s := open(t, Config{Dir: t.TempDir(), BallastBytes: -1})
	o, _ := put(t, s, newSample(1), sample(1, 100))
	if err := s.Sweep(context.Background()); err != nil {
		t.Fatal(err)
	}
	err := s.index.db.Update(func(tx *bolt.Tx) error {
		return tx.Bucket(s.index.rows.bucket).Put(s.index.rows.key(o.Seq), make([]byte, 60))
	})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := s.Object(o.ID); err != nil || string(got.Meta) != "meta 1" {
		t.Fatalf("meta %q, %v", got.Meta, err)
	}
	if err := s.Sweep(context.Background()); err != nil {
		t.Fatal(err)
	}
	if got := rows(t, s); got[o.Seq] != o.ID {
		t.Fatalf("rows %v: not made again", got)
	}
}

// watchedFS calls look before each sync of a file and of a directory, and has the
// last one fail if look says so.
type watchedFS struct {
	*osFS
	look func() error
}

type watchedFile struct {
	osFile
	fs *watchedFS
}

func (w *watchedFS) Create(name string) (File, error) {
	f, err := w.osFS.Create(name)
	if err != nil {
		return nil, err
	}
	return watchedFile{f.(osFile), w}, nil
}

func (w *watchedFS) SyncDir(name string) error {
	if err := w.look(); err != nil {
		return err
	}
	return w.osFS.SyncDir(name)
}

func (f watchedFile) Sync() error {
	if err := f.fs.look(); err != nil {
		return err
	}
	return f.osFile.Sync()
}

// SPOOL-12: however often Run comes by while an object is on its way to the disk,
// the index has no row for it before its last sync has returned; and none at all
// when that fails.
func TestIndexWaitsForTheDisk(t *testing.T) {
	ctx := context.Background()
	s := open(t, Config{Dir: t.TempDir(), BallastBytes: -1})
	put(t, s, newSample(1), sample(1, 100)) // its directory is there from here on
	looks, refuse, inside := 0, 9, false
	s.fs = &watchedFS{osFS: s.fs.(*osFS), look: func() error {
		if inside {
			return nil // a flush of the journal, by the Sweep below
		}
		inside = true
		defer func() { inside = false }()
		looks++
		if err := s.Sweep(ctx); err != nil {
			return err
		}
		if got, want := len(rows(t, s)), len(s.Objects(0, 10)); got > want {
			return fmt.Errorf("the index has %d rows, %d objects are durable", got, want)
		}
		if looks == refuse {
			return syscall.EIO
		}
		return nil
	}}
	s.journal.fs = s.fs.(*watchedFS).osFS
	if _, _, err := tryPut(s, newSample(2), sample(2, 100)); err != nil || looks != 2 {
		t.Fatalf("%d syncs were looked at, %v; want that of the file and that of its directory", looks, err)
	}
	refuse = looks + 2
	if _, _, err := tryPut(s, newSample(3), sample(3, 100)); !errors.Is(err, syscall.EIO) {
		t.Fatalf("commit over a failed sync: %v", err)
	}
	if got := rows(t, s); len(got) != 2 {
		t.Fatalf("the index has %d rows, want the two objects that are durable", len(got))
	}
}
