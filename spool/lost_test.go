package spool

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// wantLost checks how many objects are shown as lost, in the sums and the lists,
// and that nobody gets one of them.
func wantLost(t *testing.T, s *Spool, aside, gone int64) {
	t.Helper()
	if st := s.Stats(); st.SetAside != aside || st.Missing != gone || st.Damaged != 0 || st.BacklogObjects+st.ByState[AtHub] != st.Objects-aside-gone {
		t.Fatalf("%+v; want %d set aside, %d missing and nothing else amiss", st, aside, gone)
	}
	var n int64
	for _, o := range s.Objects(0, 100) {
		if !o.Lost {
			continue
		}
		n++
		if o.State != Quarantined || !o.Damaged || o.Reason == "" {
			t.Fatalf("%+v; want it quarantined, with a reason", o)
		}
		if err := s.Verify(context.Background(), o.ID); err == nil {
			t.Fatalf("object %d is lost and proves whole", o.Seq)
		}
	}
	if n != aside+gone {
		t.Fatalf("%d are listed as lost, want %d", n, aside+gone)
	}
}

// offline is what a reader lists of what is lost.
func offline(t *testing.T, dir string) (out []Object) {
	t.Helper()
	r, err := OpenReadOnly(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := r.Each(func(o Object) error {
		if o.Lost {
			out = append(out, o)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return out
}

func flip(t *testing.T, name string, fromEnd int) {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)-fromEnd] ^= 1
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// P14: an acknowledged object whose file lost its seal stays in sight over every
// start, by name, until it is sent again; then nothing of it is left but the
// good copy. Without a clean end, too: it is above the mark then.
func TestADamagedSealStaysInSightUntilTheObjectComesAgain(t *testing.T) {
	for _, clean := range []bool{true, false} {
		dir := t.TempDir()
		var said bytes.Buffer
		cfg := Config{Dir: dir, Logger: slog.New(slog.NewTextHandler(&said, nil))}
		s := open(t, cfg)
		body := sample(1, 5000)
		o, _ := put(t, s, newSample(1), body)
		put(t, s, newSample(2), sample(2, 5000))
		if clean {
			s.Close()
		} else {
			s.lock.Close()
		}
		flip(t, filepath.Join(dir, objectName(o.Seq)), 1)
		for range 3 {
			said.Reset()
			s = open(t, cfg)
			wantLost(t, s, 1, 0)
			if got, err := s.Object(o.ID); err != nil || got.Seq != o.Seq || !got.Lost {
				t.Fatalf("%+v, %v; want the object under its name", got, err)
			}
			if !strings.Contains(said.String(), "level=ERROR") || !strings.Contains(said.String(), o.ID.String()) {
				t.Fatalf("not told: %s", said.String())
			}
			s.Close()
			if l := offline(t, dir); len(l) != 1 || l[0].ID != o.ID {
				t.Fatalf("offline: %+v", l)
			}
		}
		s = open(t, cfg)
		if _, result := put(t, s, newSample(1), body); result != Fresh {
			t.Fatal("the lost object answered for a re-send")
		}
		for range 2 {
			if err := s.Sweep(context.Background()); err != nil {
				t.Fatal(err)
			}
			wantLost(t, s, 0, 0)
			wantContent(t, s, o.ID, body)
			if c := s.Counters(); c[CountReceived] != 2 || c[CountQuarantined] != 1 {
				t.Fatalf("clean end %v: %v; want 2 received, 1 quarantined", clean, c)
			}
			if names, _ := os.ReadDir(filepath.Join(dir, quarantineDir)); len(names) != 0 {
				t.Fatalf("left behind: %v", names)
			}
			s.Close()
			s = open(t, cfg)
		}
	}
}

// P14: an object that the journal knows and the disk does not is told at every
// start; the archive's word, or the object itself, ends that.
func TestAMissingFileStaysInSight(t *testing.T) {
	ctx := context.Background()
	for _, archived := range []bool{true, false} {
		dir := t.TempDir()
		cfg := Config{Dir: dir}
		s := open(t, cfg)
		body := sample(1, 5000)
		o, _ := put(t, s, newSample(1), body)
		if err := errors.Join(s.AtHub(ctx, receipt(o)), os.Remove(filepath.Join(dir, objectName(o.Seq)))); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			s.Close()
			if l := offline(t, dir); len(l) != 1 || l[0].ID != o.ID {
				t.Fatalf("offline: %+v", l)
			}
			s = open(t, cfg)
			wantLost(t, s, 0, 1)
			if rep := s.Recovery(); rep.Missing != 1 {
				t.Fatalf("%+v", rep)
			}
		}
		if archived {
			if err := s.archivedOutright(ctx, receipt(o)); err != nil {
				t.Fatal(err)
			}
			wantState(t, s, o.ID, Archived)
			if st := s.Stats(); st.Missing != 0 || st.Damaged != 1 {
				t.Fatalf("%+v; want no image lost, and a bad disk", st)
			}
			continue
		}
		put(t, s, newSample(1), body)
		for range 2 {
			if err := s.Sweep(ctx); err != nil {
				t.Fatal(err)
			}
			wantLost(t, s, 0, 0)
			wantContent(t, s, o.ID, body)
			wantState(t, s, o.ID, AtHub)
			s.Close()
			s = open(t, cfg)
		}
	}
}

// What nothing identifies is counted and listed all the same, for as long as
// the file lies in the quarantine folder; its number is not given away again.
func TestAFileOfNobodyKnowsWhatStaysInSight(t *testing.T) {
	dir := t.TempDir()
	cfg := Config{Dir: dir}
	s := open(t, cfg)
	var last Object
	for n := range 3 {
		last, _ = put(t, s, newSample(n), sample(n, 5000))
	}
	s.Close()
	for seq := last.Seq - 1; seq <= last.Seq; seq++ {
		if err := os.Truncate(filepath.Join(dir, objectName(seq)), 100); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		s = open(t, cfg)
		wantLost(t, s, 2, 0)
		if o, _ := put(t, s, newSample(9), sample(9, 100)); o.Seq <= last.Seq {
			t.Fatalf("number %d was given away again", o.Seq)
		}
		s.Close()
		if l := offline(t, dir); len(l) != 2 || l[0].ID != (ID{}) {
			t.Fatalf("offline: %+v", l)
		}
	}
}

// P1, SPOOL-15: setting aside, the re-send and what follows may be cut anywhere:
// what was answered is here whole, and nothing stays counted as lost.
func TestALostObjectComesAgainHoweverThePowerFails(t *testing.T) {
	ctx := context.Background()
	for _, keep := range []int{0, 50, 100} {
		for crash := 1; crash <= 60; crash++ {
			rnd := rand.New(rand.NewPCG(uint64(crash), uint64(keep)))
			fs := newMemFS()
			s := open(t, memConfig(fs))
			body := sample(1, 100)
			o, _ := put(t, s, newSample(1), body)
			s.Close()
			n, err := fs.walk(objectName(o.Seq))
			if err != nil {
				t.Fatal(err)
			}
			n.data[len(n.data)-1] ^= 1
			n.synced = bytes.Clone(n.data)
			fs.crashAt = fs.ops + crash
			acked := false
			if s, err := Open(ctx, memConfig(fs)); err == nil {
				_, _, err = tryPut(s, newSample(1), body)
				acked = err == nil
				_ = s.Sweep(ctx) // ends with the power cut, or later
			}
			disk := fs.powerCut(keep, rnd)
			s = open(t, memConfig(disk))
			if _, result := put(t, s, newSample(1), body); acked && result != Duplicate {
				t.Fatalf("crash after %d: what was answered was not here", crash)
			}
			if err := s.Sweep(ctx); err != nil {
				t.Fatal(err)
			}
			s.Close()
			s = open(t, memConfig(disk))
			wantContent(t, s, o.ID, body)
			wantLost(t, s, 0, 0)
			if st, c := s.Stats(), s.Counters(); st.Objects != 1 || c[CountReceived] != 1 {
				t.Fatalf("crash after %d, %d %% kept: %+v %v; want one object, received once", crash, keep, st, c)
			}
			s.Close()
		}
	}
}
