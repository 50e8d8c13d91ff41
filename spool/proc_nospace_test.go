package spool

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// filler takes space on a file system beside the spool, to the byte.
type filler struct {
	t    *testing.T
	f    *os.File
	size int64
}

func newFiller(t *testing.T, point string) *filler {
	t.Helper()
	f, err := os.Create(filepath.Join(point, "filler"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return &filler{t: t, f: f}
}

// leave takes all but free bytes.
func (l *filler) leave(free int64) {
	l.t.Helper()
	step := l.avail() - free
	for range 100 { // a file system keeps blocks for its own books: what is left is asked for in ever smaller pieces
		if step = min(step, l.avail()-free); step < 4096 {
			return
		}
		switch err := unix.Fallocate(int(l.f.Fd()), 0, l.size, step); err {
		case nil:
			l.size += step
		case syscall.ENOSPC:
			step /= 2
		default:
			l.t.Fatal(err)
		}
	}
}

// empty gives it all back.
func (l *filler) empty() {
	l.t.Helper()
	if err := l.f.Truncate(0); err != nil {
		l.t.Fatal(err)
	}
	l.size = 0
}

func (l *filler) avail() int64 {
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(l.f.Fd()), &st); err != nil {
		l.t.Fatal(err)
	}
	return int64(st.Bavail) * st.Bsize
}

// P7, D-S8 on real file systems: wherever in the work of a spool the last byte is
// taken, what does not fit is ErrFull and leaves nothing, what was acknowledged is
// whole, and with no byte free receipts are taken and objects forgotten; a start
// finds everything; and when space is back the spool goes on by itself.
func TestDiskFullAtEachStep(t *testing.T) {
	for _, fs := range []struct {
		name, size string
		mkfs       []string
	}{{"ext4", "40M", []string{"mkfs.ext4", "-q", "-m", "0"}}, {"xfs", "320M", []string{"mkfs.xfs", "-q"}}} {
		t.Run(fs.name, func(t *testing.T) {
			point := mountImage(t, fs.size, fs.mkfs...)
			c := &crowded{t: t, cfg: Config{Dir: filepath.Join(point, "spool"), ReserveBytes: -1, BallastBytes: 1 << 20, RetainArchived: -1, JournalBytes: 16 << 10},
				disk: newFiller(t, point), held: map[int]Object{}}
			c.run()
		})
	}
}

// crowded is a spool on a disk that is filled up over and over.
type crowded struct {
	t       *testing.T
	cfg     Config
	s       *Spool
	disk    *filler
	held    map[int]Object // acknowledged and not forgotten, by the number of the sample
	next    int
	full    int // how often a store found no room
	refused int // how often a start did
}

const (
	crowdedSteps = 40
	crowdedGrain = 64 << 10
	crowdedSize  = 150_000
)

func (c *crowded) run() {
	c.s = openUnlocked(c.t, c.cfg)
	defer func() { c.s.Close() }()
	for range 4 {
		c.mustStore()
	}
	for k := range int64(crowdedSteps + 1) {
		c.disk.leave(k * crowdedGrain)
		c.storeUntilFull()
		c.disk.leave(0)
		if _, _, err := c.store(); !errors.Is(err, ErrFull) {
			c.t.Fatalf("step %d: with no byte free: %v, want ErrFull", k, err)
		}
		c.mustHold("when the disk is full")
		if k%4 == 0 {
			c.restartFull(k%8 == 0)
		}
		if k%8 == 4 { // the ballast was taken away: then even a receipt needs room
			c.disk.empty()
		}
		c.archiveMost(k)
		c.disk.empty()
		c.mustGoOn(k)
	}
	c.t.Logf("steps=%d full=%d starts that found no room=%d lost=0", crowdedSteps+1, c.full, c.refused)
	if c.full < crowdedSteps {
		c.t.Errorf("%d times full: this proves little", c.full)
	}
}

func (c *crowded) store() (o Object, n int, err error) {
	n = c.next
	c.next++
	o, _, err = tryPut(c.s, newSample(n), sample(n, crowdedSize))
	return o, n, err
}

func (c *crowded) mustStore() {
	c.t.Helper()
	o, n, err := c.store()
	if err != nil {
		c.t.Fatal(err)
	}
	c.held[n] = o
}

// storeUntilFull ends with an object that did not fit and left nothing.
func (c *crowded) storeUntilFull() {
	c.t.Helper()
	most := 2 + crowdedSteps*crowdedGrain/crowdedSize
	for i := range 2 * most {
		if i >= most { // what was freed a moment ago became free only now
			c.disk.leave(0)
		}
		o, n, err := c.store()
		if err == nil {
			c.held[n] = o
			continue
		}
		if c.full++; !errors.Is(err, ErrFull) || c.s.Err() != nil {
			c.t.Fatalf("an object that does not fit: %v, and the spool says %v; want ErrFull", err, c.s.Err())
		}
		if names, err := c.s.fs.ReadDir(tmpDir); err != nil || len(names) != 0 {
			c.t.Fatalf("partial data left: %v %v", names, err)
		}
		return
	}
	c.t.Fatal("the disk does not fill up")
}

// mustHold: what was acknowledged is here and whole, and nothing else.
func (c *crowded) mustHold(when string) {
	c.t.Helper()
	for n, o := range c.held {
		if got, err := content(c.s, o.ID); err != nil || string(got) != string(sample(n, crowdedSize)) {
			c.t.Fatalf("%s object %d has %d bytes, %v", when, n, len(got), err)
		}
	}
	if st := c.s.Stats(); st.Objects != int64(len(c.held)) || st.Damaged+st.SetAside+st.Missing > 0 {
		c.t.Fatalf("%s %d objects are here, want %d: %+v", when, st.Objects, len(c.held), st)
	}
}

// restartFull opens the spool anew with no byte free. With a ballast it must
// come up; without one it may say that there is no room, and touches nothing.
func (c *crowded) restartFull(ballast bool) {
	c.t.Helper()
	c.s.Close()
	if !ballast {
		if err := os.Remove(filepath.Join(c.cfg.Dir, ballastName)); err != nil && !errors.Is(err, os.ErrNotExist) {
			c.t.Fatal(err)
		}
		c.disk.leave(0)
	}
	_, err := os.Stat(filepath.Join(c.cfg.Dir, ballastName))
	had := err == nil
	s, err := Open(context.Background(), c.cfg)
	if err == nil {
		c.s = s
		c.mustHold("after a start on a full disk")
		return
	}
	if c.refused++; had || !errors.Is(err, ErrFull) {
		c.t.Fatalf("a start on a full disk, ballast %v: %v", had, err)
	}
	c.disk.empty()
	c.s = openUnlocked(c.t, c.cfg)
	c.mustHold("after a start that found no room")
	c.disk.leave(0)
}

// archiveMost: with no byte free the hub's and the archive's words are taken, what
// is archived goes, and so does what an administrator discards.
func (c *crowded) archiveMost(k int64) {
	c.t.Helper()
	ctx, before := context.Background(), c.disk.avail()
	gone := 0
	for n, o := range c.held {
		if len(c.held) > 6 {
			if err := errors.Join(c.s.AtHub(ctx, receipt(o)), c.s.archivedOutright(ctx, receipt(o))); err != nil {
				c.t.Fatalf("step %d: receipts with %d bytes free: %v", k, before, err)
			}
			delete(c.held, n)
			gone++
		}
	}
	if err := c.s.Sweep(ctx); err != nil {
		c.t.Fatalf("step %d: forgetting with %d bytes free: %v", k, before, err)
	}
	for n, o := range c.held {
		if len(c.held) > 4 {
			if err := c.s.Discard(ctx, Discard{ID: o.ID, By: "somebody", Reason: "the disk is full"}); err != nil {
				c.t.Fatalf("step %d: discarding with %d bytes free before: %v", k, before, err)
			}
			delete(c.held, n)
			break
		}
	}
	if n := c.s.Stats().ByState[Archived]; n > 0 {
		c.t.Fatalf("step %d: %d of %d archived objects were not forgotten", k, n, gone)
	}
	c.mustHold("after forgetting on a full disk")
}

// mustGoOn: space is back, and the spool takes objects again and makes its
// ballast, within a minute of a busy machine, without a restart.
func (c *crowded) mustGoOn(k int64) {
	c.t.Helper()
	began := time.Now()
	c.mustStore()
	if err := c.s.Sweep(context.Background()); err != nil {
		c.t.Fatalf("step %d: %v", k, err)
	}
	if !c.s.Stats().Ballast || time.Since(began) > time.Minute {
		c.t.Fatalf("step %d: ballast %v after %v", k, c.s.Stats().Ballast, time.Since(began))
	}
}
