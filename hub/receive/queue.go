package receive

import (
	"context"
	"sync"

	"edged/uplink/wire"
)

// maxQueued bounds what control frames weigh that wait for the ledger, by items of
// their lists. One frame always has room.
const maxQueued = wire.MaxItems

// queue holds the control frames that came between Puts, so that a slow ledger
// does not stop the Puts behind them, nor they it. One pushes, one pops.
type queue struct {
	mu     sync.Mutex // guards what follows
	frames []wire.Frame
	weight int

	more, room chan struct{}
}

func newQueue() *queue {
	return &queue{more: make(chan struct{}, 1), room: make(chan struct{}, 1)}
}

// push waits for room.
func (q *queue) push(ctx context.Context, f wire.Frame) error {
	for !q.put(f) {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-q.room:
		}
	}
	poke(q.more)
	return nil
}

// put reports whether there was room.
func (q *queue) put(f wire.Frame) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.frames) > 0 && q.weight+weight(f) > maxQueued {
		return false
	}
	q.frames, q.weight = append(q.frames, f), q.weight+weight(f)
	return true
}

// pop waits for a frame.
func (q *queue) pop(ctx context.Context) (wire.Frame, error) {
	for {
		if f := q.take(); f != nil {
			poke(q.room)
			return f, nil
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-q.more:
		}
	}
}

// take returns nil when there is none.
func (q *queue) take() wire.Frame {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.frames) == 0 {
		return nil
	}
	f := q.frames[0]
	q.frames[0] = nil
	if q.frames = q.frames[1:]; len(q.frames) == 0 {
		q.frames = nil
	}
	q.weight -= weight(f)
	return f
}

// weight is the number of items in a frame, and one for the frame.
func weight(f wire.Frame) int {
	switch f := f.(type) {
	case *wire.Offer:
		return 1 + len(f.Objects)
	case *wire.ArchivedAck:
		return 1 + len(f.Seqs)
	case *wire.Study:
		return 1 + len(f.IDs)
	case *wire.Findings:
		return 1 + len(f.Findings)
	case *wire.Trouble:
		return 1 + len(f.Problems)
	case *wire.Release:
		return 1 + len(f.IDs)
	}
	return maxQueued // not for the hub, and its end
}
