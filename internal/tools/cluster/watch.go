package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// watch sees for how long appliances are without a node. It asks their pages, so that
// what is shorter than its step is not seen.
type watch struct {
	s  *site
	wg sync.WaitGroup

	mu   sync.Mutex // guards what follows
	gaps []gap
	open map[int]time.Time
}

// gap is how long an appliance was without a node.
type gap struct{ from, to time.Time }

const step = 50 * time.Millisecond

func newWatch(s *site) *watch { return &watch{s: s, open: map[int]time.Time{}} }

func (w *watch) start(ctx context.Context) {
	for _, a := range w.s.sites {
		w.wg.Go(func() { w.look(ctx, a) })
	}
}

func (w *watch) wait() { w.wg.Wait() }

func (w *watch) look(ctx context.Context, a *appliance) {
	tick := time.NewTicker(step)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if st, err := a.State(ctx); err == nil {
			w.saw(a.number, st.Uplink.Connected, time.Now())
		}
	}
}

func (w *watch) saw(appliance int, connected bool, at time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	since, away := w.open[appliance]
	switch {
	case connected && away:
		w.gaps = append(w.gaps, gap{since, at})
		delete(w.open, appliance)
	case !connected && !away:
		w.open[appliance] = at
	}
}

// note prints what appliances saw of something that lasted from one time to another.
func (w *watch) note(what string, from, to time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var pauses []time.Duration
	for _, g := range w.gaps {
		if g.to.After(from) && g.from.Before(to) {
			pauses = append(pauses, g.to.Sub(g.from).Round(10*time.Millisecond))
		}
	}
	for _, since := range w.open {
		pauses = append(pauses, to.Sub(since).Round(10*time.Millisecond))
	}
	slices.Sort(pauses)
	if what != "kill" || len(pauses) > 0 {
		fmt.Printf("%s of %s: appliances were without a node for %v\n", what, to.Sub(from).Round(100*time.Millisecond), pauses)
	}
}

// longest is the longest time that an appliance was without a node.
func (w *watch) longest() (most time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, g := range w.gaps {
		most = max(most, g.to.Sub(g.from))
	}
	return most
}
