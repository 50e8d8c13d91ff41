package main

import (
	"log/slog"
	"strings"
	"testing"
	"time"
)

// A clock that differs is said once, shown for as long as it does, and little is
// nothing: the beat itself takes time.
func TestAClockThatDiffersIsSaid(t *testing.T) {
	at := time.Now()
	for seen, want := range map[time.Duration]time.Duration{0: 0, -time.Second: 0, 2 * time.Second: 0, -time.Minute: time.Minute, time.Hour: time.Hour - time.Second} {
		if got := skewOf(at.Add(seen), at, at.Add(time.Second)); got != want {
			t.Errorf("seen %s from the begin: %s, want %s", seen, got, want)
		}
	}
	var said strings.Builder
	h := &theHub{log: slog.New(slog.NewTextHandler(&said, nil))}
	for _, skew := range []time.Duration{0, time.Minute, time.Minute, 0, 0} {
		h.noteSkew(skew)
		if shown := len(h.nodeWarnings()) == 1; shown != (skew != 0) {
			t.Errorf("skew %s is shown: %v", skew, h.nodeWarnings())
		}
	}
	if n := strings.Count(said.String(), "\n"); n != 2 {
		t.Errorf("said %d times:\n%s", n, said.String())
	}
}
