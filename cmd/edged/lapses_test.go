package main

import (
	"context"
	"io"
	"log/slog"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"edged/agent/account"
)

// What ended by itself is told within a minute, again after an error, and a last time at the end.
func TestEndedSessionsAreToldEachMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		told, ended := 0, make(chan error, 1)
		a := &appliance{log: slog.New(slog.DiscardHandler), lapse: func() error { told++; return io.EOF }}
		go func() { ended <- a.lapses(ctx) }()
		time.Sleep(3*lapseLook + time.Second)
		cancel()
		if err := <-ended; err != nil || told != 4 {
			t.Errorf("%v, told %d times in three minutes and at the end", err, told)
		}
	})
	if err := (&appliance{}).lapses(t.Context()); err != nil {
		t.Error(err) // without accounts there is nothing to do
	}
}

// Of the page's own accounts it is told, at the latest at the stop: one session too many ends
// the oldest, and nobody did that.
func TestThePagesSessionsAreToldOf(t *testing.T) {
	t.Parallel()
	r := newRig(t, alone, "")
	r.startEdged()
	m := r.logIn("m.rossi", "technician")
	for range 8 { // account.sessionsAccount, each in a browser of its own
		m.browser.Jar = nil
		m.post("/login", url.Values{"name": {"m.rossi"}, "password": {wardPassword}})
	}
	r.edged.stop()
	said := r.must("edged", "audit", "show", "-c", r.path("edged.yaml"))
	row := regexp.MustCompile(`(?m)^.*session ended by itself.*$`).FindAllString(said, -1)
	if len(row) != 1 || !strings.Contains(row[0], "edged") || !strings.Contains(row[0], "account m.rossi") || !strings.Contains(row[0], "log-in from 127.0.0.1") || strings.Contains(row[0], "(page)") {
		t.Errorf("%q of\n%s", row, said)
	}
}

// The repository hears of an end once, however often the trail was full before.
func TestAnEndIsToldOnce(t *testing.T) {
	trail, told := &trailOfTest{err: io.EOF}, 0
	o := observedAudit{trail, func(account.Event) { told++ }}
	for range 60 {
		if o.Note(account.Event{Action: account.Lapsed}) == nil {
			t.Fatal("no error")
		}
	}
	trail.err = nil
	if err := o.Note(account.Event{Action: account.Lapsed}); err != nil || told != 1 {
		t.Errorf("%v, told %d times", err, told)
	}
}
