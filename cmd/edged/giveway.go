package main

import (
	"context"
	"errors"
	"time"
)

// giveWay lets a command that has the spool open end when a daemon starts: until
// the daemon has it, modalities are refused, and reading every object may take
// hours. The daemon's socket is there before its spool.
type giveWay struct {
	running func(context.Context) bool
	asked   time.Time
}

// errDaemonStarts ends what was begun without a daemon.
var errDaemonStarts = errors.New("edged has started and needs the spool; run the command again, it goes on through the daemon")

func newGiveWay(cfg *Config) *giveWay {
	return &giveWay{running: func(ctx context.Context) bool { return findDaemon(ctx, cfg) != nil }, asked: time.Now()}
}

// look asks at most once a second. It is called by one goroutine.
func (g *giveWay) look(ctx context.Context) error {
	if time.Since(g.asked) < time.Second {
		return nil
	}
	g.asked = time.Now()
	if g.running(ctx) {
		g.asked = time.Time{} // it is told until the command ends
		return errDaemonStarts
	}
	return nil
}
