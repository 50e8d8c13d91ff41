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

// line holds what waits for one who takes it in its order. He is there only while there
// is something: start brings him, and he goes when take returns false.
type line[T any] struct {
	start  func() // if nil, somebody is there always
	weigh  func(T) int
	most   int     // weight; one has always room
	common *budget // of what is beyond few; if nil, there is none
	few    int

	mu       sync.Mutex // guards what follows
	items    []T
	weight   int
	borrowed int // of common
	served   bool
	room     chan struct{}
}

// newQueue is for the control frames that came between Puts, so that a slow ledger
// does not stop the Puts behind them, nor they it. One pushes, one takes.
func newQueue(common *budget) *line[wire.Frame] {
	return &line[wire.Frame]{weigh: weight, most: maxQueued, common: common, few: fewControl, room: make(chan struct{}, 1)}
}

// newPieces is for what is to be written: one waits while one is being written.
func newPieces() *line[piece] {
	return &line[piece]{weigh: func(piece) int { return 1 }, most: 1, room: make(chan struct{}, 1)}
}

// push waits for room.
func (q *line[T]) push(ctx context.Context, f T) error {
	for !q.put(f) {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-q.room:
		}
	}
	return nil
}

// put reports whether there was room.
func (q *line[T]) put(f T) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.items) > 0 && (q.weight+q.weigh(f) > q.most || !q.lend(q.weight+q.weigh(f))) {
		return false
	}
	q.items, q.weight = append(q.items, f), q.weight+q.weigh(f)
	if q.start != nil && !q.served {
		q.served = true
		q.start()
	}
	return true
}

// lend has common bear what is beyond few, if it can.
func (q *line[T]) lend(weight int) bool {
	need := max(0, weight-q.few) - q.borrowed
	if q.common == nil || need <= 0 {
		return true
	}
	if !q.common.take(int64(need)) {
		return false
	}
	q.borrowed += need
	return true
}

// take returns false when there is nothing; then who takes goes.
func (q *line[T]) take() (f T, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.items) == 0 {
		q.served = false
		return f, false
	}
	var none T
	f, q.items[0] = q.items[0], none
	if q.items = q.items[1:]; len(q.items) == 0 {
		q.items = nil
	}
	q.weight -= q.weigh(f)
	if back := q.borrowed - max(0, q.weight-q.few); q.common != nil && back > 0 {
		q.common.give(int64(back))
		q.borrowed -= back
	}
	poke(q.room)
	return f, true
}

// drop gives back what is left when nobody takes it any more.
func (q *line[T]) drop() {
	for ok := true; ok; _, ok = q.take() {
	}
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
