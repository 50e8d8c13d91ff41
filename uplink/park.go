package uplink

import (
	"context"
	"time"

	"edged/uplink/wire"
)

// park keeps a lane from leasing anything, and from sending what is not urgent:
// another carrier is being measured, or this lane is to end.
func (l *lane) park(on bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case on == (l.parked != nil):
	case on:
		l.parked = make(chan struct{})
		if l.relook != nil {
			l.relook()
		}
	default:
		close(l.parked)
		l.parked = nil
		poke(l.room)
	}
}

// mayWork waits while the lane is parked.
func (l *lane) mayWork(ctx context.Context) error {
	for {
		l.mu.Lock()
		parked := l.parked
		l.mu.Unlock()
		if parked == nil {
			return nil
		}
		select {
		case <-parked:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// owed reports whether something that was sent whole has no receipt yet.
func (l *lane) owed() bool {
	return l.count1(func(s state) bool { return s == sent || s == needless || s == receipted }) > 0
}

// starving reports whether the lane asks for more and has nothing left to send
// that the line alone holds back.
func (l *lane) starving() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.asks && l.unsent() == 0
}

// count1 counts flights by state.
func (l *lane) count1(of func(state) bool) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, f := range l.flights {
		if of(f.state) {
			n++
		}
	}
	return n
}

// limits bound what is in flight of routine and backfill on one lane.
type limits struct {
	objects int
	bytes   int64
}

// Where a lane begins, and the least that it goes back to. More in flight than the
// line needs is in the wrong place: it was leased before what is fairer to send
// next, and by a lane that may be slower than its neighbours.
const (
	firstObjects, leastObjects = 256, 16
	firstBytes, leastBytes     = 16 << 20, 1 << 20
)

// fits reports whether one more object may be in flight; one always may,
// whatever its length.
func (w window) fits(most limits) bool {
	return w.objects < most.objects && (w.objects == 0 || w.bytes < most.bytes)
}

// resized is what resize saw the last time.
type resized struct {
	at   time.Time
	sent int64
}

// reserve is what a lane should have unsent at any time, in what it carries
// meanwhile: receipts come in the hub's groups, and who looks does so ten times a second.
const reserve = 150 * time.Millisecond

// resize fits the window to what the lane carries: twice as large when the line
// waits for it or soon might, half when more than a second's worth lies in it unsent.
func (l *lane) resize() {
	if c, ok := l.conn.(*tcpCarrier); ok {
		c.keep()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now, sentBytes := time.Now(), l.sent.Load()
	elapsed, moved := now.Sub(l.resized.at), sentBytes-l.resized.sent
	if elapsed < busyPace/2 {
		return
	}
	l.resized = resized{now, sentBytes}
	unsent, rate := float64(l.unsent()), float64(moved)/elapsed.Seconds()
	switch {
	case (!l.bulk.fits(l.limits) || !l.routine.fits(l.limits)) && unsent <= rate*reserve.Seconds():
		l.limits = limits{min(2*l.limits.objects, l.maxObjects), min(2*l.limits.bytes, l.maxBytes)}
		poke(l.room)
		l.wider()
	case moved > 0 && unsent > rate:
		l.limits = limits{max(l.limits.objects/2, min(l.maxObjects, leastObjects)), max(l.limits.bytes/2, min(l.maxBytes, leastBytes))}
	}
}

// unsent is how many bytes wait in the window, those aside that a cap of their own
// holds back. l.mu is held.
func (l *lane) unsent() (n int64) {
	own := l.u.shape.backfill.limited() // what waits for a cap of its own says nothing of the line
	for _, f := range l.flights {
		if (f.state == offered || f.state == wanted) && !(own && f.Priority == wire.Backfill) {
			n += f.Length - f.offset
		}
	}
	return n
}
