package objects

import "time"

// account adds n to the bytes of a device.
func (s *Store) account(device string, n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bytes[device] += n
}

// PartialBytes is how much a device's partial objects take.
func (s *Store) PartialBytes(device string) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.bytes[deviceDir(device)]
}

// reserve accounts n more bytes for p's device when its allowance has them. It
// drops idle partial objects of the device, the longest unused first, to make room.
func (s *Store) reserve(p *partial, n int64) bool {
	for {
		s.mu.Lock()
		if s.bytes[p.key.device]+n <= s.max {
			s.bytes[p.key.device] += n
			s.mu.Unlock()
			return true
		}
		s.mu.Unlock()
		if !s.dropOldest(p.key.device, p) {
			return false
		}
	}
}

func (p *partial) idleSince() (time.Time, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.used, p.owner == nil && !p.gone && p.onDisk > 0
}

// dropIdle drops p unless somebody used it since.
func (p *partial) dropIdle(since time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.owner != nil || p.gone || !p.used.Equal(since) {
		return true // look again
	}
	p.drop()
	return true
}

// Expire drops partial objects that nobody claimed for longer than age and
// returns how many. Only what can be sent again is decided by a clock. Of a bucket it
// aborts uploads that nobody has gone on with for days.
func (s *Store) Expire(age time.Duration) (dropped int) {
	if s.bucket != nil {
		s.bucket.abortOld()
	}
	s.mu.Lock()
	all := make([]*partial, 0, len(s.partials))
	for _, p := range s.partials {
		all = append(all, p)
	}
	s.mu.Unlock()
	for _, p := range all {
		if used, idle := p.idleSince(); idle && time.Since(used) > age && p.dropIdle(used) {
			dropped++
		}
	}
	return dropped
}
