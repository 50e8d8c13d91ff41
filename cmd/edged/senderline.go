package main

import (
	"context"
	"errors"
	"time"

	"edged/agent/page"
	"edged/agent/status"
	"edged/uplink"
)

// testLine measures the line to the hub. Where no carrier found a way, that is the
// error, beside what is known; a refusal is that nothing was measured.
func (s *sender) testLine(ctx context.Context) (status.LineTest, error) {
	s.mu.Lock()
	link, why := s.link, s.why
	s.mu.Unlock()
	switch {
	case len(s.cfg.Uplink.Hubs) == 0:
		return status.LineTest{}, refusef("no hub is configured: there is no line to test")
	case link == nil:
		return status.LineTest{}, refusef("the line cannot be tested yet: %s", why)
	}
	t, err := link.TestLine(ctx)
	var paused *uplink.PausedError
	switch {
	case errors.As(err, &paused):
		return status.LineTest{}, refusef("sending is paused %s: the test would send; `edged resume` ends that", page.Until(paused.Until, time.Now().In(s.cfg.zone()), "en"))
	case err != nil:
		return status.LineTest{}, refusef("%w", err)
	}
	shown := shownTest(t)
	if shown.Transport == status.NoTransport {
		return shown, errors.New("nothing came through: " + firstError(t))
	}
	return shown, nil
}

// shownTest says it in the words of the status; the best carrier is the one that
// carried most.
func shownTest(t uplink.LineTest) status.LineTest {
	out := status.LineTest{Hub: t.Hub, Seconds: t.Seconds, CapBits: t.CapBits, BesideBits: t.BesideBits, UDPOpen: t.UDPOpen, Transport: status.NoTransport}
	most := int64(0)
	for _, c := range t.Carriers {
		out.Carriers = append(out.Carriers, status.Carrier{Transport: status.Transport(c.Name), GoodputBits: c.GoodputBits, RTTMS: c.RTTMS, MinRTTMS: c.MinRTTMS,
			Sent: int64(c.Sent), Lost: int64(c.Lost), MTU: int64(c.MTU), Congestion: c.Congestion, LastError: c.Error})
		if c.GoodputBits > most {
			most, out.Transport = c.GoodputBits, status.Transport(c.Name)
		}
	}
	return out
}

func firstError(t uplink.LineTest) string {
	for _, c := range t.Carriers {
		if c.Error != "" {
			return c.Error
		}
	}
	return "the hub got none of the probes"
}
