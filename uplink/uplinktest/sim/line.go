package sim

import (
	"math/rand/v2"
	"time"
)

// Line says what the line does. The zero value is a perfect line.
type Line struct {
	Delay     time.Duration // one way
	Jitter    time.Duration // up to so much more, each datagram its own: they overtake each other
	Rate      int64         // bits/s each way. If zero, unlimited.
	Queue     time.Duration // how long what waits for the rate may wait before datagrams are dropped. If zero, 200 ms.
	MTU       int           // larger datagrams are dropped. If zero, none.
	Loss      float64       // share of datagrams
	Duplicate float64       // share of datagrams that come twice
	Outages   []Outage
}

// Outage is a time in which nothing passes, counted from the start.
type Outage struct {
	From, To time.Duration
	Up, Down bool // which way is out; neither: both
}

func (o Outage) covers(d direction) bool {
	return d == up && (o.Up || !o.Down) || d == down && (o.Down || !o.Up)
}

type direction int

const (
	up   direction = iota // to the hub
	down                  // from it
)

// road is the line's state: who uses it guards it.
type road struct {
	Line
	began  time.Time
	random *rand.Rand
	free   [2]time.Time // when the last byte of what was sent before has left
}

// out reports whether nothing passes at t, and until when.
func (r *road) out(d direction, t time.Time) (until time.Time, out bool) {
	since := t.Sub(r.began)
	for _, o := range r.Outages {
		if o.covers(d) && since >= o.From && since < o.To {
			until, out = r.began.Add(o.To), true
			since = o.To // another one may begin before this one ends
		}
	}
	return until, out
}

// send puts n bytes on the line and says when the last one has left.
func (r *road) send(d direction, n int, now time.Time) time.Time {
	at := now
	if r.free[d].After(at) {
		at = r.free[d]
	}
	took := time.Nanosecond // so that what is sent at once stays in order
	if r.Rate > 0 {
		took = time.Duration(float64(n*8) / float64(r.Rate) * float64(time.Second))
	}
	r.free[d] = at.Add(took)
	return r.free[d]
}

// datagram says after how long a datagram of n bytes arrives, each time that it
// does: never, once, or twice.
func (r *road) datagram(d direction, n int, now time.Time) (delays []time.Duration) {
	queue := r.Queue
	if queue == 0 {
		queue = 200 * time.Millisecond
	}
	_, out := r.out(d, now)
	switch {
	case out || r.MTU > 0 && n > r.MTU || r.random.Float64() < r.Loss || r.free[d].Sub(now) > queue:
		return nil
	}
	delays = append(delays, r.arrival(d, n, now))
	if r.random.Float64() < r.Duplicate {
		delays = append(delays, r.arrival(d, n, now))
	}
	return delays
}

func (r *road) arrival(d direction, n int, now time.Time) time.Duration {
	delay := r.send(d, n, now).Sub(now) + r.Delay
	if r.Jitter > 0 {
		delay += time.Duration(r.random.Int64N(int64(r.Jitter)))
	}
	return delay
}

// segment says when n bytes of a stream arrive: what is lost is sent again, what
// is sent into an outage comes after it.
func (r *road) segment(d direction, n int, now time.Time) time.Time {
	at := r.send(d, n, now).Add(r.Delay)
	for range n/1400 + 1 {
		if r.random.Float64() < r.Loss {
			at = at.Add(2*r.Delay + 10*time.Millisecond)
		}
	}
	for _, way := range []direction{up, down} { // without acknowledgements nothing goes on either
		if until, out := r.out(way, now); out && until.After(at) {
			at = until.Add(2*r.Delay + time.Duration(r.random.Int64N(int64(time.Second))))
		}
	}
	return at
}
