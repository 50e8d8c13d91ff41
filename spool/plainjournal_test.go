package spool

import (
	"errors"
	"io"
	"log/slog"
	"math"
	"strings"
	"testing"
)

// plainSegment is what somebody without the key can write: it says that o is archived.
func plainSegment(gen uint64, o Object) []byte {
	seg := newSegment(nil, gen)
	var n uint64
	st := standing{mark: o.Seq + 1, next: o.Seq + 1, counters: map[string]uint64{}}
	return append(seg.header, seg.encodeRecords(&n, st, []op{{kind: opArchived, seq: o.Seq, id: o.ID}, {kind: opSnapshotEnd}})...)
}

func mustPlace(t *testing.T, fs FS, name string, b []byte) {
	t.Helper()
	f, err := fs.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(b); err != nil {
		t.Fatal(err)
	}
	f.Close()
}

func lastSegment(t *testing.T, fs FS) uint64 {
	t.Helper()
	gens, err := segments(fs)
	if err != nil || len(gens) == 0 {
		t.Fatalf("segments %v, %v", gens, err)
	}
	return gens[len(gens)-1]
}

// P2: a journal that is not encrypted makes a spool that is forget nothing, whether
// it lies above the real one, below it, or in its place. It is kept, and told.
func TestAPlainJournalIsNotBelievedWhereAllIsEncrypted(t *testing.T) {
	for name, place := range map[string]func(fs *memFS, last uint64) uint64{
		"above":    func(_ *memFS, last uint64) uint64 { return last + 1 },
		"the end":  func(*memFS, uint64) uint64 { return maxSeq - 1 },
		"in place": func(fs *memFS, last uint64) uint64 { _ = fs.Remove(segmentName(last)); return last },
	} {
		fs := newMemFSWith(testKey)
		cfg := memConfig(fs)
		var said strings.Builder
		s := open(t, cfg)
		o, _ := put(t, s, newSample(1), sample(1, 5000))
		s.Close()
		gen := place(fs, lastSegment(t, fs))
		mustPlace(t, fs, segmentName(gen), plainSegment(gen, o))
		cfg.Logger = slog.New(slog.NewTextHandler(&said, nil))
		for range 2 {
			s = open(t, cfg)
			wantState(t, s, o.ID, Received)
			if err := s.Sweep(t.Context()); err != nil {
				t.Fatal(err)
			}
			wantContent(t, s, o.ID, sample(1, 5000))
			if gen := lastSegment(t, fs); gen > 10 {
				t.Errorf("%s: generation %x", name, gen)
			}
			s.Close()
		}
		kept := "quarantine/" + strings.TrimPrefix(segmentName(gen), "journal/")
		if _, err := fs.walk(kept); err != nil || strings.Count(said.String(), "somebody else put it there") != 1 {
			t.Errorf("%s: kept: %v; said:\n%s", name, err, said.String())
		}
	}
}

// A name that no spool has reached makes no generation wrap around.
func TestAJournalNameNeverWraps(t *testing.T) {
	fs := newMemFS()
	s := open(t, memConfig(fs))
	o, _ := put(t, s, newSample(1), sample(1, 500))
	s.Close()
	mustPlace(t, fs, segmentName(math.MaxUint64), []byte("junk"))
	for range 3 {
		s = open(t, memConfig(fs))
		if err := s.AtHub(t.Context(), receipt(o)); err != nil {
			t.Fatal(err)
		}
		s.Close()
	}
	s = open(t, memConfig(fs))
	wantState(t, s, o.ID, AtHub)
	if gen := lastSegment(t, fs); gen > 10 {
		t.Errorf("generation %x", gen)
	}
}

// An older segment under a newer name is damage: it does not turn time back unseen.
func TestASegmentUnderAnotherNameIsDamage(t *testing.T) {
	fs := newMemFSWith(testKey)
	s := open(t, memConfig(fs))
	n, err := fs.walk(segmentName(lastSegment(t, fs)))
	if err != nil {
		t.Fatal(err)
	}
	old := append([]byte(nil), n.data...)
	o, _ := put(t, s, newSample(1), sample(1, 500))
	if err := s.archivedOutright(t.Context(), receipt(o)); err != nil {
		t.Fatal(err)
	}
	s.Close()
	mustPlace(t, fs, segmentName(lastSegment(t, fs)+1), old)
	s = open(t, memConfig(fs))
	wantState(t, s, o.ID, Archived)
	if s.Recovery().JournalHoles == 0 {
		t.Error("nothing was told")
	}
}

// plainObject is a whole container that somebody without the key wrote under a number.
func plainObject(t *testing.T, seq uint64, n New, body []byte) []byte {
	t.Helper()
	fs := newMemFS()
	s := open(t, memConfig(fs))
	var o Object
	for o.Seq < seq {
		n.Meta = append(n.Meta, 'x')
		o, _ = put(t, s, n, append(body, make([]byte, o.Seq)...))
	}
	node, err := fs.walk(objectName(seq))
	if err != nil {
		t.Fatal(err)
	}
	return node.data
}

// A plain object under a number that was given away with a key is set aside and told:
// what the key does not vouch for is not sent. The number is remembered when nothing
// encrypted is left, and what was there before encryption stays good.
func TestAPlainObjectIsNotBelievedWhereAllIsEncrypted(t *testing.T) {
	for _, left := range []bool{true, false} {
		fs := newMemFS()
		cfg := memConfig(fs)
		cfg.RetainArchived = -1
		s := open(t, cfg)
		before, _ := put(t, s, newSample(1), sample(1, 5000))
		s.Close()
		fs.key, cfg.Key = testKey, testKey
		s = open(t, cfg)
		o, _ := put(t, s, newSample(2), sample(2, 5000))
		if !left {
			if err := errors.Join(s.archivedOutright(t.Context(), receipt(o)), s.Sweep(t.Context())); err != nil {
				t.Fatal(err)
			}
			if _, err := fs.walk(objectName(o.Seq)); err == nil {
				t.Fatal("it is still there: this proves nothing")
			}
		}
		s.Close()
		if err := fs.Mkdir(shardName(4)); err != nil {
			t.Fatal(err)
		}
		mustPlace(t, fs, objectName(4), plainObject(t, 4, newSample(4), sample(4, 900)))
		for range 3 {
			s = open(t, cfg)
			wantContent(t, s, before.ID, sample(1, 5000))
			if st := s.Stats(); st.SetAside != 1 {
				t.Errorf("left %v: %d set aside, want 1: %+v", left, st.SetAside, s.Recovery())
			}
			for l, ok, _ := s.TryLease("up"); ok; l, ok, _ = s.TryLease("up") {
				if l.Seq == 4 {
					t.Errorf("left %v: offered to the hub", left)
				}
			}
			if _, err := fs.walk(asideName(4)); err != nil {
				t.Errorf("left %v: %v", left, err)
			}
			s.Close()
		}
	}
}

// The reader does not believe it either.
func TestAReaderShowsAPlainObjectAsDamaged(t *testing.T) {
	cfg := Config{Dir: t.TempDir(), BallastBytes: -1, Key: testKey}
	s := open(t, cfg)
	put(t, s, newSample(1), sample(1, 5000))
	s.Close()
	fs, err := openOSFS(cfg.Dir)
	if err != nil {
		t.Fatal(err)
	}
	defer fs.close()
	mustPlace(t, fs, objectName(4), plainObject(t, 4, newSample(4), sample(4, 900)))
	r, err := OpenReadOnly(cfg.Dir, testKey)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	seen := map[uint64]bool{}
	if err := r.Each(func(o Object) error { seen[o.Seq] = o.Damaged; return nil }); err != nil || seen[1] || !seen[4] || len(seen) != 2 {
		t.Errorf("damaged by number: %v, %v", seen, err)
	}
	if c, err := r.Open(4); err == nil {
		t.Error("opened")
		io.Copy(io.Discard, c)
		c.Close()
	}
}
