package uplink

import (
	"context"
	"math"
	"time"

	"edged/uplink/wire"
)

// What is said on the control stream takes from the bucket too. Acknowledgements and
// offers of urgent objects go at once and are counted then, see settle. All other
// offers are paid before: a lane takes offerQuantum in turn with the Puts of routine,
// and leases nothing but urgent objects while it has nothing left of that and a cap is
// in force, or while there is a pause.

const (
	// offerQuantum is what a lane takes at once, bytes of frames: some five offers,
	// and little beside what 100 ms bring at any rate.
	offerQuantum = 1 << 10

	// offerHead is what an offer has besides its texts, about; settle counts what it was.
	offerHead = 60

	// sayHead is for the headers of the packet that a write may need for itself.
	sayHead = 64
)

// fund pays for offers whenever mayOffer asks for it.
func (l *lane) fund(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-l.need:
		}
		n, err := l.u.shape.all.take(ctx, take{class: wire.Routine, want: offerQuantum, overhead: overheadOf(l.conn)})
		if err != nil {
			return err
		}
		l.funded(n)
	}
}

func (l *lane) funded(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.credit = min(l.credit+n, 2*offerQuantum)
	select {
	case <-l.need: // of before
	default:
	}
	poke(l.room)
	l.wider()
}

// mayOffer reports whether something may be offered that is not urgent. If not, fund
// pokes room when that has changed. l.mu is held.
func (l *lane) mayOffer() bool {
	limited, paused := l.u.shape.all.holds()
	if !paused && (!limited || l.credit > 0) {
		return true
	}
	poke(l.need)
	return false
}

// reserve pays for an offer out of what fund took, and has it written. Where a cap
// counts each packet, offers wait a little for those that come with them. l.mu is held.
func (l *lane) reserve(o Object) {
	if o.Priority == wire.Urgent || l.credit <= 0 {
		poke(l.write)
		return // counted when it is written
	}
	if len(l.offers.Objects) == 1 { // the first of them
		time.AfterFunc(slice, func() { poke(l.write) })
	}
	n := offerHead + len(o.Study) + len(o.Calling) + len(o.Names.TransferSyntax) + len(o.Names.SOPClass) + len(o.Names.SOPInstance)
	l.credit -= n
	l.prepaid += n
}

// settle counts n bytes of frames that are being written, less what was paid before.
func (l *lane) settle(n int) {
	n += sayHead
	l.mu.Lock()
	paid := min(n, l.prepaid)
	l.prepaid -= paid
	if len(l.offers.Objects) == 0 {
		l.prepaid = 0
	}
	l.mu.Unlock()
	if n > paid {
		l.u.shape.all.debit(int64(math.Ceil(float64(n-paid) * overheadOf(l.conn))))
	}
}

// lookAgain ends a Lease that waits, so that waitForRoom decides anew.
func (l *lane) lookAgain() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.relook != nil {
		l.relook()
	}
}
