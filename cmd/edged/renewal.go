package main

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"time"

	"edged/agent/enrol"
	"edged/internal/identity"
)

// renewals keeps the certificate that hubs are called with from running out.
func (s *sender) renewals(ctx context.Context) error {
	r := renewal{current: s.held, renew: s.renew, log: s.log}
	return r.run(ctx)
}

// renew asks one hub node after the other, and holds what the first one gives.
func (s *sender) renew(ctx context.Context) error {
	var failed []error
	for _, hub := range s.cfg.Uplink.Hubs {
		id, err := enrol.Renew(ctx, s.cfg.enrolment(hub, ""))
		if err == nil {
			s.hold(id)
			return nil
		}
		failed = append(failed, err)
	}
	return errors.Join(failed...)
}

// renewal decides when to renew.
type renewal struct {
	current func() *identity.Bundle // nil: not enrolled yet
	renew   func(context.Context) error
	log     *slog.Logger
}

// How often it looks at the clock, which may be set right at any time (one timer
// of eight months would not notice), and how long it rests after an attempt,
// before and after the end of the certificate.
const (
	renewalLook  = 10 * time.Minute
	renewalRest  = 24 * time.Hour
	renewalHurry = time.Hour
)

func (r *renewal) run(ctx context.Context) error {
	for r.current() == nil {
		if !pause(ctx, enrolPoll) {
			return nil
		}
	}
	var earliest time.Time
	for {
		id, now := r.current(), time.Now()
		if !now.Before(id.RenewAt()) && !now.Before(earliest) {
			r.attempt(ctx)
			earliest = time.Now().Add(rest(id, now))
		}
		if !pause(ctx, renewalLook) {
			return nil
		}
	}
}

func (r *renewal) attempt(ctx context.Context) {
	if err := r.renew(ctx); err != nil {
		if ctx.Err() == nil {
			r.log.Warn("certificate not renewed, trying again", "until", r.current().Cert.NotAfter, "err", err)
		}
		return
	}
	r.log.Info("certificate renewed", "until", r.current().Cert.NotAfter)
}

// rest is between three quarters and five quarters of its measure, so that the
// appliances of a region do not all come at once.
func rest(id *identity.Bundle, now time.Time) time.Duration {
	measure := renewalRest
	if now.After(id.Cert.NotAfter) {
		measure = renewalHurry
	}
	return measure*3/4 + rand.N(measure/2)
}
