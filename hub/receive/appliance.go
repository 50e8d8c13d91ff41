package receive

import (
	"context"
	"time"

	"golang.org/x/time/rate"
)

// appliance is who has connections here. Server.mu guards it but for rate.
type appliance struct {
	id       string
	sessions map[*session]struct{}
	speaker  *session // who tells its news
	greeting int      // connections that have not said Hello

	rate *rate.Limiter // of bytes, on all its connections; nil: no limit
}

// known is the entry of a device, new when there is none. s.mu is held.
func (s *Server) known(device string) *appliance {
	a := s.appliances[device]
	if a == nil {
		a = &appliance{id: device, sessions: map[*session]struct{}{}}
		if s.c.Rate > 0 {
			// A burst of a second: what it sends in the mean is what counts.
			a.rate = rate.NewLimiter(rate.Limit(s.c.Rate), int(max(s.c.Rate, 2*pieceSize)))
		}
		s.appliances[device] = a
	}
	return a
}

// forgets drops the entry of who has no connection. s.mu is held.
func (s *Server) forgets(a *appliance) {
	if len(a.sessions) == 0 && a.greeting == 0 {
		delete(s.appliances, a.id)
	}
}

// debt is for how many seconds at most the others wait for what was urgent.
const debt = 10

// pace waits until n more bytes are within the rate, or ctx ends. What is urgent goes on at
// once, and the others wait for it, but not for ever.
func (a *appliance) pace(ctx context.Context, n int, urgent bool) {
	switch {
	case a.rate == nil:
	case !urgent:
		_ = a.rate.WaitN(ctx, n) // who has ended waits for nothing
	case a.rate.Tokens() > -debt*float64(a.rate.Limit()):
		a.rate.ReserveN(time.Now(), n)
	}
}
