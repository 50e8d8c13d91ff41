package uplink

import (
	"context"
	"math"
	"sync"
	"time"

	"edged/uplink/wire"
)

// bucket is a token bucket that many take from. One token is one byte on the wire.
//
// It lets out the rate in force, accurate to 2 % over 10 s as long as somebody
// wants it, and in no 100 ms more than 105 % of the rate in force at their end.
// Urgent takers go first whoever came before; routine and backfill share 4:1. It
// starts no goroutine: one timer wakes who is next. docs/adr/0006 says why it is
// our own.
type bucket struct {
	began time.Time // zero of window's slots

	mu     sync.Mutex // guards what follows
	shape  Shape
	rate   int64 // bytes a second in force, 0 unlimited; see look
	looked time.Time
	until  time.Time // when rate may be another; zero: not soon
	paused time.Time // until when nothing is let out

	tokens  float64 // bytes
	filled  time.Time
	window  window100
	total   int64 // bytes let out
	waiting [wire.Classes][]*taker
	ahead   float64           // bytes that routine got, less four times what backfill got; see due
	sending [wire.Classes]int // lanes that have something of a class to send
	timer   *time.Timer
	trace   func(at time.Time, cost int64) // of tests
}

// take is a wish for a part of the line.
type take struct {
	class    uint8
	want     int     // bytes of a Put's body, at least 1
	overhead float64 // wire bytes for each byte of a frame
}

// taker waits for its take.
type taker struct {
	take
	got  int           // bytes of the body; mu of the bucket guards it until done is closed
	done chan struct{} // closed when got is set
}

const (
	// slice is what one chunk may take of the time: what an urgent object waits
	// for, and how smoothly the others leave.
	slice = 2 * time.Millisecond

	// minChunk keeps the share of frame headers small where the rate is low.
	minChunk = 4 << 10

	// LeastRate, in bits a second, is the least that a configuration should ask for:
	// with one frame of minChunk 100 ms hold 136 % of it. From 333 kbit/s on a frame
	// fits into the 105 %.
	LeastRate = 256_000

	// manyChunks is the rate in bytes a second from which 100 ms have fifty chunks.
	manyChunks = 10 * 50 * minChunk

	// credit is what may be sent at once after a rest.
	credit = 20 * time.Millisecond

	// lateCredit is what may be made up for after a late wake-up of ours, while
	// somebody waits.
	lateCredit = 100 * time.Millisecond

	// lookEvery bounds how long a rate is believed: the clock may be set.
	lookEvery = time.Minute
)

func newBucket(s Shape) *bucket {
	now := time.Now()
	b := &bucket{began: now, shape: s, filled: now}
	b.look(now)
	return b
}

// take waits for its turn and says how many bytes of the body may go.
func (b *bucket) take(ctx context.Context, t take) (int, error) {
	w := &taker{take: t, done: make(chan struct{})}
	b.mu.Lock()
	now := time.Now()
	b.fill(now)
	b.waiting[t.class] = append(b.waiting[t.class], w)
	b.serve(now)
	b.mu.Unlock()
	select {
	case <-w.done:
		return w.got, nil
	case <-ctx.Done():
		return 0, b.forget(ctx, w)
	}
}

// forget takes w out of the queue. What it got meanwhile is lost to the others:
// a connection ends rarely.
func (b *bucket) forget(ctx context.Context, w *taker) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.remove(w)
	b.serve(time.Now())
	return ctx.Err()
}

func (b *bucket) remove(w *taker) {
	queue := b.waiting[w.class]
	for i, other := range queue {
		if other == w {
			b.waiting[w.class] = append(queue[:i:i], queue[i+1:]...)
			return
		}
	}
}

// set changes the shape at once.
func (b *bucket) set(s Shape) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	b.fill(now)
	b.shape = s
	b.look(now)
	b.serve(now)
}

// pause lets nothing out until then. The time is taken as a distance from now, so
// that a clock that is set makes it neither longer nor shorter.
func (b *bucket) pause(until time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	b.paused = time.Time{}
	if d := until.Sub(now); !until.IsZero() && d > 0 {
		b.paused = now.Add(min(d, maxPause))
	}
	b.serve(now)
}

// inForce returns the rate in bits a second, 0 for unlimited, and when another
// one comes, the end of a pause, zero when there is none, and the bytes let out.
func (b *bucket) inForce() (bits int64, until, paused time.Time, total int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	b.fill(now)
	if now.Before(b.paused) {
		paused = b.paused
	}
	return b.rate * 8, b.until, paused, b.total
}

// debit counts what leaves without waiting. Whoever takes waits longer for it: the
// balance may be below zero for a while.
func (b *bucket) debit(cost int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	b.fill(now)
	b.pay(now, cost)
}

// holds reports whether there is a rate, and whether there is a pause.
func (b *bucket) holds() (limited, paused bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.rate > 0, time.Now().Before(b.paused)
}

// limited reports whether takers may have to wait.
func (b *bucket) limited() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.rate > 0
}

// serve lets out what may go, and sets the timer for the next. mu is held.
func (b *bucket) serve(now time.Time) {
	b.fill(now)
	for {
		class, ok := b.next()
		if !ok {
			b.arm(-1)
			return
		}
		w := b.waiting[class][0]
		n := min(w.want, chunk(b.rate))
		cost := int64(math.Ceil(float64(n+frameHead) * w.overhead))
		if wait := b.wait(now, cost); wait > 0 {
			b.arm(wait)
			return
		}
		b.spend(now, class, cost)
		b.waiting[class] = b.waiting[class][1:]
		w.got = n
		close(w.done)
	}
}

// next is the class whose turn it is.
func (b *bucket) next() (class uint8, ok bool) {
	routine, backfill := len(b.waiting[wire.Routine]) > 0, len(b.waiting[wire.Backfill]) > 0
	switch {
	case len(b.waiting[wire.Urgent]) > 0:
		return wire.Urgent, true
	case routine && backfill:
		return b.behind(), true
	case backfill:
		return wire.Backfill, true
	}
	return wire.Routine, routine
}

// due is the class that goes next on a lane that has both, whatever the other
// lanes have to send.
func (b *bucket) due() uint8 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.behind()
}

// behind is the class that had less than its share. mu is held.
func (b *bucket) behind() uint8 {
	if b.ahead > 0 {
		return wire.Backfill
	}
	return wire.Routine
}

// sends notes that one lane more, or less, has something of a class to send.
func (b *bucket) sends(class uint8, by int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.sending[class] += by
}

// account notes what a class got. Who was alone for long is owed no more than one
// turn. While both have something to send each lane may have a turn under way before
// it is known whose the next one is; more than that is never owed.
func (b *bucket) account(class uint8, cost int64) {
	both := b.wants(wire.Routine) && b.wants(wire.Backfill)
	most := float64(chunk(b.rate))
	if both {
		most *= float64(max(1, b.sending[wire.Routine]+b.sending[wire.Backfill]))
	}
	switch class {
	case wire.Routine:
		b.ahead = min(b.ahead+float64(cost), most)
	case wire.Backfill:
		b.ahead = max(b.ahead-share*float64(cost), -share*most)
	}
}

// wants reports whether anybody has something of a class to send.
func (b *bucket) wants(class uint8) bool {
	return b.sending[class]+len(b.waiting[class]) > 0
}

// wait is how long cost has to wait; 0 when it may go.
func (b *bucket) wait(now time.Time, cost int64) time.Duration {
	var d time.Duration
	if b.rate > 0 {
		missing := float64(cost) - b.tokens
		d = time.Duration(math.Ceil(missing / float64(b.rate) * 1e9))
		d = max(d, b.window.wait(now.Sub(b.began), cost, b.most()-b.spare()))
	}
	d = max(d, b.paused.Sub(now))
	if d <= 0 {
		return 0
	}
	if next := b.until.Sub(now); !b.until.IsZero() && next > 0 {
		d = min(d, next)
	}
	return min(d, lookEvery)
}

// most is what 100 ms may see.
func (b *bucket) most() int64 { return b.rate * 105 / 1000 }

// spare is what of it takers leave for those that do not wait, see debit. Where few
// chunks make 100 ms it would cost one of them, and what does not wait comes on top.
func (b *bucket) spare() int64 {
	if b.rate < manyChunks {
		return 0
	}
	return b.rate / 1000 // 1 % of 100 ms: more would be missing where wake-ups come late
}

func (b *bucket) spend(now time.Time, class uint8, cost int64) {
	b.account(class, cost)
	b.pay(now, cost)
}

func (b *bucket) pay(now time.Time, cost int64) {
	if b.rate > 0 {
		b.tokens -= float64(cost)
	}
	b.window.add(now.Sub(b.began), cost)
	b.total += cost
	if b.trace != nil {
		b.trace(now, cost)
	}
}

// fill adds the tokens of the time since the last call, by the rate that was in
// force, and looks up the one that is now.
func (b *bucket) fill(now time.Time) {
	passed := now.Sub(b.filled)
	if b.paused.After(b.filled) { // a pause saves nothing up
		passed = max(0, now.Sub(b.paused))
	}
	b.filled = now
	b.tokens = min(b.tokens+float64(b.rate)*passed.Seconds(), b.depth(passed))
	wall := now.Round(0)
	if wall.Before(b.looked) || wall.Sub(b.looked) >= lookEvery || !b.until.IsZero() && !wall.Before(b.until) {
		b.look(now)
	}
}

// depth is how many tokens may be there after some time.
func (b *bucket) depth(passed time.Duration) float64 {
	depth := max(float64(b.rate)*credit.Seconds(), 2*minChunk) // one chunk fits at any rate
	switch {
	case len(b.waiting[wire.Urgent])+len(b.waiting[wire.Routine])+len(b.waiting[wire.Backfill]) > 0:
		return max(float64(b.rate)*lateCredit.Seconds(), depth)
	case passed < credit: // who waited is writing, and comes again
		return max(b.tokens, depth)
	}
	return depth
}

// look finds the rate in force, by the clock on the wall.
func (b *bucket) look(now time.Time) {
	bits, until := capAt(b.shape, now.Round(0))
	b.rate, b.until, b.looked = (bits+7)/8, until, now.Round(0)
}

// arm sets the timer; negative stops it.
func (b *bucket) arm(d time.Duration) {
	switch {
	case d < 0 && b.timer != nil:
		b.timer.Stop()
	case d >= 0 && b.timer != nil:
		b.timer.Reset(d)
	case d >= 0:
		b.timer = time.AfterFunc(d, b.ring)
	}
}

func (b *bucket) ring() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.serve(time.Now())
}

// chunk is the size of a Put's body at a rate of bytes a second, 0 for unlimited.
func chunk(rate int64) int {
	if rate == 0 {
		return wire.MaxBody
	}
	return int(min(wire.MaxBody, max(minChunk, rate*int64(slice)/int64(time.Second))))
}
