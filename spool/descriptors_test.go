//go:build linux

package spool

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// hog takes every descriptor that the process may still open.
type hog struct{ taken []int }

func (h *hog) take(t *testing.T) {
	t.Helper()
	for {
		fd, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if errors.Is(err, unix.EMFILE) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		h.taken = append(h.taken, fd)
	}
}

// free gives n of them back, all if n is negative.
func (h *hog) free(n int) {
	for ; n != 0 && len(h.taken) > 0; n-- {
		last := len(h.taken) - 1
		unix.Close(h.taken[last])
		h.taken = h.taken[:last]
	}
}

// fewDescriptors lowers what the process may open, for the time of a test.
func fewDescriptors(t *testing.T, n uint64) *hog {
	t.Helper()
	var was unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &was); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: n, Max: was.Max}); err != nil {
		t.Fatal(err)
	}
	h := &hog{}
	t.Cleanup(func() {
		h.free(-1)
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &was); err != nil {
			t.Error(err)
		}
	})
	return h
}

// P7, P8: running out of descriptors is not a failing disk. A new object is
// refused for now; an object that is being received is committed, receipts are
// taken, and objects are forgotten without a single one to spare.
func TestWithoutDescriptorsNothingIsLost(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	cfg := Config{Dir: dir, RetainArchived: -1, JournalBytes: 512}
	s := open(t, cfg)
	first, _ := put(t, s, newSample(0), sample(0, 1000))
	w, err := s.Create(newSample(1))
	if err == nil {
		_, err = w.Write(sample(1, 300_000))
	}
	if err != nil {
		t.Fatal(err)
	}
	h := fewDescriptors(t, 256)
	h.take(t)
	if _, err := s.Create(newSample(2)); !errors.Is(err, ErrFull) || errors.Is(err, ErrFailed) {
		t.Fatalf("a new object without descriptors: %v, want ErrFull", err)
	}
	o, _, err := w.Commit(ctx)
	if err != nil {
		t.Fatalf("an object that was being received: %v", err)
	}
	h.take(t)      // what the commit gave back
	for range 20 { // far beyond JournalBytes: a new segment cannot be begun
		if err := errors.Join(s.AtHub(ctx, receipt(o)), s.Hold(ctx, o.ID), s.Release(ctx, o.ID), s.Reoffer(ctx)); err != nil {
			t.Fatalf("receipts without descriptors: %v", err)
		}
	}
	if err := errors.Join(s.archivedOutright(ctx, receipt(first)), s.Sweep(ctx)); err != nil {
		t.Fatalf("forgetting without descriptors: %v", err)
	}
	if _, err := os.Open(dir); !errors.Is(err, unix.EMFILE) {
		t.Fatalf("there were descriptors all the time: %v", err)
	}
	h.free(-1)
	put(t, s, newSample(2), sample(2, 1000))
	wantContent(t, s, o.ID, sample(1, 300_000))
	if err := s.AtHub(ctx, receipt(o)); err != nil {
		t.Fatal(err)
	}
	s.Close()
	s = open(t, cfg)
	if r := s.Recovery(); r.Objects != 2 || r.Rewritten != 0 || r.JournalHoles != 0 || len(r.Quarantined) != 0 {
		t.Fatalf("recovered: %+v", r)
	}
	wantContent(t, s, o.ID, sample(1, 300_000))
}

// P8: a disk that really failed leaves its marker also when nothing can be
// opened any more, and the next recovery takes it away.
func TestFailureIsMarkedWithoutDescriptors(t *testing.T) {
	dir := t.TempDir()
	s := open(t, Config{Dir: dir})
	put(t, s, newSample(0), sample(0, 1000))
	h := fewDescriptors(t, 256)
	h.take(t)
	s.fail(unix.EIO)
	h.free(-1)
	s.Close()
	s = open(t, Config{Dir: dir})
	if r := s.Recovery(); r.Objects != 1 || r.Rewritten != 1 {
		t.Fatalf("recovered: %+v; want the object rewritten", r)
	}
	s.Close()
	s = open(t, Config{Dir: dir})
	if r := s.Recovery(); r.Rewritten != 0 {
		t.Fatalf("the marker stayed: %+v", r)
	}
}

// Reading many folders keeps few of them open; one in which a name waits for its
// sync is never among those that are closed.
func TestOpenDirectoriesAreBounded(t *testing.T) {
	fs, err := openOSFS(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer fs.close()
	if err := fs.Mkdir("new"); err != nil {
		t.Fatal(err)
	}
	f, err := fs.Create("new/name")
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	for n := range 3 * maxOpenDirs {
		dir := fmt.Sprint("d", n)
		if err := errors.Join(fs.Mkdir(dir), fs.SyncDir("."), fs.SyncDir(dir)); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(fs.dirs.open); n > maxOpenDirs {
		t.Fatalf("%d directories are open, want at most %d", n, maxOpenDirs)
	}
	if d := fs.dirs.open["new"]; d == nil || !d.unsynced {
		t.Fatal("a directory that waits for its sync was closed")
	}
	if err := errors.Join(fs.Remove("new/name"), fs.Remove("new"), fs.Mkdir("new"), fs.SyncDir("new")); err != nil {
		t.Fatalf("a directory that was made anew: %v", err)
	}
	for _, name := range []string{"../x", "/x", "", "a/../../x"} {
		if _, err := fs.Create(name); err == nil {
			t.Errorf("%q was opened", name)
		}
	}
	if err := os.Symlink("d1", fs.dir+"/link"); err != nil {
		t.Fatal(err)
	}
	if _, err := fs.Open("link"); !errors.Is(err, unix.ELOOP) {
		t.Errorf("a symbolic link was followed: %v", err)
	}
}
