package spool

import "time"

// hours sums up what came in the last 24 hours of running, by hour. Guarded by
// Spool.mu. It is shown and decides nothing.
type hours struct {
	bytes [24]int64
	hour  [24]int64 // which hour the sum is of; the first one of a spool's life is 24
}

func hourOf(age int64) int64 { return age/int64(time.Hour) + 24 }

func (h *hours) add(hour, n int64) {
	if hour < 1 {
		return
	}
	i := hour % 24
	if h.hour[i] != hour {
		h.hour[i], h.bytes[i] = hour, 0
	}
	h.bytes[i] += n
}

func (h *hours) sum(now int64) (n int64) {
	for i, hour := range h.hour {
		if hour > now-24 {
			n += h.bytes[i]
		}
	}
	return n
}

// adoptDay puts what a start finds into the hours in which it came, by the wall
// clock: nothing else is known of time before the start. Guarded by mu.
func (s *Spool) adoptDay(e *entry) {
	if ago := s.aged.UnixNano() - e.received; ago >= 0 && ago < int64(24*time.Hour) {
		s.day.add(hourOf(s.age)-ago/int64(time.Hour), e.size())
	}
}

// fillsIn is how long the room lasts when as much comes as in the last 24 hours,
// or as in the spool's life if that is shorter. What may be forgotten when space
// is short counts as room. Zero: nothing came, so nobody knows. Guarded by mu.
func (s *Spool) fillsIn(free int64) time.Duration {
	day := s.day.sum(hourOf(s.age))
	if day <= 0 {
		return 0
	}
	room := free - s.cfg.ReserveBytes
	if s.cfg.MaxBytes > 0 {
		used := int64(0)
		for _, n := range s.bytes {
			used += n
		}
		room = min(room, s.cfg.MaxBytes-used)
	}
	room += s.bytes[Archived]
	if s.cfg.Keep == KeepHub {
		room += s.bytes[AtHub]
	}
	span := float64(min(max(time.Duration(s.age), time.Hour), 24*time.Hour))
	const longest = float64(10 * 365 * 24 * time.Hour) // "years" is all that it means
	return time.Duration(max(1, min(float64(max(room, 0))/float64(day)*span, longest)))
}
