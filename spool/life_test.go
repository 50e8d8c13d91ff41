package spool

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"
)

// P2, P4, D-S11: objects come, are discarded by two people at once, confirmed and
// forgotten, while groups come to rest and are acknowledged and everything is read
// again: each object is counted in exactly one way, and no event is lost.
func TestDiscardGroupsAndScrubAtOnce(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	fs := newMemFS()
	cfg := memConfig(fs)
	cfg.GroupQuiet, cfg.ScrubRate = time.Nanosecond, 1<<30
	s := open(t, cfg)
	if err := oneLife(ctx, s, 2); err != nil { // something to read from the first moment on
		t.Fatal(err)
	}
	var helpers, writers sync.WaitGroup
	stop, end := context.WithCancel(ctx)
	helpers.Go(func() {
		if err := s.Scrub(stop); err != nil {
			t.Error(err)
		}
	})
	helpers.Go(func() {
		for s.rest(stop, time.Millisecond) {
			if err := s.Sweep(ctx); err != nil {
				t.Error(err)
				return
			}
			for _, ev := range s.GroupEvents(100) {
				if err := s.AckGroup(ctx, ev); err != nil {
					t.Error(err)
				}
			}
			_, _ = s.Groups(10), s.Stats()
		}
	})
	const lanes, each = 4, 30
	for lane := range lanes {
		writers.Go(func() {
			for i := range each {
				if err := oneLife(ctx, s, lane*each+i); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	writers.Wait()
	end()
	helpers.Wait()
	if err := s.Sweep(ctx); err != nil {
		t.Fatal(err)
	}
	if st := s.Stats().Scrub; st.Bytes == 0 || st.Damaged > 0 {
		t.Fatalf("nothing was read again, or taken for damaged: %+v", st)
	}
	for range 2 { // now, and after a start
		c := s.Counters()
		if c[CountReceived] != lanes*each || c[CountDiscarded] != lanes*each/3 || c[CountArchived] != lanes*each/3 || s.Stats().Objects != lanes*each/3 || s.Stats().Damaged != 0 {
			t.Fatalf("%v, %+v", c, s.Stats())
		}
		for range 2 { // the last arrivals come to rest
			if err := s.Sweep(ctx); err != nil {
				t.Fatal(err)
			}
		}
		for _, g := range s.Groups(10) {
			if n := g.Objects + g.Forgotten; !g.Complete || n != g.row(s).objects || g.Parts[0].Objects != n {
				t.Fatalf("%+v, last event of %d objects", g, g.row(s).objects)
			}
		}
		s.Close()
		s = open(t, cfg)
	}
}

// oneLife stores object n; of three one is discarded twice, one archived, one stays.
func oneLife(ctx context.Context, s *Spool, n int) error {
	name := fmt.Sprint("study ", n/30)
	s.OpenGroup(name)
	defer s.CloseGroup(name)
	o, _, err := tryPut(s, inGroup(name, "series"), sample(n, 500))
	if err != nil || n%3 == 2 {
		return err
	}
	if n%3 == 1 {
		return s.archivedOutright(ctx, receipt(o))
	}
	other := make(chan error, 1)
	go func() { other <- s.Discard(ctx, byAdmin(o)) }()
	err = s.Discard(ctx, byAdmin(o))
	for _, err := range []error{err, <-other} {
		if err != nil && !errors.Is(err, ErrUnknown) {
			return err
		}
	}
	return nil
}
