package main

import (
	"context"
	"reflect"
	"sync/atomic"
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

// What is found in a study is told with it: one whose findings are not known yet waits for
// them, keeps nobody else waiting, and wakes whoever tells.
func TestAStudyIsToldWithItsFindings(t *testing.T) {
	s, f := openFeed(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	e := newStudyEvents(f.keeper)
	var read atomic.Bool
	e.found = func(group string) (string, bool) {
		if group == "1.2.3" {
			return "fiscal.check 1", read.Load()
		}
		return "", true
	}
	parts := newGroup(ctx)
	for _, part := range []func(context.Context) error{s.Run, e.run} {
		parts.Go(part)
	}
	defer func() { cancel(); parts.Wait() }()
	commitOne(t, s, "1.2.3", "one", false)
	commitOne(t, s, "1.2.4", "two", false)
	other := uplink.StudyEvent{UID: "1.2.4", Revision: 1, Count: 1}
	if got := awaitEvents(t, e); !reflect.DeepEqual(got, []uplink.StudyEvent{other}) {
		t.Fatalf("%+v", got)
	}
	// All has come to rest now, and nothing more happens in the spool.
	time.Sleep(time.Second)
	changed := e.Changed()
	if got, err := e.Waiting(ctx, 10); err != nil || !reflect.DeepEqual(got, []uplink.StudyEvent{other}) {
		t.Fatalf("%+v, %v", got, err)
	}
	read.Store(true)
	select {
	case <-changed:
	case <-time.After(20 * time.Second):
		t.Fatal("nobody is woken when the findings are known")
	}
	want := []uplink.StudyEvent{{UID: "1.2.3", Revision: 1, Count: 1, Found: "fiscal.check 1"}, other}
	if got, err := e.Waiting(ctx, 10); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, err)
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
