package main

import (
	"context"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"edged/spool"
)

// watchdog feeds that of the service manager (sd_notify(3), WATCHDOG=1) after each look
// through what images go by. It never feeds without one: while a look does not come
// back nobody is fed, and the service manager starts the appliance anew. A night in
// which nothing comes is no standstill, because each look makes a record of its own.
func (a *appliance) watchdog(ctx context.Context, every time.Duration, feed func()) {
	var opening openings
	for pause(ctx, every) {
		if a.pulse(ctx, &opening) {
			feed()
		}
	}
}

func feedManager() { daemon.SdNotify(false, daemon.SdNotifyWatchdog) }

// pulse goes by everything that an image goes by: each DICOM port accepts, the parts can
// be asked how they are, and the spool makes a record durable. It blocks for as long as
// one of them does.
func (a *appliance) pulse(ctx context.Context, opening *openings) bool {
	for _, l := range a.doors {
		l.knock(ctx)
	}
	a.view.Status()
	s, err := a.keeper.get()
	if err != nil {
		return opening.moves(a.keeper.steps(), time.Now())
	}
	opening.since = time.Time{}
	a.tellFailed(s.Pulse())
	return ctx.Err() == nil
}

// tellFailed: what breaks in a pulse ends the spool as it would in a commit, and is
// told there.
func (a *appliance) tellFailed(err error) {
	if err != nil && err != spool.ErrClosed {
		a.log.Debug("the spool says no", "err", err)
	}
}

// openPatience is how long a spool may be opened without any sign of getting on. Opening
// reads again what was not proved, a large object in one piece; and waits for a key, a
// TPM or another process are steps of their own.
const openPatience = 15 * time.Minute

// openings judges a spool that is not there: it is being opened, for the second time
// and further on, for the first one nobody is ready yet.
type openings struct {
	steps uint64
	since time.Time // of the last step; zero: none is under way
}

func (o *openings) moves(steps uint64, now time.Time) bool {
	if steps != o.steps || o.since.IsZero() {
		o.steps, o.since = steps, now
	}
	return now.Sub(o.since) < openPatience
}
