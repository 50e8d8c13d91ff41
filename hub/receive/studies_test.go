package receive_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"edged/hub/receive"
	"edged/uplink"
	"edged/uplink/uplinktest"
	"edged/uplink/wire"
)

// studies are an appliance's events, and what the hub holds of them.
type studies struct {
	mu      sync.Mutex
	waiting []uplink.StudyEvent
	news    chan struct{}
	early   []string // acknowledged and not held

	held  map[string]uint32 // by the hub
	found map[string]string // with it
	first []string          // in the order in which they were told first
	fail  int               // so many times the hub's disk is full
}

func newStudies(n int) *studies {
	s := &studies{news: make(chan struct{}), held: map[string]uint32{}, found: map[string]string{}}
	for i := range n {
		s.waiting = append(s.waiting, uplink.StudyEvent{UID: fmt.Sprintf("1.2.%03d", i), Revision: 1, Count: uint32(i), Found: fmt.Sprint("fiscal.check ", i)})
	}
	return s
}

func (s *studies) Waiting(_ context.Context, limit int) ([]uplink.StudyEvent, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.waiting[:min(limit, len(s.waiting))]), nil
}

func (s *studies) Told(_ context.Context, uid string, revision uint32) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held[uid] < revision {
		s.early = append(s.early, uid)
	}
	s.waiting = slices.DeleteFunc(s.waiting, func(e uplink.StudyEvent) bool { return e.UID == uid && e.Revision == revision })
	return nil
}

func (s *studies) Changed() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.news
}

func (s *studies) add(e uplink.StudyEvent) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting = append(s.waiting, e)
	close(s.news)
	s.news = make(chan struct{})
}

// notice is the hub's end: it fails now and then.
func (s *studies) notice(_ context.Context, device string, f wire.Frame) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := f.(*wire.Study)
	if !ok || device != "one" {
		return fmt.Errorf("%T of %s", f, device)
	}
	if s.fail > 0 && len(s.held) > 10*(4-s.fail) {
		s.fail--
		return errors.New("no space")
	}
	if s.held[e.UID] == 0 {
		s.first = append(s.first, e.UID)
	}
	s.held[e.UID], s.found[e.UID] = e.Revision, e.Found
	return nil
}

func (s *studies) wait(t *testing.T) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		s.mu.Lock()
		left := len(s.waiting)
		s.mu.Unlock()
		if left == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d studies were not told", left)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// What the hub said that it has is durable there, whatever connections end in
// between; all of it is told, in order, and nothing before it.
func TestStudiesAreToldUntilTheHubHasThem(t *testing.T) {
	overBoth(t, func(t *testing.T, w *world) {
		s := newStudies(100)
		s.fail = 3
		w.change = func(c *receive.Config) { c.Notice = s.notice }
		w.start()
		source := uplinktest.NewSource()
		w.appliance("one", source, func(c *uplink.Config) { c.Studies = s })
		s.wait(t)
		s.add(uplink.StudyEvent{UID: "1.2.007", Revision: 2, Changed: true, Count: 9, Found: strings.Repeat("x", 5000)})
		s.wait(t)
		s.mu.Lock()
		defer s.mu.Unlock()
		if len(s.early) > 0 || s.fail > 0 || s.held["1.2.007"] != 2 {
			t.Errorf("acknowledged without being held %v, failures left %d, revision of the changed one %d", s.early, s.fail, s.held["1.2.007"])
		}
		if s.found["1.2.008"] != "fiscal.check 8" || s.found["1.2.007"] != strings.Repeat("x", 1000) {
			t.Errorf("found %q, and of one without bound %d bytes", s.found["1.2.008"], len(s.found["1.2.007"]))
		}
		if !slices.IsSorted(s.first) || len(s.first) != 100 {
			t.Errorf("told in another order: %v", s.first)
		}
	})
}

// A hub that nobody asks for studies says nothing about them; objects go on.
func TestAHubWithoutStudiesKeepsTheOrderOfObjects(t *testing.T) {
	overBoth(t, func(t *testing.T, w *world) {
		w.start()
		source, s := uplinktest.NewSource(), newStudies(40)
		for i := range 20 {
			source.Add(uint64(i), 1000, wire.Routine)
		}
		w.appliance("one", source, func(c *uplink.Config) { c.Studies = s })
		waitFor(t, source, uplinktest.Archived)
		if left, _ := s.Waiting(t.Context(), 100); len(left) != 40 {
			t.Errorf("%d of 40 wait, and nobody has said anything", len(left))
		}
	})
}
