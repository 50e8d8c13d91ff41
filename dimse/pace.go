package dimse

import "time"

// defaultFloor is what must move inside a message in each minute of waiting:
// the slowest modem that anybody still owns does three times as much, and who
// sends a byte a second to keep a slot is gone after one minute. The standard
// knows a timer for the association alone (PS3.8 §9.1.5), none for messages.
const defaultFloor = 64 << 10

// pace watches that a message moves (P9). It counts the time spent waiting for the
// peer, never our own: a handler that is busy for an hour takes nothing from
// it. In each stall of waiting at least floor bytes must move; when they have,
// the next stall begins. So a message that is shorter than floor has one stall
// in all, and one of any length that goes fast enough has no end. One goroutine
// owns it.
type pace struct {
	stall time.Duration
	floor int64

	left  time.Duration // of this stall
	bytes int64         // that moved in it
}

func newPace(stall time.Duration, floor int64) pace {
	return pace{stall: stall, floor: floor, left: stall}
}

// restart begins another message.
func (p *pace) restart() { p.left, p.bytes = p.stall, 0 }

// deadline is when the peer must have done enough, if we wait from now on.
func (p *pace) deadline(now time.Time) time.Time { return now.Add(p.left) }

// moved says that n bytes moved while we waited for so long.
func (p *pace) moved(n int, waited time.Duration) {
	p.left -= waited
	if p.bytes += int64(n); p.bytes >= p.floor {
		p.restart()
	}
}
