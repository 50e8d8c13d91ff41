package forward

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"
)

// Backoff doubles a pause from Min to Max, each time between three and five
// quarters of it, so that workers do not come back together.
type Backoff struct{ Min, Max time.Duration }

func (b Backoff) or(low, high time.Duration) Backoff {
	if b.Min == 0 {
		b.Min = low
	}
	if b.Max == 0 {
		b.Max = high
	}
	return b
}

// after is the pause after n failures before this one.
func (b Backoff) after(n int) time.Duration {
	d := b.Max
	if n < 30 && b.Min<<n < b.Max && b.Min<<n > 0 {
		d = b.Min << n
	}
	return d*3/4 + rand.N(d/2+1)
}

// gate holds the workers of a destination back while it cannot be reached.
type gate struct {
	backoff Backoff

	mu       sync.Mutex // guards what follows
	failures int
	until    time.Time
	err      error
	since    time.Time
	last     string // what was said about the object that was sent back last
}

// sentBack notes why an object must wait. It is for people and the log (P10).
func (g *gate) sentBack(why string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.last = why
}

// pause is how long to wait before the destination may be tried.
func (g *gate) pause() time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	return time.Until(g.until)
}

// failed notes a failure. Several workers that fail at once count as one.
func (g *gate) failed(err error) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	if g.err == nil {
		g.since = now
	}
	g.err = err
	if now.After(g.until) {
		g.until = now.Add(max(g.backoff.after(g.failures), asked(err)))
		g.failures++
	}
	return g.until.Sub(now)
}

// longestAsked is how long a destination may ask to be left alone.
const longestAsked = time.Hour

// asked is how long a destination has asked to be left alone.
func asked(err error) time.Duration {
	var w *waitError
	if errors.As(err, &w) {
		return min(w.after, longestAsked)
	}
	return 0
}

func (g *gate) succeeded() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.failures, g.until, g.err = 0, time.Time{}, nil
}

// recovered is succeeded for one kind of failure: without a delivery nobody knows
// more than that this one is over.
func (g *gate) recovered(kind error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if errors.Is(g.err, kind) {
		g.failures, g.until, g.err = 0, time.Time{}, nil
	}
}

func (g *gate) status(name string) Status {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := Status{Name: name, Last: g.last}
	if g.err != nil {
		s.Error, s.Since = g.err.Error(), g.since
	}
	return s
}

// wait returns after d, or when wake is closed, or with false when ctx ends.
func wait(ctx context.Context, d time.Duration, wake <-chan struct{}) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-wake:
	case <-t.C:
	}
	return true
}
