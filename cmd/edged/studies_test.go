package main

import (
	"context"
	"reflect"
	"testing"
	"time"

	"edged/spool"
	"edged/uplink"
)

// commitOne stores one object of a group.
func commitOne(t *testing.T, s *spool.Spool, group, content string, test bool) {
	t.Helper()
	w, err := s.Create(spool.New{Group: group, Seed: []byte("seed"), Test: test, Quiet: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte(content)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.Commit(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// A study that came to rest waits for the hub until that knows, over the events of
// test objects, which nobody is told of, and wakes whoever tells.
func TestACompleteStudyWaitsForTheHub(t *testing.T) {
	s, f := openFeed(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	e := newStudyEvents(f.keeper)
	parts := newGroup(ctx)
	for _, part := range []func(context.Context) error{s.Run, e.run} {
		parts.Go(part)
	}
	defer func() { cancel(); parts.Wait() }()
	commitOne(t, s, "1.2.9", "test", true)
	commitOne(t, s, "1.2.3", "one", false)
	commitOne(t, s, "1.2.3", "two", false)
	commitOne(t, s, "", "no header", false)
	want := []uplink.StudyEvent{{UID: "1.2.3", Revision: 1, Count: 2}}
	if got := awaitEvents(t, e); !reflect.DeepEqual(got, want) {
		t.Fatalf("%+v wait, want %+v", got, want)
	}
	if err := e.Told(ctx, "1.2.3", 7); err != nil {
		t.Fatal(err)
	}
	if got, _ := e.Waiting(ctx, 10); !reflect.DeepEqual(got, want) {
		t.Errorf("another revision ends it: %+v", got)
	}
	if err := e.Told(ctx, "1.2.3", 1); err != nil {
		t.Fatal(err)
	}
	if err := e.Told(ctx, "1.2.99", 1); err != nil {
		t.Errorf("a study that is not here: %v", err)
	}
	if got, err := e.Waiting(ctx, 10); err != nil || len(got) > 0 {
		t.Errorf("%+v wait, %v", got, err)
	}
	changed := e.Changed()
	commitOne(t, s, "1.2.3", "late", false)
	select {
	case <-changed:
	case <-time.After(20 * time.Second):
		t.Fatal("nobody is woken by a late object")
	}
	if got := awaitEvents(t, e); len(got) != 1 || got[0] != (uplink.StudyEvent{UID: "1.2.3", Revision: 2, Changed: true, Count: 3}) {
		t.Errorf("after a late object: %+v", got)
	}
}

func awaitEvents(t *testing.T, e *studyEvents) []uplink.StudyEvent {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); {
		changed := e.Changed()
		got, err := e.Waiting(t.Context(), 10)
		if err != nil {
			t.Fatal(err)
		}
		if len(got) > 0 {
			return got
		}
		select {
		case <-changed:
		case <-time.After(100 * time.Millisecond):
		}
	}
	t.Fatal("no event")
	return nil
}
