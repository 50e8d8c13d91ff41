package spool

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// Lease sleeps until there is work, wakes for exactly that, and ends with its
// context or with the spool.
func TestLeaseWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := memConfig(newMemFS())
		s := open(t, cfg)
		got := make(chan Object)
		lease := func(ctx context.Context) error {
			o, err := s.Lease(ctx, "lane")
			if err == nil {
				got <- o
			}
			return err
		}
		go lease(t.Context())
		synctest.Wait()
		o, _ := put(t, s, routineSample(0), sample(0, 10))
		if l := <-got; l.ID != o.ID {
			t.Fatalf("leased %d", l.Seq)
		}

		go lease(t.Context())
		synctest.Wait()
		started := time.Now()
		if err := s.Return(o.ID, time.Hour, errors.New("line is down")); err != nil {
			t.Fatal(err)
		}
		if <-got; time.Since(started) != time.Hour {
			t.Fatalf("came back after %v, want an hour", time.Since(started))
		}

		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := lease(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("context ended: %v", err)
		}
		ended := make(chan error)
		go func() { ended <- lease(t.Context()) }()
		synctest.Wait()
		s.Close()
		if err := <-ended; !errors.Is(err, ErrClosed) {
			t.Fatalf("spool closed: %v", err)
		}
	})
}

// Run ends with its context, forgets by its own age, and moves the mark, so that
// the next recovery has nothing to prove.
func TestRunForgetsAndMovesTheMark(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := newMemFS()
		cfg := memConfig(fs)
		cfg.RetainArchived = 2 * time.Hour
		s := open(t, cfg)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- s.Run(ctx) }()
		a, _ := put(t, s, newSample(1), sample(1, 100))
		b, _ := put(t, s, newSample(2), sample(2, 100))
		if err := s.archivedOutright(ctx, receipt(a)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(119 * time.Minute)
		wantState(t, s, a.ID, Archived)
		time.Sleep(2 * time.Minute)
		if _, err := s.Object(a.ID); !errors.Is(err, ErrUnknown) {
			t.Fatalf("after its time: %v", err)
		}
		wantState(t, s, b.ID, Received)
		cancel()
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		s = open(t, memConfig(fs.kill())) // no Close: the mark was moved by Run
		if r := s.Recovery(); r.Proved != 0 || r.Objects != 1 {
			t.Fatalf("%+v", r)
		}
	})
}

// A sender whose window is full of less urgent objects still takes urgent ones,
// and only those.
func TestLeaseUrgentTakesNothingLess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, memConfig(newMemFS()))
		put(t, s, New{Priority: Backfill, Seed: testSeed}, sample(0, 10))
		put(t, s, New{Priority: Routine, Seed: testSeed}, sample(1, 10))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if o, err := s.LeaseUrgent(ctx, "lane", Urgent); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("leased %v object, %v; want to wait", o.Priority, err)
		}
		urgent, _ := put(t, s, New{Priority: Urgent, Seed: testSeed}, sample(2, 10))
		for _, want := range []Priority{Urgent, Routine} {
			o, err := s.LeaseUrgent(t.Context(), "lane", want)
			if err != nil || o.Priority != want || want == Urgent && o.ID != urgent.ID {
				t.Fatalf("leased %v, %v; want %v", o.Priority, err, want)
			}
		}
	})
}

// Ages name the oldest object at each hop.
func TestAgesAreThoseOfTheOldest(t *testing.T) {
	ctx := context.Background()
	now := time.Unix(1000, 0)
	cfg := memConfig(newMemFS())
	cfg.RetainArchived = time.Hour
	cfg.Now = func() time.Time { return now }
	s := open(t, cfg)
	var objects []Object
	for n := range 5 {
		now = time.Unix(1000+int64(n), 0)
		o, _ := put(t, s, routineSample(n), sample(n, 10))
		objects = append(objects, o)
	}
	if err := errors.Join(s.archivedOutright(ctx, receipt(objects[0])), s.AtHub(ctx, receipt(objects[1])), s.AtHub(ctx, receipt(objects[2]))); err != nil {
		t.Fatal(err)
	}
	want := Ages{OldestBacklog: time.Unix(1003, 0), OldestAtHub: time.Unix(1001, 0), LastReceived: time.Unix(1004, 0), LastArchived: time.Unix(1e9, 0)}
	if got := s.Ages(); got != want {
		t.Fatalf("%+v, want %+v", got, want)
	}
}
