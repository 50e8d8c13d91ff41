package spool

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

func noted(t *testing.T, s *Spool, prefix string) (keys []string, bodies map[string]string) {
	t.Helper()
	bodies = map[string]string{}
	err := s.Notes(prefix, func(key string, body []byte) error {
		keys = append(keys, key)
		bodies[key] = string(body)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return keys, bodies
}

func setNote(t *testing.T, s *Spool, key, body string) {
	t.Helper()
	if err := s.NoteSet(context.Background(), key, []byte(body)); err != nil {
		t.Fatalf("note %q of %d bytes: %v", key, len(body), err)
	}
}

// D-S4: notes live over starts and over every compaction of the journal, in the order
// of their keys; the last word about a key counts, and who reads from outside is not
// disturbed by them.
func TestNotesLiveOverStartsAndCompaction(t *testing.T) {
	inBoth(t, func(t *testing.T, key []byte) {
		ctx := context.Background()
		cfg := Config{Dir: t.TempDir(), Key: key, JournalBytes: 4096, BallastBytes: 2048, AllowUnsafeFilesystem: true}
		s := open(t, cfg)
		long := strings.Repeat("x", MaxNote)
		setNote(t, s, "a/1", "one")
		setNote(t, s, "b/1", long)
		setNote(t, s, "a/0", "")
		setNote(t, s, "c", "goes")
		if err := s.NoteDrop(ctx, "c", "never there", strings.Repeat("k", 1000)); err != nil {
			t.Fatal(err)
		}
		gen := s.journal.gen
		for n := range 200 {
			setNote(t, s, "a/2", fmt.Sprint("again and again ", n))
			put(t, s, newSample(n), sample(n, 10))
		}
		setNote(t, s, "c", "came back")
		s.Close()
		if gens, _ := segments(s.fs); len(gens) != 0 && gens[0] == gen {
			t.Fatal("the journal was never compacted: this proves nothing")
		}
		r, err := OpenReadOnly(cfg.Dir, key)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(r.Each(func(Object) error { return nil }), r.Close()); err != nil {
			t.Fatal(err)
		}
		s = open(t, cfg)
		keys, bodies := noted(t, s, "")
		want := map[string]string{"a/0": "", "a/1": "one", "a/2": "again and again 199", "b/1": long, "c": "came back"}
		if !maps.Equal(bodies, want) || !slices.IsSorted(keys) {
			t.Fatalf("got %d notes, keys %q", len(bodies), keys)
		}
		if keys, _ = noted(t, s, "a/"); !slices.Equal(keys, []string{"a/0", "a/1", "a/2"}) {
			t.Fatalf("under a/: %q", keys)
		}
		enough := errors.New("enough")
		if err := s.Notes("", func(string, []byte) error { return enough }); !errors.Is(err, enough) {
			t.Fatalf("visit said %v, Notes %v", enough, err)
		}
	})
}

// P9: what notes take is bounded, each and all together, and what is asked for at the
// same time counts.
func TestNotesAreBounded(t *testing.T) {
	ctx := context.Background()
	s := open(t, memConfig(newMemFS()))
	for _, bad := range []struct {
		key  string
		size int
	}{{"", 1}, {strings.Repeat("k", MaxNoteKey+1), 1}, {"k", MaxNote + 1}} {
		if err := s.NoteSet(ctx, bad.key, make([]byte, bad.size)); !errors.Is(err, ErrNote) {
			t.Errorf("key of %d bytes, body of %d: %v, want ErrNote", len(bad.key), bad.size, err)
		}
	}
	setNote(t, s, strings.Repeat("k", MaxNoteKey), "longest key")
	full := 0
	for n := range maxNotes/MaxNote + 10 {
		_, err := s.askForNote(note{fmt.Sprint(n), strings.Repeat("x", MaxNote)})
		if errors.Is(err, ErrFull) {
			full++
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if full < 10 || full > 12 || s.notes.bytes+s.notes.asking > maxNotes {
		t.Fatalf("%d of them refused, %d bytes are asked for", full, s.notes.asking)
	}
	if err := s.NoteSet(ctx, "one more", make([]byte, MaxNote)); !errors.Is(err, ErrFull) {
		t.Fatalf("beyond the bound: %v, want ErrFull", err)
	}
	setNote(t, s, strings.Repeat("k", MaxNoteKey), "another one") // in place of its own
}

// P7, D-S8, SPOOL-24: notes do not take the room of receipts. On a disk that is filled
// with them as far as the spool allows, and by others to the last byte after that, every
// receipt is taken, and a start finds room for its journal.
func TestNotesLeaveTheRoomOfReceipts(t *testing.T) {
	ctx := context.Background()
	fs := newMemFS()
	fs.free = 800_000
	cfg := memConfig(fs)
	cfg.ReserveBytes, cfg.BallastBytes = 100_000, 16<<10
	s := open(t, cfg)
	var kept []Object
	for n := range 20 {
		o, _ := put(t, s, newSample(n), sample(n, 1000))
		kept = append(kept, o)
	}
	var err error
	notes := 0
	for ; err == nil && notes < 1000; notes++ {
		err = s.NoteSet(ctx, fmt.Sprint(notes), bytes.Repeat([]byte{byte(notes)}, 5000))
	}
	if !errors.Is(err, ErrFull) || notes < 10 || !s.Stats().Ballast {
		t.Fatalf("%d notes, then %v; ballast %v", notes, err, s.Stats().Ballast)
	}
	if free, _ := fs.Free(); free < cfg.ReserveBytes {
		t.Fatalf("%d bytes free: notes were made of the reserve", free)
	}
	setFree := func(n int64) {
		fs.mu.Lock()
		defer fs.mu.Unlock()
		fs.free = n
	}
	setFree(0)
	if err := s.NoteSet(ctx, "now", []byte("no room")); !errors.Is(err, ErrFull) || !s.Stats().Ballast {
		t.Fatalf("a note on a full disk: %v, want ErrFull, and the ballast kept", err)
	}
	for _, o := range kept[:10] {
		if err := s.AtHub(ctx, receipt(o)); err != nil {
			t.Fatalf("receipt on a full disk: %v", err)
		}
	}
	s.Close()
	s = open(t, cfg)
	for _, o := range kept[10:] {
		if err := s.AtHub(ctx, receipt(o)); err != nil {
			t.Fatalf("receipt on a full disk, after a start: %v", err)
		}
	}
	_, bodies := noted(t, s, "")
	if len(bodies) < notes-1 {
		t.Fatalf("%d notes of %d are left", len(bodies), notes-1)
	}
	for key := range bodies {
		if err := s.NoteDrop(ctx, key); err != nil {
			t.Fatalf("a note that goes, on a full disk: %v", err)
		}
	}
}

// P8: what is said of a note after a failed sync is nothing, and the spool is over.
func TestFailedSpoolKeepsNoNotes(t *testing.T) {
	ctx := context.Background()
	fs := newMemFS()
	s := open(t, memConfig(fs))
	fs.fault = failNth(1, isSync, errPower)
	if err := s.NoteSet(ctx, "k", []byte("v")); !errors.Is(err, ErrFailed) {
		t.Fatalf("over a failed sync: %v, want ErrFailed", err)
	}
	for what, err := range map[string]error{"set": s.NoteSet(ctx, "k", nil), "drop": s.NoteDrop(ctx, "k"), "notes": s.Notes("", nil)} {
		if !errors.Is(err, ErrFailed) {
			t.Errorf("%s on a failed spool: %v, want ErrFailed", what, err)
		}
	}
}
