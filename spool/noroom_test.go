package spool

import (
	"context"
	"errors"
	"math/rand/v2"
	"syscall"
	"testing"
)

// fullDisk stores objects, takes receipts and gives up the ballast; then not one
// byte is free. The first object is archived and forgotten, the second at the hub.
func fullDisk(t *testing.T, cfg Config, fs *memFS) (*Spool, []Object) {
	t.Helper()
	ctx := context.Background()
	s := open(t, cfg)
	var all []Object
	for i := range 4 {
		o, _ := put(t, s, newSample(i), sample(i, 5000))
		all = append(all, o)
	}
	if err := errors.Join(s.archivedOutright(ctx, receipt(all[0])), s.Sweep(ctx), s.AtHub(ctx, receipt(all[1]))); err != nil {
		t.Fatal(err)
	}
	s.Close()
	if err := errors.Join(fs.Remove(ballastName), fs.SyncFS()); err != nil {
		t.Fatal(err)
	}
	fs.free = 0
	return s, all
}

func noRoomConfig(fs FS) Config {
	cfg := memConfig(fs)
	cfg.ReserveBytes = -1
	return cfg
}

// P7: without a byte free and without ballast a start shows and sends what is
// here. Receipts wait, take no harm by waiting, and are taken when there is room.
// However often it starts, and however the power fails.
func TestAStartWithoutAnyRoomSends(t *testing.T) {
	ctx := context.Background()
	for _, keep := range []int{0, 50, 100} {
		fs := newMemFS()
		cfg := noRoomConfig(fs)
		_, all := fullDisk(t, cfg, fs)
		var s *Spool
		for cut := range 3 {
			fs = fs.powerCut(keep, rand.New(rand.NewPCG(uint64(cut), uint64(keep))))
			cfg.FS = fs
			s = open(t, cfg)
			wantState(t, s, all[1].ID, AtHub)
			if o, err := s.Lease(ctx, "lane"); err != nil || o.ID != all[2].ID {
				t.Fatalf("lease: %+v, %v", o, err)
			}
			wantContent(t, s, all[2].ID, sample(2, 5000))
			if err := s.archivedOutright(ctx, receipt(all[2])); !errors.Is(err, ErrFull) || errors.Is(err, ErrFailed) {
				t.Fatalf("receipt without any room: %v, want ErrFull", err)
			}
			if err := s.Discard(ctx, byAdmin(all[3])); !errors.Is(err, ErrFull) {
				t.Fatalf("discard without any room: %v, want ErrFull", err)
			}
			if err := s.Sweep(ctx); err != nil {
				t.Fatal(err)
			}
			wantState(t, s, all[2].ID, Sending)
			if n := len(s.Objects(0, 10)); n != 3 {
				t.Fatalf("%d objects, want 3", n)
			}
		}
		fs.free = -1
		if err := errors.Join(s.archivedOutright(ctx, receipt(all[2])), s.Sweep(ctx), s.Discard(ctx, byAdmin(all[3]))); err != nil {
			t.Fatal(err)
		}
		cfg.FS = fs.powerCut(0, rand.New(rand.NewPCG(9, 9)))
		s = open(t, cfg)
		if o := s.Objects(0, 10); len(o) != 1 || o[0].State != AtHub || s.Recovery().JournalHoles > 0 {
			t.Fatalf("left %+v, %+v", o, s.Recovery())
		}
		if c := s.Counters(); c[CountReceived] != 4 || c[CountArchived] != 2 || c[CountAtHub] != 3 || c[CountDiscarded] != 1 {
			t.Fatalf("counters %v", c)
		}
	}
}

// P7: a start makes the room that it may make by itself: files that rows let go,
// and the index. Then receipts are taken.
func TestAStartMakesRoomForItsJournal(t *testing.T) {
	ctx := context.Background()
	for _, what := range []string{"a forgotten file", "the index"} {
		fs := newMemFS()
		cfg := noRoomConfig(fs)
		_, all := fullDisk(t, cfg, fs)
		name := indexName
		if what == "a forgotten file" {
			name = objectName(all[0].Seq) // a crash brought it back
		}
		fs.free = 12_000
		f, err := fs.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if what == "the index" {
			_, err = f.Write(make([]byte, 12_000))
		} else {
			_, err = f.Write(containerOf(t, fs, all[0]))
		}
		if err != nil {
			t.Fatal(err)
		}
		fs.free = 0
		s := open(t, cfg)
		if err := s.archivedOutright(ctx, receipt(all[2])); err != nil {
			t.Fatalf("%s was there to go, and a receipt finds no room: %v", what, err)
		}
		wantState(t, s, all[2].ID, Archived)
	}
}

// containerOf makes the bytes of an object's file again.
func containerOf(t *testing.T, fs *memFS, o Object) []byte {
	t.Helper()
	other := newMemFS()
	s := open(t, memConfig(other))
	if again, _ := put(t, s, newSample(0), sample(0, 5000)); again.ID != o.ID || again.Seq != o.Seq {
		t.Fatalf("%+v is not %+v", again, o)
	}
	n, err := other.walk(objectName(o.Seq))
	if err != nil {
		t.Fatal(err)
	}
	return n.data
}

// P7, SPOOL-24: with no byte free discarding works as forgetting does, by the ballast.
func TestFullDiskDiscards(t *testing.T) {
	ctx := context.Background()
	fs := newMemFS()
	cfg := noRoomConfig(fs)
	cfg.BallastBytes = 16 << 10
	s := open(t, cfg)
	a, _ := put(t, s, newSample(1), sample(1, 50_000))
	b, _ := put(t, s, newSample(2), sample(2, 100))
	fs.free = 0
	if err := errors.Join(s.Discard(ctx, byAdmin(a)), s.archivedOutright(ctx, receipt(b)), s.Sweep(ctx)); err != nil {
		t.Fatal(err)
	}
	if st := s.Stats(); st.Objects != 0 || !st.Ballast {
		t.Fatalf("after discarding: %+v", st)
	}
	put(t, s, newSample(3), sample(3, 10_000))
}

// P2, D-S5: a row that lets an object go and is only in the page cache is made
// durable before a start without room unlinks the file, so that no power cut
// makes it look lost.
func TestRoomIsMadeByDurableRowsOnly(t *testing.T) {
	ctx := context.Background()
	for seed := range uint64(240) {
		fs := newMemFS()
		cfg := noRoomConfig(fs)
		s := open(t, cfg)
		o, _ := put(t, s, newSample(1), sample(1, 5000))
		if err := errors.Join(s.archivedOutright(ctx, receipt(o)), fs.Remove(ballastName), fs.SyncFS()); err != nil {
			t.Fatal(err)
		}
		fs.fault = func(kind, _ string) error {
			if kind == "sync" {
				fs.crashAt = fs.ops // killed between write and fdatasync
				return errPower
			}
			return nil
		}
		if err := s.Sweep(ctx); err == nil {
			t.Fatal("the row was durable without a sync")
		}
		disk := fs.kill()
		_ = disk.Remove(suspectName)
		disk.free = 0
		cfg.FS = disk
		disk.crashAt = int(5 + seed%12)
		if s, err := Open(ctx, cfg); err == nil {
			s.Close()
		}
		disk.free = -1
		cfg.FS = disk.powerCut(50, rand.New(rand.NewPCG(seed, 1)))
		s = open(t, cfg)
		if n, f := len(s.Objects(0, 10)), s.Forgotten(10); s.Stats().Missing+s.Stats().Damaged > 0 || n+len(f) != 1 {
			t.Fatalf("seed %d: %d objects, remembered are %+v, %+v", seed, n, f, s.Stats())
		}
	}
}

// P7: where even the name of a file needs room, the ballast gives it.
func TestTheBallastGivesRoomForAName(t *testing.T) {
	fs := newMemFS()
	s := open(t, noRoomConfig(fs))
	o, _ := put(t, s, newSample(1), sample(1, 5000))
	s.Close()
	fs.fault = func(kind, name string) error {
		if _, err := fs.walk(ballastName); kind == "create" && name != ballastName && err == nil {
			return syscall.ENOSPC
		}
		return nil
	}
	fs.free = 0
	s = open(t, noRoomConfig(fs))
	if err := s.archivedOutright(context.Background(), receipt(o)); err != nil {
		t.Fatal(err)
	}
}

// D-S6: after a failed sync the page cache proves nothing: a start without room
// says ErrFull and unlinks nothing.
func TestAfterAFailedSyncNoRoomIsMade(t *testing.T) {
	fs := newMemFS()
	cfg := noRoomConfig(fs)
	_, all := fullDisk(t, cfg, fs)
	markSuspect(fs)
	fs.free = -1
	f, err := fs.Create(objectName(all[0].Seq)) // a crash brought it back
	if err == nil {
		_, err = f.Write(containerOf(t, fs, all[0]))
	}
	if err != nil {
		t.Fatal(err)
	}
	fs.free = 0
	if _, err := Open(context.Background(), cfg); !errors.Is(err, ErrFull) {
		t.Fatalf("start: %v, want ErrFull", err)
	}
	if _, err := fs.walk(objectName(all[0].Seq)); err != nil {
		t.Fatal("unlinked by a row that may not be on the disk")
	}
}
