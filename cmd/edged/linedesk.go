package main

import (
	"context"
	"errors"
	"time"

	"edged/agent/account"
	"edged/agent/page"
)

// lineDesk is what the page of the line asks for: the last day, a pause, a test.
type lineDesk struct {
	*lineDay
	paused  func() time.Time // until when; zero: nothing is
	rest    func(who string, d time.Duration) (time.Time, error)
	tests   *lineTests
	audited func(by account.Actor, action, object, reason string, act func() error) error
}

var _ page.LineDesk = (*lineDesk)(nil)

func (a *appliance) lineDesk() *lineDesk {
	a.lineDay = newLineDay(a.keeper, func() int64 { return a.sender.status().BytesSent })
	return &lineDesk{lineDay: a.lineDay, rest: a.sender.rest, tests: a.lineTests, audited: a.audited,
		paused: func() time.Time { return a.sender.status().PausedUntil }}
}

// Pause is on the audit trail before anything is held back.
func (d *lineDesk) Pause(_ context.Context, who account.Actor, long time.Duration) error {
	action, reason := pauseWords(long)
	return lineWords(d.audited(who, action, "uplink", reason, func() error {
		_, err := d.rest(onPage(who), long)
		return err
	}))
}

// longestTest bounds a test whose asker may have gone: it ends by itself long before.
const longestTest = time.Minute

// Test measures; it goes on when the browser goes, and the page shows how it went.
func (d *lineDesk) Test(ctx context.Context, who account.Actor) error {
	if d.paused().After(time.Now()) {
		return page.ErrLinePaused
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), longestTest)
	defer cancel()
	return lineWords(d.audited(who, "line test", "uplink", "", func() error {
		_, err := d.tests.do(ctx)
		return err
	}))
}

// lineWords are errors that the page has words for.
func lineWords(err error) error {
	var refused refusedError
	switch {
	case !errors.As(err, &refused):
		return err
	case errors.Is(refused.error, errTesting):
		return page.ErrLineBusy
	}
	return page.ErrNoLine
}
