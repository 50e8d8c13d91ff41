package spool

import (
	"container/heap"
	"hash/maphash"
)

// turns shares one priority class between sources, so that a source with much to
// send keeps none waiting that has little. Each gets as many bytes as the others while
// it has something waiting; inside a source the oldest leaves first.
//
// It is start-time fair queuing (Goyal, Vin and Cheng, 1996) with equal weights: an
// object begins where its source's last one ended, counted in bytes, and the one that
// begins first leaves. Whoever was away begins where the others are: nobody saves up
// for later, nobody is in debt for more than its last object. From that follows
// what the tests hold it to: over any time in which two sources both have something
// waiting, their bytes differ by at most the largest object of each; and who comes
// new waits for at most one object of each other source. A deficit round robin says the
// same with a quantum, and gives away whole quanta at a time where this gives objects.
//
// Guarded by Spool.mu.
type turns struct {
	shares []*share // by number of the source; nil: nothing came of it yet
	busy   shareHeap
	clock  int64  // where the object began that left last
	turn   uint64 // of the last share that got a place
}

// share is what waits of one source.
type share struct {
	ready seqHeap
	start int64  // where its next object begins
	turn  uint64 // who got that place first goes first
	busy  bool   // it is in the heap
}

// objectPrice is what an object costs beside its bytes: an offer, a receipt, a row.
// Without it thousands of tiny ones would count as nothing.
const objectPrice = 32 << 10

func (e *entry) price() int64 { return e.content + objectPrice }

// push puts an entry where its source waits.
func (t *turns) push(e *entry) {
	for int(e.source) >= len(t.shares) {
		t.shares = append(t.shares, nil)
	}
	sh := t.shares[e.source]
	if sh == nil {
		sh = &share{}
		t.shares[e.source] = sh
	}
	heap.Push(&sh.ready, e)
	if !sh.busy {
		sh.busy = true
		t.place(sh, max(sh.start, t.clock))
		heap.Push(&t.busy, sh)
	}
}

// pop returns what leaves next, or nil.
func (t *turns) pop() *entry {
	for len(t.busy) > 0 {
		sh := t.busy[0]
		e := sh.pop()
		if e != nil {
			t.clock = sh.start
			t.place(sh, sh.start+e.price())
		}
		if len(sh.ready) > 0 {
			heap.Fix(&t.busy, 0)
		} else {
			heap.Pop(&t.busy)
			sh.busy = false
		}
		if e != nil {
			return e
		}
	}
	return nil
}

// refund gives a source back what the lease of e cost it, because e was refused and
// none of it took the line. It goes no further back than where the others are now:
// whoever gets a place before them would have saved up for later.
func (t *turns) refund(e *entry) {
	if int(e.source) >= len(t.shares) || t.shares[e.source] == nil {
		return
	}
	sh := t.shares[e.source]
	if back := max(sh.start-e.price(), t.clock); back < sh.start {
		t.place(sh, back)
		heap.Init(&t.busy)
	}
}

func (t *turns) place(sh *share, start int64) {
	t.turn++
	sh.start, sh.turn = start, t.turn
}

// pop passes over what moved on while it waited; that costs its source nothing.
func (sh *share) pop() *entry {
	for len(sh.ready) > 0 {
		e := heap.Pop(&sh.ready).(*entry)
		e.queued = false
		if !e.gone && e.state() == Received {
			return e
		}
	}
	return nil
}

type shareHeap []*share

func (h shareHeap) Len() int { return len(h) }
func (h shareHeap) Less(i, k int) bool {
	return h[i].start < h[k].start || h[i].start == h[k].start && h[i].turn < h[k].turn
}
func (h shareHeap) Swap(i, k int) { h[i], h[k] = h[k], h[i] }
func (h *shareHeap) Push(x any)   { *h = append(*h, x.(*share)) }
func (h *shareHeap) Pop() any     { return popLast((*[]*share)(h)) }

// Sources come with what peers send, so they are bounded (P9): those behind the
// first maxSources share their turns with others.
const (
	maxSources    = 1024
	maxSourceName = 64
)

// sources numbers the sources by name, for as long as the spool is open.
type sources struct {
	numbers map[string]uint16
	seed    maphash.Seed
}

func newSources() sources { return sources{map[string]uint16{}, maphash.MakeSeed()} }

func (x *sources) number(name string) uint16 {
	name = name[:min(len(name), maxSourceName)]
	n, known := x.numbers[name]
	switch {
	case known:
		return n
	case len(x.numbers) >= maxSources:
		return uint16(maphash.String(x.seed, name) % maxSources)
	}
	n = uint16(len(x.numbers))
	x.numbers[name] = n
	return n
}
