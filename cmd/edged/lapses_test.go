package main

import (
	"context"
	"io"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"
)

// What ended by itself is told within a minute, again after an error, until the end.
func TestEndedSessionsAreToldEachMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		told, ended := 0, make(chan error, 1)
		a := &appliance{log: slog.New(slog.DiscardHandler), lapse: func() error { told++; return io.EOF }}
		go func() { ended <- a.lapses(ctx) }()
		time.Sleep(3*lapseLook + time.Second)
		cancel()
		if err := <-ended; err != nil || told != 3 {
			t.Errorf("%v, told %d times in three minutes", err, told)
		}
	})
	if err := (&appliance{}).lapses(t.Context()); err != nil {
		t.Error(err) // without accounts there is nothing to do
	}
}

// The appliance's accounts are those whose sessions are told of.
func TestThePagesSessionsAreToldOf(t *testing.T) {
	h := newHouse(t, unjudged)
	if h.lapse == nil || h.lapse() != nil {
		t.Error("nobody tells of sessions that end by themselves")
	}
}
