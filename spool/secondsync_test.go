package spool

import (
	"errors"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
)

// syncDirFS lets a test step in before a directory is synced, outside memFS's lock.
type syncDirFS struct {
	*memFS
	before func(name string) error
}

func (f *syncDirFS) SyncDir(name string) error {
	if f.before != nil {
		if err := f.before(name); err != nil {
			return err
		}
	}
	return f.memFS.SyncDir(name)
}

// failFirst fails the first sync of a directory that which accepts, when ready
// says so, and counts all of them.
func failFirst(t *testing.T, calls *atomic.Int64, which func(string) bool, ready func() bool) func(string) error {
	return func(name string) error {
		if !which(name) || calls.Add(1) > 1 {
			return nil // Linux says an error once
		}
		for range 100_000_000 {
			if ready() {
				return syscall.EIO
			}
			runtime.Gosched()
		}
		t.Error("nobody came to wait for the sync")
		return syscall.EIO
	}
}

// putTwo commits two objects at once and says how many were answered well.
func putTwo(s *Spool) (good int64) {
	var n atomic.Int64
	var wg sync.WaitGroup
	for i := 1; i <= 2; i++ {
		wg.Go(func() {
			if _, _, err := tryPut(s, newSample(i), sample(i, 100)); err == nil {
				n.Add(1)
			}
		})
	}
	wg.Wait()
	return n.Load()
}

// P8, SPOOL-4, SPOOL-5: the fsync of an object directory fails while the next
// writer waits for its turn. It does not sync that directory again, and neither
// of the two is answered with success.
func TestDirectoryWhoseSyncFailedIsNotSyncedByTheNextWriter(t *testing.T) {
	fs := &syncDirFS{memFS: newMemFS()}
	s := open(t, memConfig(fs))
	put(t, s, newSample(0), sample(0, 100))
	var calls atomic.Int64
	joined := func() bool {
		s.shards.mu.Lock()
		defer s.shards.mu.Unlock()
		return s.shards.open != nil
	}
	fs.before = failFirst(t, &calls, func(name string) bool { return strings.HasPrefix(name, "objects/") }, joined)
	if good := putTwo(s); good != 0 || calls.Load() != 1 {
		t.Fatalf("a failed sync of a directory was followed by %d more, and %d objects were answered well", calls.Load()-1, good)
	}
	if err := s.Err(); !errors.Is(err, ErrFailed) || !errors.Is(err, syscall.EIO) {
		t.Fatalf("the spool says %v", err)
	}
}

// P8, SPOOL-3, SPOOL-4: the same with the folder that holds the object directories.
func TestParentWhoseSyncFailedIsNotSyncedByTheNextWriter(t *testing.T) {
	fs := &syncDirFS{memFS: newMemFS()}
	s := open(t, memConfig(fs))
	var calls, made atomic.Int64
	both := func() bool { // both have their numbers, so the other one comes to dirMu now or later
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.inflight) == 2 && made.Add(1) > 1000
	}
	fs.before = failFirst(t, &calls, func(name string) bool { return name == objectsDir }, both)
	if good := putTwo(s); good != 0 || calls.Load() != 1 {
		t.Fatalf("a failed sync of the parent was followed by %d more, and %d objects were answered well", calls.Load()-1, good)
	}
	for seq := uint64(1); seq <= 2; seq++ {
		if exists(fs, objectName(seq)) {
			t.Errorf("object %d was put into a directory whose name is not durable", seq)
		}
	}
}
