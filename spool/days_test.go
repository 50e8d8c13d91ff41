package spool

import (
	"context"
	"errors"
	"testing"
	"time"
)

// P7: days left at today's rate: by hours of running, over starts, and what may be
// forgotten when space is short counts as room.
func TestDaysLeftAtTodaysRate(t *testing.T) {
	fs, c := newMemFS(), newClock()
	cfg := groupConfig(fs, c)
	cfg.RetainArchived, cfg.ReserveBytes, cfg.BallastBytes = 100*time.Hour, -1, -1
	s := open(t, cfg)
	if st := s.Stats(); st.DayBytes != 0 || st.FillsIn != 0 {
		t.Fatalf("nothing came: %+v", st)
	}
	age := func(h int) {
		for range h * 60 {
			c.now = c.now.Add(time.Minute)
			s.tick()
		}
	}
	var size int64
	for i := range 30 { // one an hour
		o, _ := put(t, s, inGroup("g", ""), sample(i, 10_000))
		size = o.Size
		age(1)
	}
	if n := s.Stats().DayBytes; n != 23*size {
		t.Fatalf("%d bytes in the last 24 hours, want 23 objects of %d", n, size)
	}
	fs.free = 46 * size
	if d := s.Stats().FillsIn; d != 48*time.Hour {
		t.Fatalf("full in %v, want 48h", d)
	}
	if err := s.archivedOutright(context.Background(), receipt(s.Objects(0, 1)[0])); err != nil {
		t.Fatal(err)
	}
	fs.free = 45 * size
	if d := s.Stats().FillsIn; d != 48*time.Hour {
		t.Fatalf("full in %v with one object archived, want 48h", d)
	}
	s.Close()
	s = open(t, cfg)
	if n := s.Stats().DayBytes; n < 22*size || n > 24*size {
		t.Fatalf("%d bytes in the last 24 hours after a start", n)
	}
	age(25)
	if st := s.Stats(); st.DayBytes != 0 || st.FillsIn != 0 {
		t.Fatalf("nothing came for a day: %+v", st)
	}
}

// With MaxBytes the nearer end counts. A full spool fills in no time, which is not
// the same as unknown; an absurd one says years.
func TestFillsInIsBounded(t *testing.T) {
	cfg := memConfig(newMemFS())
	cfg.MaxBytes, cfg.ReserveBytes = 20_000, -1
	s := open(t, cfg)
	put(t, s, newSample(1), sample(1, 9_000))
	if d := s.Stats().FillsIn; d < time.Hour || d > 80*time.Minute {
		t.Fatalf("full in %v; want a good hour, since half of it came in the first one", d)
	}
	put(t, s, newSample(2), sample(2, 10_900))
	if d := s.Stats().FillsIn; d != 1 {
		t.Fatalf("full in %v, want at once", d)
	}
	cfg = memConfig(newMemFS())
	s = open(t, cfg)
	put(t, s, newSample(1), nil)
	if d := s.Stats().FillsIn; d > 11*365*24*time.Hour {
		t.Fatalf("full in %v", d)
	}
}

// P6: a slow flush of one object's file holds no other one up: each is synced by
// its own caller, and only the directory's flush is shared, by those who are there.
func TestALargeObjectHoldsNoSmallOneUp(t *testing.T) {
	fs := newMemFS()
	stuck, free := make(chan struct{}), make(chan struct{})
	slow := slowFS{fs, stuck, free}
	s := open(t, memConfig(slow))
	done := make(chan error, 1)
	go func() {
		_, _, err := tryPut(s, newSample(1), sample(1, 1_000_000))
		done <- err
	}()
	<-stuck
	for i := 2; i < 50; i++ {
		put(t, s, newSample(i), sample(i, 1000))
		if o, ok, err := s.TryLease("lane"); !ok || err != nil || o.Length != 1000 {
			t.Fatalf("lease: %+v %v %v", o, ok, err)
		}
	}
	if err := s.AtHub(context.Background(), receipt(s.Objects(0, 1)[0])); err != nil {
		t.Fatal(err)
	}
	close(free)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if n := s.Stats().Objects; n != 49 {
		t.Fatalf("%d objects, want 49", n)
	}
}

// slowFS blocks the sync of files that are large.
type slowFS struct {
	*memFS
	stuck, free chan struct{}
}

func (f slowFS) Create(name string) (File, error) {
	in, err := f.memFS.Create(name)
	if err != nil {
		return nil, err
	}
	return slowFile{in, f}, nil
}

type slowFile struct {
	File
	fs slowFS
}

func (f slowFile) Sync() error {
	if n, err := f.Size(); err != nil || n > 500_000 {
		close(f.fs.stuck)
		<-f.fs.free
		return errors.Join(err, f.File.Sync())
	}
	return f.File.Sync()
}
