package uplink

import "time"

// window100 counts what was let out in the last 100 ms, in slots of 1 ms. The slot
// that is only half within counts whole: the window is 100 to 101 ms long.
type window100 struct {
	slots [windowSlots]int64
	sum   int64
	last  int64 // number of the newest slot; sum has it and the windowSlots-1 before
}

const (
	slot        = time.Millisecond
	windowSlots = 101
)

// add counts n at a time since the beginning.
func (w *window100) add(at time.Duration, n int64) {
	w.turn(at)
	w.slots[w.last%windowSlots] += n
	w.sum += n
}

// wait is how long n has to wait so that no window holds more than most; what
// exceeds most by itself goes when the window is empty.
func (w *window100) wait(at time.Duration, n, most int64) time.Duration {
	w.turn(at)
	left := w.sum
	for number := w.last - windowSlots + 1; left > 0 && left+n > most; number++ {
		if number >= 0 {
			left -= w.slots[number%windowSlots]
		}
		if left == 0 || left+n <= most {
			return time.Duration(number+windowSlots)*slot - at // when this slot is out
		}
	}
	return 0
}

// turn forgets what is out of the window.
func (w *window100) turn(at time.Duration) {
	now := int64(at / slot)
	for w.last < now {
		if w.sum == 0 {
			w.last = now
			return
		}
		w.last++
		i := w.last % windowSlots
		w.sum -= w.slots[i]
		w.slots[i] = 0
	}
}
