package spool

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// rot flips a bit of an object's content on the disk.
func rot(t *testing.T, fs *memFS, o Object) {
	t.Helper()
	n, err := fs.walk(objectName(o.Seq))
	if err != nil {
		t.Fatal(err)
	}
	fs.mu.Lock()
	n.data[len(n.data)-sealSize-1] ^= 1
	n.synced = bytes.Clone(n.data)
	fs.mu.Unlock()
}

// scrubFor runs Scrub for a while of virtual time.
func scrubFor(t *testing.T, s *Spool, d time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	if err := s.Scrub(ctx); err != nil {
		t.Fatal(err)
	}
}

// P14: damage that nobody asked for is found in the background, quarantined, and
// the reason says whether the hub has a good copy. Forgetting goes on meanwhile.
func TestScrubSaysWhetherTheHubHasACopy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := context.Background()
		fs := newMemFS()
		s := open(t, memConfig(fs))
		var all []Object
		for i := range 6 {
			o, _ := put(t, s, newSample(i), sample(i, 10_000))
			all = append(all, o)
		}
		if err := s.AtHub(ctx, receipt(all[1])); err != nil {
			t.Fatal(err)
		}
		rot(t, fs, all[1])
		rot(t, fs, all[4])
		scrubFor(t, s, time.Minute)
		for i, o := range all {
			got, err := s.Object(o.ID)
			if err != nil || got.Damaged != (i == 1 || i == 4) {
				t.Fatalf("object %d: %+v, %v", i, got, err)
			}
		}
		if o, _ := s.Object(all[1].ID); o.State != Quarantined || !o.HubHasCopy || !strings.HasPrefix(o.Reason, "damaged: ") || !strings.HasSuffix(o.Reason, "; the hub has a good copy") {
			t.Fatalf("%+v; want it quarantined, with a good copy at the hub", o)
		}
		if o, _ := s.Object(all[4].ID); o.State != Quarantined || o.HubHasCopy || !strings.HasSuffix(o.Reason, "; no other copy is known: send it again from the modality") {
			t.Fatalf("%+v; want it quarantined, with no other copy", o)
		}
		if st := s.Stats().Scrub; st.Objects != 6 || st.Damaged != 2 || st.PassEnded.IsZero() || st.Position != 0 {
			t.Fatalf("scrub: %+v", st)
		}
		// It is not stuck: the archive's word ends it.
		if err := s.archivedOutright(ctx, receipt(all[1])); err != nil {
			t.Fatal(err)
		}
		if err := s.Sweep(ctx); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Object(all[1].ID); err == nil {
			t.Fatal("damaged here, archived, and never forgotten")
		}
	})
}

// ScrubRate bounds what is read, in small steps; a spool that is done rests.
func TestScrubKeepsItsRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := memConfig(newMemFS())
		cfg.ScrubRate = 100_000
		s := open(t, cfg)
		for i := range 5 {
			put(t, s, newSample(i), sample(i, 1_000_000))
		}
		scrubFor(t, s, 20*time.Second)
		if n := s.Stats().Scrub.Bytes; n < 1_700_000 || n > 2_000_000+scrubStep {
			t.Fatalf("%d bytes in 20 s at 100,000 a second", n)
		}
		scrubFor(t, s, 100*time.Minute)
		if st := s.Stats().Scrub; st.Objects < 7 || st.Objects > 14 {
			t.Fatalf("%+v; want two passes and no more", st)
		}
		cfg.FS, cfg.ScrubRate = newMemFS(), -1
		s = open(t, cfg)
		put(t, s, newSample(1), sample(1, 1000))
		scrubFor(t, s, 3*time.Hour)
		if n := s.Stats().Scrub.Bytes; n != 0 {
			t.Fatalf("%d bytes were read though it is switched off", n)
		}
	})
}

// A start goes on where the last run was a minute before a power cut.
func TestScrubGoesOnAfterAStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := newMemFS()
		cfg := memConfig(fs)
		cfg.ScrubRate = 10_000
		s := open(t, cfg)
		for i := range 30 {
			put(t, s, newSample(i), sample(i, 100_000))
		}
		done := make(chan error, 1)
		ctx, cancel := context.WithCancel(context.Background())
		go func() { done <- s.Scrub(ctx) }()
		time.Sleep(155 * time.Second) // virtual
		disk := fs.powerCut(0, rand.New(rand.NewPCG(1, 1)))
		cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		cfg.FS = disk
		s = open(t, cfg)
		if p := s.Stats().Scrub.Position; p < 9 || p > 15 {
			t.Fatalf("goes on behind object %d; it was at 15 and had noted it a minute before", p)
		}
		scrubFor(t, s, 10*time.Minute)
		if st := s.Stats().Scrub; st.Objects > 21 || st.PassEnded.IsZero() {
			t.Fatalf("%+v; want the rest of the pass", st)
		}
		for range 2 { // once from the row, once from a snapshot
			s.Close()
			if s = open(t, cfg); s.Stats().Scrub.PassEnded.IsZero() {
				t.Fatal("the end of the pass is forgotten")
			}
		}
	})
}

// Where there is nothing, nothing was read: nobody is told that all was checked.
func TestScrubOfNothingIsNoPass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, memConfig(newMemFS()))
		scrubFor(t, s, 10*time.Minute)
		if st := s.Stats().Scrub; !st.PassEnded.IsZero() {
			t.Fatalf("%+v of an empty spool", st)
		}
	})
}

// eioFS cannot read some files.
type eioFS struct {
	*memFS
	bad func(name string) error
}

func (f eioFS) Open(name string) (File, error) {
	in, err := f.memFS.Open(name)
	if err == nil && f.bad(name) != nil {
		return eioFile{in, f.bad(name)}, nil
	}
	return in, err
}

type eioFile struct {
	File
	err error
}

func (f eioFile) ReadAt([]byte, int64) (int, error) { return 0, f.err }

var _ io.ReaderAt = eioFile{}

// A sector that cannot be read is damage; a disk that cannot be read is none of
// any object, and lack of memory or descriptors says nothing at all.
func TestScrubTellsABadSectorFromABadDisk(t *testing.T) {
	for _, tc := range []struct {
		what string
		bad  func(name string) error
		want int64
	}{
		{"one object", func(name string) error {
			if name == objectName(3) {
				return syscall.EIO
			}
			return nil
		}, 1},
		{"the disk", func(string) error { return syscall.EIO }, 0},
		{"no descriptor", func(name string) error {
			if name == objectName(3) {
				return syscall.EMFILE
			}
			return nil
		}, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			fs := eioFS{newMemFS(), func(string) error { return nil }}
			quiet := true
			bad := fs.bad
			fs.bad = func(name string) error {
				if quiet {
					return bad(name)
				}
				return tc.bad(name)
			}
			s := open(t, memConfig(fs))
			for i := range 20 {
				put(t, s, newSample(i), sample(i, 1000))
			}
			quiet = false
			scrubFor(t, s, 3*time.Hour)
			quiet = true
			if st := s.Stats(); st.Damaged != tc.want || st.Scrub.Damaged != tc.want || st.Scrub.Objects < 20 {
				t.Fatalf("%s cannot be read: %+v; want %d damaged", tc.what, st, tc.want)
			}
			if s.Err() != nil {
				t.Fatal(s.Err())
			}
		})
	}
}

// P2, P9: what is forgotten or discarded while it is read is no damage.
func TestScrubYieldsToForgetting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		cfg := memConfig(newMemFS())
		cfg.ScrubRate = 100_000
		s := open(t, cfg)
		var all []Object
		for i := range 4 {
			o, _ := put(t, s, newSample(i), sample(i, 1_000_000))
			all = append(all, o)
		}
		done := make(chan error, 1)
		go func() { done <- s.Scrub(ctx) }()
		time.Sleep(5 * time.Second) // virtual: in the middle of the first
		for _, o := range all[:3] {
			if err := s.archivedOutright(ctx, receipt(o)); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Sweep(ctx); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if st := s.Stats(); st.Objects != 1 || st.Damaged != 0 || st.Scrub.Damaged != 0 || st.Scrub.PassEnded.IsZero() {
			t.Fatalf("%+v", st)
		}
	})
}

// P8: Scrub ends with the spool, and says why.
func TestScrubEndsWithTheSpool(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, memConfig(newMemFS()))
		put(t, s, newSample(1), sample(1, 1000))
		done := make(chan error, 1)
		go func() { done <- s.Scrub(context.Background()) }()
		synctest.Wait()
		_ = s.fail(syscall.EIO)
		if err := <-done; err == nil {
			t.Fatal("Scrub ended without an error though the spool failed")
		}
	})
}

// P14, SPOOL-6: what a power cut left of an object that was being stored is kept
// and listed, start after start, and alarms nobody; below the mark the same file
// is an alarm. An administrator can wave both away.
func TestUnfinishedIsToldAndNoAlarm(t *testing.T) {
	for _, above := range []bool{true, false} {
		fs := newMemFS()
		cfg := memConfig(fs)
		s := open(t, cfg)
		put(t, s, newSample(1), sample(1, 1000))
		if !above {
			s.Close()
			s = open(t, cfg)
		}
		o, _ := put(t, s, newSample(2), sample(2, 1000))
		if !above {
			s.Close() // the mark moves
		}
		disk := fs.powerCut(0, rand.New(rand.NewPCG(1, 1)))
		n, err := disk.walk(objectName(o.Seq))
		if err != nil {
			t.Fatal(err)
		}
		n.data = n.data[:90]
		n.synced = bytes.Clone(n.data)
		cfg.FS = disk
		for range 3 {
			s = open(t, cfg)
			st, l := s.Stats(), s.Objects(1, 10)
			if st.Unfinished+st.SetAside != 1 || (st.Unfinished == 1) != above || len(l) != 1 || l[0].Unfinished != above || !l[0].Lost {
				t.Fatalf("above the mark %v: %+v %+v", above, st, l)
			}
			if above != (l[0].Reason == tornReason) {
				t.Fatalf("above the mark %v: reason %q", above, l[0].Reason)
			}
			if s.Counters()[CountQuarantined] > 0 == above {
				t.Fatalf("above the mark %v: %v", above, s.Counters())
			}
			s.Close()
		}
		s = open(t, cfg)
		if err := s.Discard(context.Background(), byAdmin(s.Objects(1, 1)[0])); err != nil {
			t.Fatal(err)
		}
		s.Close()
		s = open(t, cfg)
		wantLost(t, s, 0, 0)
		wantFiles(t, s, 1)
	}
}

// A reader beside a daemon that is down says the same of broken files as the next
// start will: what is unfinished, and what the hub has.
func TestReaderTellsUnfinishedFromDamaged(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	s := open(t, Config{Dir: dir})
	old, _ := put(t, s, newSample(1), sample(1, 1000))
	if err := s.AtHub(ctx, receipt(old)); err != nil {
		t.Fatal(err)
	}
	s.Close()
	s = open(t, Config{Dir: dir})
	named, _ := put(t, s, newSample(2), sample(2, 1000))
	torn, _ := put(t, s, newSample(3), sample(3, 1000))
	s.lock.Close() // no clean end: the last two are above the mark
	flip(t, filepath.Join(dir, objectName(old.Seq)), 1)
	flip(t, filepath.Join(dir, objectName(named.Seq)), 1)
	if err := os.Truncate(filepath.Join(dir, objectName(torn.Seq)), 90); err != nil {
		t.Fatal(err)
	}
	list := func() (out []Object) {
		r, err := OpenReadOnly(dir, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		if err := r.Each(func(o Object) error { out = append(out, o); return nil }); err != nil {
			t.Fatal(err)
		}
		return out
	}
	for range 2 { // before a start has set them aside, and after it
		got := list()
		if len(got) != 3 || got[0].ID != old.ID || !got[0].HubHasCopy || got[0].Unfinished ||
			got[1].ID != named.ID || got[1].HubHasCopy || got[1].Unfinished || got[2].ID != (ID{}) || !got[2].Unfinished {
			t.Fatalf("%+v", got)
		}
		open(t, Config{Dir: dir}).Close()
	}
}
