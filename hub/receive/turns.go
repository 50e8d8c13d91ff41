package receive

import (
	"context"
	"sync"
)

// turns lets so many in at once. When more want in, who is urgent goes first, and of
// the others one appliance after the other, whatever number of connections each has.
type turns struct {
	mu      sync.Mutex // guards what follows
	free    int
	waiting [2]carousel[chan struct{}] // the urgent ones, the others
}

func newTurns(n int) *turns { return &turns{free: n} }

// enter waits for a turn, to be given back by leave.
func (t *turns) enter(ctx context.Context, who string, urgent bool) error {
	t.mu.Lock()
	if t.free > 0 {
		t.free--
		t.mu.Unlock()
		return nil
	}
	turn := make(chan struct{})
	t.line(urgent).add(who, turn)
	t.mu.Unlock()
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
	}
	t.mu.Lock()
	t.line(urgent).remove(who, func(c chan struct{}) bool { return c == turn })
	t.mu.Unlock()
	select {
	case <-turn: // it came at the same moment
		t.leave()
	default:
	}
	return context.Cause(ctx)
}

func (t *turns) line(urgent bool) *carousel[chan struct{}] {
	if urgent {
		return &t.waiting[0]
	}
	return &t.waiting[1]
}

// leave gives the turn to the next.
func (t *turns) leave() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range t.waiting {
		if next, ok := t.waiting[i].take(); ok {
			close(next)
			return
		}
	}
	t.free++
}
