package ledger

import (
	"sync"
	"time"
)

// Commits are what the committer did since it was opened.
type Commits struct {
	Count   uint64
	Seconds float64
	Changes float64  // of all of them, so that Changes/Count is the mean batch
	Buckets []uint64 // by CommitBounds, each including those before
	Batches []uint64 // by BatchBounds, likewise
}

// Bounds of the buckets: how long a commit took, in seconds, and how many changes it
// had.
var (
	CommitBounds = []float64{0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1, 5}
	BatchBounds  = []float64{1, 2, 4, 8, 16, 32, 64, 128, 256, 512}
)

// commits counts. Its zero value is ready.
type commits struct {
	mu  sync.Mutex // guards sum
	sum Commits
}

func (c *commits) note(changes int, took time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sum.Buckets == nil {
		c.sum.Buckets, c.sum.Batches = make([]uint64, len(CommitBounds)), make([]uint64, len(BatchBounds))
	}
	c.sum.Count++
	c.sum.Seconds += took.Seconds()
	c.sum.Changes += float64(changes)
	raise(c.sum.Buckets, CommitBounds, took.Seconds())
	raise(c.sum.Batches, BatchBounds, float64(changes))
}

func raise(buckets []uint64, bounds []float64, v float64) {
	for i, b := range bounds {
		if v <= b {
			buckets[i]++
		}
	}
}

// Commits returns a copy.
func (l *Ledger) Commits() Commits {
	l.commits.mu.Lock()
	defer l.commits.mu.Unlock()
	s := l.commits.sum
	s.Buckets, s.Batches = append([]uint64{}, s.Buckets...), append([]uint64{}, s.Batches...)
	return s
}
