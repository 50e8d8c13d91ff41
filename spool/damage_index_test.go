package spool

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

const (
	indexObjects = 210
	indexPage    = 4096
)

// testKey encrypts where a test runs with and without encryption.
var testKey = []byte("0123456789abcdef0123456789abcdef")

// indexSample carries enough Meta that the index has branches.
func indexSample(n int) New {
	s := newSample(n)
	s.Meta = append(s.Meta, strings.Repeat(" and more", 30)...)
	return s
}

// remade counts how often a spool said that it makes its index again.
type remade struct {
	slog.Handler
	n *atomic.Int64
}

func (h remade) Handle(_ context.Context, r slog.Record) error {
	if strings.Contains(r.Message, "index is not usable") {
		h.n.Add(1)
	}
	return nil
}

func (remade) Enabled(context.Context, slog.Level) bool { return true }

// indexedSpool is a closed spool with a whole index, and two earlier states of
// that file.
type indexedSpool struct {
	cfg     Config
	name    string
	good    []byte
	old     [2][]byte
	noticed atomic.Int64
}

func newIndexedSpool(t *testing.T, key []byte) *indexedSpool {
	t.Helper()
	x := &indexedSpool{cfg: Config{Dir: t.TempDir(), BallastBytes: -1, Key: key}}
	x.cfg.Logger = slog.New(remade{slog.DiscardHandler, &x.noticed})
	x.name = filepath.Join(x.cfg.Dir, indexName)
	s := open(t, x.cfg)
	for n := range indexObjects {
		put(t, s, indexSample(n), sample(n, 64))
		if (n+1)%70 == 0 {
			if err := s.Sweep(context.Background()); err != nil {
				t.Fatal(err)
			}
			b, err := os.ReadFile(x.name)
			if err != nil {
				t.Fatal(err)
			}
			x.old[0], x.old[1], x.good = x.old[1], x.good, b
		}
	}
	s.Close()
	return x
}

// mustStart opens the spool with the index as it is now: every object is there
// with its own Meta, and soon.
func (x *indexedSpool) mustStart(t *testing.T, what string) {
	t.Helper()
	begun := time.Now()
	s, err := openFreed(x.cfg)
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	defer s.Close()
	if took := time.Since(begun); took > probeTime+time.Minute {
		t.Fatalf("%s: the start took %v", what, took)
	}
	x.mustList(t, s, what)
	if err := s.Sweep(context.Background()); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	for seq := uint64(10); seq < indexObjects; seq += 50 {
		if m := s.meta(seq); string(m) != string(indexSample(int(seq)-1).Meta) {
			t.Fatalf("%s, swept: object %d has the Meta %.20q of another", what, seq, m)
		}
	}
}

func (x *indexedSpool) mustList(t *testing.T, s *Spool, what string) {
	t.Helper()
	list := s.Objects(0, indexObjects+1)
	if len(list) != indexObjects {
		t.Fatalf("%s: %d objects, want %d", what, len(list), indexObjects)
	}
	for n, o := range list {
		if o.ID != idOf(testSeed, sample(n, 64)) || string(o.Meta) != string(indexSample(n).Meta) {
			t.Fatalf("%s: object %d has the Meta %.20q of another", what, n, o.Meta)
		}
	}
}

// openFreed opens a spool that was closed a moment ago. Tests that start children
// beside each other have every descriptor twice between fork and exec, and so
// the lock.
func openFreed(cfg Config) (s *Spool, err error) {
	cfg.AllowUnsafeFilesystem = true
	for range 3000 {
		if s, err = Open(context.Background(), cfg); !errors.Is(err, ErrLocked) {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	return s, err
}

// indexDamages are the kinds; each turns a whole file into a damaged one.
var indexDamages = []struct {
	what string
	do   func(x *indexedSpool, rnd *rand.Rand) []byte
}{
	{"flipped bit", func(x *indexedSpool, rnd *rand.Rand) []byte {
		b := append([]byte(nil), x.good...)
		b[somewhere(b, rnd)] ^= 1 << rnd.IntN(8)
		return b
	}},
	{"zeroed page", func(x *indexedSpool, rnd *rand.Rand) []byte {
		b := append([]byte(nil), x.good...)
		clear(pageOf(b, rnd))
		return b
	}},
	{"garbage page", func(x *indexedSpool, rnd *rand.Rand) []byte {
		b := append([]byte(nil), x.good...)
		garble(pageOf(b, rnd), rnd)
		return b
	}},
	{"garbage in a page", func(x *indexedSpool, rnd *rand.Rand) []byte {
		b := append([]byte(nil), x.good...)
		at := somewhere(b, rnd)
		garble(b[at:min(at+1+rnd.IntN(64), len(b))], rnd)
		return b
	}},
	{"cut at a page", func(x *indexedSpool, rnd *rand.Rand) []byte {
		return x.good[:rnd.IntN(len(x.good)/indexPage)*indexPage]
	}},
	{"cut elsewhere", func(x *indexedSpool, rnd *rand.Rand) []byte { return x.good[:rnd.IntN(len(x.good))] }},
	{"longer", func(x *indexedSpool, rnd *rand.Rand) []byte {
		more := make([]byte, 1+rnd.IntN(64<<10))
		if rnd.IntN(2) == 0 {
			garble(more, rnd)
		}
		return append(append([]byte(nil), x.good...), more...)
	}},
	{"page of elsewhere", func(x *indexedSpool, rnd *rand.Rand) []byte {
		b := append([]byte(nil), x.good...)
		copy(pageOf(b, rnd), pageOf(x.good, rnd))
		return b
	}},
	{"swapped pages", func(x *indexedSpool, rnd *rand.Rand) []byte {
		b := append([]byte(nil), x.good...)
		p, q := rnd.IntN(len(b)/indexPage)*indexPage, rnd.IntN(len(b)/indexPage)*indexPage
		copy(b[p:p+indexPage], x.good[q:])
		copy(b[q:q+indexPage], x.good[p:])
		return b
	}},
	{"page of the past", func(x *indexedSpool, rnd *rand.Rand) []byte {
		old, b := x.old[rnd.IntN(2)], append([]byte(nil), x.good...)
		n := min(len(old), len(b)) / indexPage
		for range 1 + rnd.IntN(4) { // a write that the disk forgot, or several
			p := rnd.IntN(n) * indexPage
			copy(b[p:p+indexPage], old[p:])
		}
		return b
	}},
	{"roots of the past", func(x *indexedSpool, rnd *rand.Rand) []byte {
		old, b := x.old[rnd.IntN(2)], append([]byte(nil), x.good...)
		copy(b[:2*indexPage], old)
		return b
	}},
	{"file of the past", func(x *indexedSpool, rnd *rand.Rand) []byte { return x.old[rnd.IntN(2)] }},
}

// somewhere is an offset, each second time in the pages that hold the structure.
func somewhere(b []byte, rnd *rand.Rand) int {
	if rnd.IntN(2) == 0 {
		return rnd.IntN(min(len(b), 4*indexPage))
	}
	return rnd.IntN(len(b))
}

func pageOf(b []byte, rnd *rand.Rand) []byte {
	p := somewhere(b, rnd) / indexPage * indexPage
	return b[p:min(p+indexPage, len(b))]
}

func garble(b []byte, rnd *rand.Rand) {
	for i := range b {
		b[i] = byte(rnd.IntN(256))
	}
}

// R8, SPOOL-11, 13: a thousand damaged index files. The spool always starts, with
// every object and the right Meta; and what was made again is whole, so that no
// start has to do it twice.
func TestThousandDamagedIndexes(t *testing.T) {
	damages := 500
	if testing.Short() {
		damages = 50
	}
	for _, v := range []struct {
		what string
		key  []byte
	}{{"plain", nil}, {"encrypted", testKey}} {
		t.Run(v.what, func(t *testing.T) {
			t.Parallel()
			x := newIndexedSpool(t, v.key)
			rnd := rand.New(rand.NewPCG(8, uint64(len(v.key))))
			silent := map[string]int{}
			for i := range damages {
				kind := indexDamages[i%len(indexDamages)]
				what := fmt.Sprintf("damage %d, %s", i, kind.what)
				if err := os.WriteFile(x.name, kind.do(x, rnd), 0o600); err != nil {
					t.Fatal(err)
				}
				before := x.noticed.Load()
				x.mustStart(t, what)
				if x.noticed.Load() == before {
					silent[kind.what]++ // it did no harm, or the rows' checksums had to find it later
				}
				if i%25 == 0 {
					before = x.noticed.Load()
					x.mustStart(t, what+", once more")
					if x.noticed.Load() != before {
						t.Fatalf("%s: what was made again is not whole either", what)
					}
				}
			}
			t.Logf("damages=%d made_again=%d; not noticed because nothing that counts was hit: %v", damages, x.noticed.Load(), silent)
		})
	}
}

// R8: something that is no index file, or cannot be opened, in its place.
func TestWhatIsNoIndexFile(t *testing.T) {
	x := newIndexedSpool(t, nil)
	for _, c := range []struct {
		what string
		put  func() error
	}{
		{"nothing", func() error { return nil }},
		{"an empty file", func() error { return os.WriteFile(x.name, nil, 0o600) }},
		{"a text", func() error { return os.WriteFile(x.name, []byte(strings.Repeat("index ", 4000)), 0o600) }},
		{"a file without permissions", func() error {
			return errors.Join(os.WriteFile(x.name, x.good, 0o600), os.Chmod(x.name, 0))
		}},
		{"an empty directory", func() error { return os.Mkdir(x.name, 0o700) }},
		{"a directory that is not empty", func() error { return os.MkdirAll(filepath.Join(x.name, "sub"), 0o700) }},
		{"a pipe", func() error { return syscall.Mkfifo(x.name, 0o600) }},
		{"a link to itself", func() error { return os.Symlink(indexName, x.name) }},
		{"a link to nothing", func() error { return os.Symlink("nothing", x.name) }},
		{"a giant with holes", func() error {
			return errors.Join(os.WriteFile(x.name, x.good, 0o600), os.Truncate(x.name, 1<<33))
		}},
	} {
		if err := errors.Join(os.RemoveAll(x.name), c.put()); err != nil {
			t.Fatalf("%s: %v", c.what, err)
		}
		begun := time.Now()
		x.mustStart(t, c.what)
		t.Logf("%s: %v", c.what, time.Since(begun).Round(time.Millisecond))
	}
}

// SPOOL-11: an index is made from nothing at 20,000 files a second or more.
func BenchmarkIndexRebuild(b *testing.B) {
	for _, v := range []struct {
		what string
		key  []byte
	}{{"plain", nil}, {"encrypted", testKey}} {
		b.Run(v.what, func(b *testing.B) { benchRebuild(b, v.key) })
	}
}

func benchRebuild(b *testing.B, key []byte) {
	const objects = 20_000
	dir := b.TempDir()
	real, err := openOSFS(dir)
	if err != nil {
		b.Fatal(err)
	}
	s := open(b, Config{FS: lazyFS{real}, Key: key})
	for n := range objects {
		put(b, s, New{Group: "g", Seed: []byte(fmt.Sprint(n)), Meta: sample(n, 300), Preface: sample(n, 400)}, sample(0, 1024))
	}
	s.Close()
	s = open(b, Config{Dir: dir, BallastBytes: -1, Key: key})
	b.ResetTimer()
	for b.Loop() {
		s.index.remake(s)
		s.index.update(context.Background(), s)
	}
	b.ReportMetric(float64(objects)*float64(b.N)/b.Elapsed().Seconds(), "files/s")
	if _, ok := s.index.meta(objects); !ok {
		b.Fatal("the last one is not in the index")
	}
}

// The start tells how far it is, so that nobody takes a long one for a hanging one.
func TestRecoveryTellsHowFarItIs(t *testing.T) {
	fs := newMemFS()
	cfg := memConfig(fs)
	s := open(t, cfg)
	const objects = 2500
	for n := range objects {
		put(t, s, routineSample(n), sample(n, 8))
	}
	s.Close()
	var told [][2]int
	cfg.Progress = func(done, total int) { told = append(told, [2]int{done, total}) }
	open(t, cfg)
	if len(told) < 3 || told[0] != [2]int{0, objects} || told[len(told)-1] != [2]int{objects, objects} {
		t.Fatalf("told %v", told)
	}
	for i := 1; i < len(told); i++ {
		if told[i][0] < told[i-1][0] {
			t.Fatalf("went back: %v", told)
		}
	}
}
