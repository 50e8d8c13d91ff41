package objects

import (
	"context"
	"time"

	"golang.org/x/sys/unix"
)

// FailFlush makes every flush of a file fail with err; nil makes it work again.
func (s *Store) FailFlush(err error) { s.fdatasync = func(int) error { return err } }

// AbortBefore removes unfinished uploads that were begun before then.
func (s *Store) AbortBefore(then time.Time) { s.bucket.abortBefore(context.Background(), then) }

// Patience is how long a Seal of small objects waits for the bucket.
func (s *Store) Patience(d time.Duration) { s.bucket.patience = d }

// Age makes the trouble older than it is.
func (s *Store) Age(d time.Duration) {
	s.bucket.mu.Lock()
	defer s.bucket.mu.Unlock()
	s.bucket.trouble.since = s.bucket.trouble.since.Add(-d)
}

// OpenAtMost bounds the open files of partial objects, IdleAtMost those of a device that
// nobody is at.
func (s *Store) OpenAtMost(n int) { s.files.most = n }
func (s *Store) IdleAtMost(n int) { s.maxIdle = n }

type Turns = turns

var (
	NewTurns = newTurns
	PartSize = partSize
)

func (t *turns) Take(ctx context.Context, class uint8) error { return t.take(ctx, class) }
func (t *turns) Give()                                       { t.give() }
func (t *turns) Waiting(class int) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.waiting[class])
}

// Disk is a disk of so many bytes, of which used says how many are taken; a partial object
// makes room for others when it is unused for d.
func (s *Store) Disk(size int64, used func() int64, d time.Duration) {
	s.unused = d
	s.statfs = func(_ string, st *unix.Statfs_t) error {
		st.Bsize, st.Blocks, st.Bavail = 1, uint64(size), uint64(size-used())
		return nil
	}
}
