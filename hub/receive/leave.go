package receive

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"edged/uplink/wire"
)

// errLeaving: this node does not serve now, and others have the same rows.
var errLeaving = errors.New("this node is leaving")

// leaveTick is how often Leave sends some away.
const leaveTick = 20 * time.Millisecond

// Leave sends all appliances to other nodes of the hub, perSecond of them, and who
// comes meanwhile or later at once, until Return. They go without a pause of their
// own (package uplink, code 6), so that it is here that a fleet is spread: the other
// nodes do thousands of handshakes. It returns when all have been told or ctx ends.
func (s *Server) Leave(ctx context.Context, perSecond int) {
	tick := time.NewTicker(leaveTick)
	defer tick.Stop()
	lines := s.sendable()
	for due := 0.0; len(lines) > 0; {
		for due += float64(perSecond) * leaveTick.Seconds(); due >= 1 && len(lines) > 0; due-- {
			lines = sendAway(lines)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Return serves appliances again.
func (s *Server) Return() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.leaving = false
}

// sendable lets nobody in any more and lists who is there, by appliance.
func (s *Server) sendable() (lines []*session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.leaving = true
	for n := range s.sessions {
		lines = append(lines, n)
	}
	slices.SortFunc(lines, func(a, b *session) int { return cmp.Compare(a.device, b.device) })
	return lines
}

// sendAway ends all connections of the first appliance, and returns the others.
func sendAway(lines []*session) []*session {
	device := lines[0].device
	for len(lines) > 0 && lines[0].device == device {
		lines[0].link.Close(wire.ByeLeaving, "")
		lines = lines[1:]
	}
	return lines
}
