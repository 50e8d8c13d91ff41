package objects

import (
	"context"
	"sync"
)

// classes of urgency, the most urgent first; as those of the uplink.
const classes = 3

// turns gives a number of places to those who wait, the most urgent first and in the
// order they came.
type turns struct {
	mu      sync.Mutex // guards what follows
	free    int
	waiting [classes][]chan struct{} // closed when there is a place
}

func newTurns(places int) *turns { return &turns{free: places} }

// take waits for a place.
func (t *turns) take(ctx context.Context, class uint8) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	t.mu.Lock()
	if t.free > 0 {
		t.free--
		t.mu.Unlock()
		return nil
	}
	mine := make(chan struct{})
	class = min(class, classes-1)
	t.waiting[class] = append(t.waiting[class], mine)
	t.mu.Unlock()
	select {
	case <-mine:
		return nil
	case <-ctx.Done():
		return t.leave(ctx, class, mine)
	}
}

// leave takes mine out of the line; a place that came in the same moment is passed on.
func (t *turns) leave(ctx context.Context, class uint8, mine chan struct{}) error {
	t.mu.Lock()
	line := t.waiting[class]
	for i, c := range line {
		if c == mine {
			t.waiting[class] = append(line[:i:i], line[i+1:]...)
			t.mu.Unlock()
			return ctx.Err()
		}
	}
	t.mu.Unlock()
	t.give()
	return ctx.Err()
}

// give hands a place back.
func (t *turns) give() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for class, line := range t.waiting {
		if len(line) > 0 {
			close(line[0])
			t.waiting[class] = line[1:]
			return
		}
	}
	t.free++
}
