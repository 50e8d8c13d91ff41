package spool

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"time"
)

// queue orders what waits to be sent. Guarded by Spool.mu.
type queue struct {
	ready   [priorities]turns
	delayed timeHeap
	ahead   int64         // what routine was lent, less four times what backfill was; see lent
	counted int64         // of these, what the last pop changed
	wake    chan struct{} // closed and replaced when something became ready
}

// weight is how many bytes of routine leave for one back-filled, when both wait.
const weight = 4

// mostAhead bounds what a class may be owed: not more than many lanes hold at once.
const mostAhead = 1 << 30

type lease struct {
	owner   string
	expires time.Time // zero: never
	counted int64     // of queue.ahead: taken back when the object comes back
}

func newQueue() queue { return queue{wake: make(chan struct{})} }

// push puts an entry into its heap and wakes who waits.
func (q *queue) push(e *entry) {
	e.queued = true
	q.ready[e.priority].push(e)
	close(q.wake)
	q.wake = make(chan struct{})
}

// pop returns the entry that leaves next, or nil. Urgent first, strictly; between the
// others four to one by bytes; inside a class in turns between sources, and of one
// source by sequence, never by clock. Nothing less urgent than worst is given.
func (q *queue) pop(worst Priority) *entry {
	for {
		class := q.class(worst)
		if class == priorities {
			return nil
		}
		e := q.ready[class].pop()
		if e == nil {
			continue // all that waited has moved on
		}
		q.lent(e)
		return e
	}
}

// lent notes what a class got. What one is owed counts while both wait only: after one
// was alone the other has its next turn soon, and nobody has saved anything up.
func (q *queue) lent(e *entry) {
	before := q.ahead
	routine, backfill := len(q.ready[Routine].busy) > 0, len(q.ready[Backfill].busy) > 0
	switch e.priority {
	case Routine:
		most := int64(weight * objectPrice)
		if backfill {
			most = mostAhead
		}
		q.ahead = min(q.ahead+e.price(), most)
	case Backfill:
		least := int64(0)
		if routine {
			least = -weight * mostAhead
		}
		q.ahead = max(q.ahead-weight*e.price(), least)
	}
	q.counted = q.ahead - before
}

func (q *queue) class(worst Priority) Priority {
	routine := len(q.ready[Routine].busy) > 0 && worst >= Routine
	backfill := len(q.ready[Backfill].busy) > 0 && worst >= Backfill
	switch {
	case len(q.ready[Urgent].busy) > 0:
		return Urgent
	case routine && backfill && q.ahead >= weight*objectPrice:
		return Backfill
	case routine:
		return Routine
	case backfill:
		return Backfill
	}
	return priorities
}

// due moves what has waited long enough to where it can be taken and returns how long
// the next one still has to wait, or zero if none does.
func (q *queue) due(now time.Time) time.Duration {
	for len(q.delayed) > 0 {
		if wait := q.delayed[0].at.Sub(now); wait > 0 {
			return wait
		}
		e := heap.Pop(&q.delayed).(delayedEntry).e
		e.queued = false
		if !e.gone && e.state() == Received {
			q.push(e)
		}
	}
	return 0
}

// Lease hands out the object that is to leave next and blocks until there is
// one. The object belongs to owner until Return, ReturnAll or a receipt, until the
// spool ends, or until Config.LeaseTimeout is over, if there is one: time alone
// takes nothing from a sender that still lives, however slow its line is. Objects that many owners lease at once are all different.
func (s *Spool) Lease(ctx context.Context, owner string) (Object, error) {
	return s.LeaseUrgent(ctx, owner, Backfill)
}

// LeaseUrgent is Lease for objects at least as urgent as worst: a sender whose
// window is full of less urgent ones still takes those.
func (s *Spool) LeaseUrgent(ctx context.Context, owner string, worst Priority) (Object, error) {
	for {
		o, wake, wait, err := s.tryLease(owner, worst)
		if err != nil || wake == nil {
			return o, err
		}
		if err := s.await(ctx, wake, wait); err != nil {
			return Object{}, err
		}
	}
}

// TryLease is Lease without waiting; false when nothing waits to be sent.
func (s *Spool) TryLease(owner string) (Object, bool, error) {
	o, wake, _, err := s.tryLease(owner, Backfill)
	return o, err == nil && wake == nil, err
}

// tryLease returns a channel to wait on when there is nothing.
func (s *Spool) tryLease(owner string, worst Priority) (Object, chan struct{}, time.Duration, error) {
	now := s.cfg.Now()
	s.mu.Lock()
	if err := s.usable(); err != nil {
		s.mu.Unlock()
		return Object{}, nil, 0, err
	}
	wait := s.queue.due(now)
	e := s.queue.pop(worst)
	if e == nil {
		wake := s.queue.wake
		s.mu.Unlock()
		return Object{}, wake, wait, nil
	}
	s.change(e, func() { e.lease = &lease{owner: owner, expires: s.leaseEnd(now), counted: s.queue.counted} })
	o := e.object()
	s.mu.Unlock()
	o.Meta = s.meta(o.Seq)
	return o, nil, 0, nil
}

func (s *Spool) await(ctx context.Context, wake chan struct{}, wait time.Duration) error {
	var timer <-chan time.Time
	if wait > 0 {
		t := time.NewTimer(wait)
		defer t.Stop()
		timer = t.C
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-s.gone:
	case <-wake:
	case <-timer:
	}
	return nil
}

// poison marks an error that lies in the object, not in the line.
type poison struct{ error }

func (p poison) Unwrap() error { return p.error }

// Poison wraps a cause for Return that lies in the object as it is here. After
// Config.MaxTries of them it is parked, and nothing waits behind it (P6). That
// somebody else refuses it is none: it may be as good as ever.
func Poison(err error) error { return poison{err} }

// Return gives a lease back. The object is offered again after delay, in its
// old place; meanwhile the others go on. Returning what is not leased does nothing.
func (s *Spool) Return(id ID, delay time.Duration, cause error) error {
	s.mu.Lock()
	e, err := s.find(id)
	if err != nil || e.lease == nil {
		s.mu.Unlock()
		return err
	}
	var bad poison
	if errors.As(cause, &bad) {
		e.tries++
		if int(e.tries) >= s.cfg.MaxTries {
			o := op{kind: opQuarantined, seq: e.seq, id: id, reason: clip(fmt.Sprintf("parked after %d tries: %v", e.tries, bad.error))}
			l := e.lease
			s.mu.Unlock()
			return s.park(e, l, o, delay)
		}
	}
	s.giveBack(e, delay)
	s.mu.Unlock()
	return nil
}

// parkAgain is how long a poison object that finds no room for its row waits
// before it is tried once more.
const parkAgain = 10 * time.Second

// park makes it durable that a poison object is not offered any more. If that
// cannot be said now, its lease ends all the same, or nobody would ever have it again.
func (s *Spool) park(e *entry, l *lease, o op, delay time.Duration) error {
	err := s.oblige(o)
	if err == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if e.lease == l && !e.gone {
		s.giveBack(e, max(delay, parkAgain))
	}
	return err
}

// leaseEnd is when a lease that begins now expires.
func (s *Spool) leaseEnd(now time.Time) time.Time {
	if s.cfg.LeaseTimeout <= 0 {
		return time.Time{}
	}
	return now.Add(s.cfg.LeaseTimeout)
}

// Renew tells that the sender is still at work, so that the lease does not
// expire. It matters only with a Config.LeaseTimeout.
func (s *Spool) Renew(id ID) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, err := s.find(id)
	if err == nil && e.lease != nil {
		e.lease.expires = s.leaseEnd(s.cfg.Now())
	}
	return err
}

// giveBack ends a lease. With a delay it was refused or could not be read, so its
// source has its turn again: an object that is refused for hours must not keep the
// others of its modality (P6). Without one it goes back to the same place at once,
// and the line may have been busy with it. Guarded by mu.
func (s *Spool) giveBack(e *entry, delay time.Duration) {
	s.queue.ahead -= e.lease.counted
	if delay > 0 {
		s.queue.ready[e.priority].refund(e)
		e.queued = true // keeps change from making it ready at once
		heap.Push(&s.queue.delayed, delayedEntry{s.cfg.Now().Add(delay), e})
	}
	s.change(e, func() { e.lease = nil })
	if delay > 0 { // a waiting Lease must learn of the new deadline
		close(s.queue.wake)
		s.queue.wake = make(chan struct{})
	}
}

// ReturnAll gives back every lease of owner: its session is over.
func (s *Spool) ReturnAll(owner string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for e := range s.leased {
		if e.lease.owner == owner {
			s.giveBack(e, 0)
		}
	}
}

// expireLeases gives back what a sender forgot.
func (s *Spool) expireLeases() {
	now := s.cfg.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	for e := range s.leased {
		if !e.lease.expires.IsZero() && now.After(e.lease.expires) {
			s.giveBack(e, 0)
		}
	}
}

// clip bounds a text that goes to the disk.
func clip(s string) string { return s[:min(len(s), maxReason)] }

type seqHeap []*entry

func (h seqHeap) Len() int { return len(h) }
func (h seqHeap) Less(i, k int) bool {
	if mutant == mutantClockOrder {
		return h[i].received < h[k].received
	}
	return h[i].seq < h[k].seq
}
func (h seqHeap) Swap(i, k int) { h[i], h[k] = h[k], h[i] }
func (h *seqHeap) Push(x any)   { *h = append(*h, x.(*entry)) }
func (h *seqHeap) Pop() any     { return popLast((*[]*entry)(h)) }

type delayedEntry struct {
	at time.Time
	e  *entry
}

type timeHeap []delayedEntry

func (h timeHeap) Len() int           { return len(h) }
func (h timeHeap) Less(i, k int) bool { return h[i].at.Before(h[k].at) }
func (h timeHeap) Swap(i, k int)      { h[i], h[k] = h[k], h[i] }
func (h *timeHeap) Push(x any)        { *h = append(*h, x.(delayedEntry)) }
func (h *timeHeap) Pop() any          { return popLast((*[]delayedEntry)(h)) }

func popLast[T any](h *[]T) T {
	last := len(*h) - 1
	x := (*h)[last]
	var zero T
	(*h)[last] = zero
	*h = (*h)[:last]
	return x
}
