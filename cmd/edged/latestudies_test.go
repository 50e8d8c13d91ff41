package main

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"edged/spool"
)

// A study is late by the last of it that came, if something of it waits; what is held,
// fills back, or is a test is not late, and without a hub nothing is.
func TestAStudyIsLateWhenSomethingOfItWaits(t *testing.T) {
	s, f := openFeed(t)
	n := 0
	store := func(group string, p spool.Priority, test bool) spool.Object {
		n++
		w, err := s.Create(spool.New{Group: group, Name: fmt.Sprint("2.25.", n), Seed: []byte("seed"), Priority: p, Test: test, Quiet: time.Millisecond})
		ok(t, err)
		_, err = w.Write([]byte(fmt.Sprint("image ", n)))
		ok(t, err)
		o, _, err := w.Commit(t.Context())
		ok(t, err)
		return o
	}
	hub := func(o spool.Object) { ok(t, s.AtHub(t.Context(), []spool.Receipt{{ID: o.ID, Length: o.Length}})) }
	archive := func(o spool.Object) {
		hub(o)
		ok(t, s.Archived(t.Context(), []spool.Receipt{{ID: o.ID, Length: o.Length}}))
	}
	store("waits", spool.Routine, false)
	archive(store("waits", spool.Routine, false))
	hub(store("at the hub", spool.Routine, false))
	store("urgent", spool.Urgent, false)
	archive(store("archived", spool.Routine, false))
	ok(t, s.Hold(t.Context(), func() spool.ID { o := store("held", spool.Routine, false); hub(o); return o.ID }()))
	store("fills back", spool.Backfill, false)
	last := store("a test", spool.Routine, true)
	limits := Alarms{Archive: 30 * time.Minute, ArchiveUrgent: time.Minute}
	for after, want := range map[time.Duration]lateStudies{30 * time.Second: {}, 10 * time.Minute: {urgent: 1}, time.Hour: {late: 2, urgent: 1, over: 3}} {
		if got := limits.lateIn(s, last.Received.Add(after)); got != want {
			t.Errorf("after %s: %+v, want %+v", after, got, want)
		}
	}
	a := &appliance{keeper: f.keeper, tallied: newTallied()}
	a.cfg.Alarms = limits
	if got := a.lateStudies(last.Received.Add(time.Hour)); got != (lateStudies{}) {
		t.Errorf("without a hub: %+v", got)
	}
}

// Nobody waits for the look at what is late who counts a refusal, which Store does before
// it answers.
func TestARefusalDoesNotWaitForTheLookAtLateStudies(t *testing.T) {
	a := &appliance{keeper: newKeeper(spool.Config{}, slog.New(slog.DiscardHandler), func() {}), tallied: newTallied()}
	a.tallied.late.mu.Lock() // the spool is being walked
	defer a.tallied.late.mu.Unlock()
	done := make(chan struct{})
	go func() {
		a.tallied.refuse("no_space")
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatal("a refusal waits while the spool is walked")
	}
}
