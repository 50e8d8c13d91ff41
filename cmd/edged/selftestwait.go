package main

import (
	"sync"
	"time"

	"edged/agent/page"
	"edged/agent/status"
)

// listening is a window of two minutes in which every connection is written down, for
// who stands at a device and tries it.
type listening struct {
	mu    sync.Mutex // guards what follows
	from  time.Time
	until time.Time
	heard []page.Heard
}

// open begins a window, or makes the present one longer.
func (l *listening) open(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.After(l.until) {
		l.from, l.heard = now, nil
	}
	l.until = now.Add(listenFor)
}

// hear writes down that c was accepted, or refused with code.
func (l *listening) hear(c caller, code status.RefusalCode, detail string, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.After(l.until) {
		return
	}
	l.heard = append(l.heard, page.Heard{At: now, Calling: clip(c.calling, 64), Called: clip(c.called, 64), Address: clip(c.address, 64), Code: code, Detail: clip(detail, 64)})
	if extra := len(l.heard) - maxHeard; extra > 0 {
		l.heard = append(l.heard[:0:0], l.heard[extra:]...)
	}
}

// so far, the latest first.
func (l *listening) soFar() page.Listening {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := page.Listening{From: l.from, Until: l.until}
	for i := len(l.heard) - 1; i >= 0; i-- {
		out.Heard = append(out.Heard, l.heard[i])
	}
	return out
}
