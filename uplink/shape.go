package uplink

import (
	"fmt"
	"time"

	"edged/uplink/wire"
)

// Shape bounds what the appliance sends. It may change at any time, see SetShape.
type Shape struct {
	Rate     int64          // bits a second on the wire, for the whole appliance. If zero, unlimited.
	Backfill int64          // of these, for backfill. If zero, as many as there are.
	Schedule []Period       // times with a lower rate; a higher one than Rate has no effect
	Zone     *time.Location // of Schedule. If nil, UTC.
}

// Period is a time of the week with a rate of its own.
type Period struct {
	Days [7]bool // on which it begins; Sunday first, as time.Weekday

	// From and To are what the clock on the wall shows, since midnight. To is the
	// first minute that is no longer in. To <= From: until To of the next day.
	From, To time.Duration

	Rate int64 // bits a second
}

const day = 24 * time.Hour

// maxPeriods bounds the work of looking for the next change.
const maxPeriods = 64

// Validate says what cannot be meant.
func (s Shape) Validate() error {
	switch {
	case s.Rate < 0 || s.Backfill < 0:
		return fmt.Errorf("uplink: a rate is negative; 0 means unlimited")
	case len(s.Schedule) > maxPeriods:
		return fmt.Errorf("uplink: %d periods; at most %d are looked through", len(s.Schedule), maxPeriods)
	}
	for i, p := range s.Schedule {
		if p.From < 0 || p.From >= day || p.To < 0 || p.To > day || p.Rate <= 0 || p.Days == [7]bool{} {
			return fmt.Errorf("uplink: period %d: want a day, times from 0 to 24 h, and a rate above 0", i)
		}
	}
	return nil
}

// maxPause is the longest pause: what is paused is forgotten, and images wait.
const maxPause = 24 * time.Hour

// SetShape changes rate and schedule at once, also for who waits already. What
// Validate refuses changes nothing.
func (u *Uplink) SetShape(s Shape) error {
	if err := s.Validate(); err != nil {
		return err
	}
	u.shape.all.set(s)
	u.shape.backfill.set(Shape{Rate: s.Backfill})
	return nil
}

// Pause holds all objects back until then, urgent ones too; what is on its way
// arrives, and receipts and confirmations go on. Nothing is offered but urgent objects. It ends by itself, after 24 h at
// the latest, with Pause of the zero time, and with the process: it is kept nowhere.
func (u *Uplink) Pause(until time.Time) {
	u.shape.all.pause(until)
	u.mu.Lock()
	lanes := append([]*lane(nil), u.lanes...)
	u.mu.Unlock()
	for _, l := range lanes {
		l.lookAgain()
	}
}

// shape is the caps in force.
type shape struct {
	all      *bucket // everything takes from it
	backfill *bucket // backfill takes from it before, while it holds up nobody
}

func newShape(s Shape) *shape {
	return &shape{all: newBucket(s), backfill: newBucket(Shape{Rate: s.Backfill})}
}

// tell fills in what a Status says of the caps.
func (s *shape) tell(st *Status) {
	st.CapBitsPerSecond, st.CapUntil, st.PausedUntil, st.WireBytes = s.all.inForce()
	st.CapBackfill, _, _, _ = s.backfill.inForce()
}

func sum(all []int64) (n int64) {
	for _, one := range all {
		n += one
	}
	return n
}

// frameHead is what stands before a Put's body, at most.
const frameHead = wire.PutHeadroom
