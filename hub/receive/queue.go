package receive

import (
	"context"
	"reflect"
	"sync"

	"edged/uplink/wire"
)

// maxQueued bounds the memory of control frames that wait for the ledger, not by
// what they were on the way: the string of one item may have 256 KiB, and a page of 4 KiB
// may become half a MiB of empty items. One frame always has room, so every page passes.
// A string that is too long is answered in its turn, with a Trouble that names the
// object: ending the connection for it would stop all others (P6).
const maxQueued = 4 << 20

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

// frameWeight is for a frame and its place in the queue; rather too much, so that
// frames that say nothing are not without number.
const frameWeight = 1 << 10

// weight is the memory that a frame holds, its lists and its strings.
func weight(f wire.Frame) int {
	switch f := f.(type) {
	case *wire.Offer:
		return list(f.Objects, func(o wire.Object) int {
			return len(o.TransferSyntax) + len(o.SOPClass) + len(o.SOPInstance) + len(o.Study) + len(o.Calling) + len(o.Modality)
		})
	case *wire.ArchivedAck:
		return list(f.Seqs, nil)
	case *wire.Study:
		return len(f.UID) + list(f.IDs, nil)
	case *wire.Findings:
		return list(f.Findings, func(i wire.Finding) int { return len(i.Words) })
	case *wire.Trouble:
		return list(f.Problems, func(p wire.Problem) int { return len(p.Destination) + len(p.Words) })
	case *wire.Release:
		return len(f.Reason) + list(f.IDs, nil)
	}
	return maxQueued // not for the hub, and its end
}

// list weighs a frame of items, of which each has strings.
func list[T any](items []T, strings func(T) int) int {
	w := frameWeight + cap(items)*int(reflect.TypeFor[T]().Size())
	if strings == nil {
		return w
	}
	for _, i := range items {
		w += strings(i)
	}
	return w
}
