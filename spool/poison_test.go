package spool

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// P6: a sender that works through objects of which the most urgent ones are
// poison, each tried again after a delay, sends all others meanwhile, in order,
// and ends with the poison parked, its reason shown, and nothing waiting.
func TestNothingWaitsBehindPoison(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := memConfig(newMemFS())
		cfg.MaxTries = 4
		s := open(t, cfg)
		const bad, good = 5, 40
		for i := range bad + good {
			n := New{Group: "g", Priority: Routine, Seed: testSeed, Flags: uint32(i)}
			if i < bad {
				n.Priority = Urgent
			}
			put(t, s, n, sample(i, 10))
		}
		began, sent := time.Now(), []uint32{}
		for s.Stats().BacklogObjects > 0 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			o, err := s.Lease(ctx, "lane")
			cancel()
			if err != nil {
				t.Fatal(err)
			}
			if o.Priority == Urgent {
				err = s.Return(o.ID, 10*time.Second, Poison(errors.New("refused")))
			} else {
				sent = append(sent, o.Flags)
				err = s.AtHub(t.Context(), receipt(o))
			}
			if err != nil {
				t.Fatal(err)
			}
			if len(sent) == good && time.Since(began) > 0 && o.Priority != Urgent {
				t.Fatalf("the last good one left after %v, want at once", time.Since(began))
			}
		}
		for i, n := range sent {
			if n != uint32(bad+i) {
				t.Fatalf("sent in the order %v", sent)
			}
		}
		for _, o := range s.Objects(0, bad) {
			if o.State != Quarantined || o.Reason != "parked after 4 tries: refused" || o.Damaged {
				t.Fatalf("%+v; want it parked with its reason", o)
			}
		}
	})
}

// P6: what was parked and released has all its tries again, and a cause that lies
// in the line parks nothing, however often.
func TestOnlyPoisonParks(t *testing.T) {
	ctx := context.Background()
	cfg := memConfig(newMemFS())
	cfg.MaxTries = 2
	s := open(t, cfg)
	o, _ := put(t, s, newSample(1), sample(1, 10))
	back := func(cause error) {
		t.Helper()
		if _, ok, err := s.TryLease("lane"); !ok || err != nil {
			t.Fatalf("not to be had: %v", err)
		}
		if err := s.Return(o.ID, 0, cause); err != nil {
			t.Fatal(err)
		}
	}
	for range 50 {
		back(errors.New("line is down"))
	}
	for range 2 {
		back(Poison(errors.New("no")))
		wantState(t, s, o.ID, Received)
		back(Poison(errors.New("no")))
		wantState(t, s, o.ID, Quarantined)
		if err := s.Release(ctx, o.ID); err != nil {
			t.Fatal(err)
		}
	}
}

// Weighted priorities do not starve back-filling, and routine work does not wait
// for it, also when new urgent objects keep coming.
func TestWeightsHoldWhileUrgentOnesCome(t *testing.T) {
	s := open(t, memConfig(newMemFS()))
	for i := range 60 {
		p := Routine
		if i >= 40 {
			p = Backfill
		}
		put(t, s, New{Priority: p, Seed: testSeed}, sample(i, 10))
	}
	var count [priorities]int
	for i := range 60 {
		put(t, s, New{Priority: Urgent, Seed: testSeed}, sample(1000+i, 10))
		for range 2 {
			o, ok, err := s.TryLease("lane")
			if !ok || err != nil {
				t.Fatal(err)
			}
			count[o.Priority]++
		}
		if i == 24 && (count[Urgent] != 25 || count[Routine] != 20 || count[Backfill] != 5) {
			t.Fatalf("of 50 left %v, want 25 urgent, 20 routine, 5 back-filled", count)
		}
	}
}

// P2, SPOOL-21: with the clock anywhere nothing is deleted by its age: a day's worth
// of jumps is less than an hour of running.
func TestAgeIsRunningTimeOnly(t *testing.T) {
	ctx := context.Background()
	c := newClock()
	cfg := groupConfig(newMemFS(), c)
	cfg.RetainArchived = time.Hour
	s := open(t, cfg)
	o, _ := put(t, s, newSample(1), sample(1, 10))
	if err := s.archivedOutright(ctx, receipt(o)); err != nil {
		t.Fatal(err)
	}
	start := c.now
	for _, at := range []time.Time{start.AddDate(-10, 0, 0), start.AddDate(10, 0, 0), time.Unix(0, 0), time.Date(2038, 1, 19, 3, 14, 8, 0, time.UTC), start} {
		c.now = at
		s.Close()
		s = open(t, cfg) // also over a start
		for range 3 {
			c.run(t, s, 10*time.Second)
		}
		wantState(t, s, o.ID, Archived)
	}
	c.run(t, s, time.Hour)
	if _, err := s.Object(o.ID); !errors.Is(err, ErrUnknown) {
		t.Fatalf("after an hour of running: %v, want it forgotten", err)
	}
}
