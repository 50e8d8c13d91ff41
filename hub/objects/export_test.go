package objects

import (
	"context"
	"time"
)

// FailFlush makes every flush of a file fail with err; nil makes it work again.
func (s *Store) FailFlush(err error) { s.fdatasync = func(int) error { return err } }

// AbortBefore removes unfinished uploads that were begun before then.
func (s *Store) AbortBefore(then time.Time) { s.bucket.abortBefore(context.Background(), then) }

// Patience is how long a Seal of small objects waits for the bucket.
func (s *Store) Patience(d time.Duration) { s.bucket.patience = d }

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
