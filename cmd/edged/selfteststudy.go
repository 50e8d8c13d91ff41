package main

import (
	"context"
	"time"

	"edged/agent/page"
	"edged/spool"
)

// sentStudy is a test study on its way.
type sentStudy struct {
	before   []page.TestStep // of its storing here
	id       spool.ID
	took     time.Duration // to store it
	stored   time.Time
	sending  time.Time // when it was first seen on its way
	atHub    time.Time
	shadow   bool
	resolved bool // it is taken out of the spool again
}

// steps say how far it is.
func (t *sentStudy) steps() []page.TestStep {
	if t.stored.IsZero() {
		return t.before
	}
	out := []page.TestStep{{ID: "received", State: page.StepOK, Took: t.took}}
	if t.shadow {
		return append(out, note("nohub", ""))
	}
	if t.sending.IsZero() {
		out = append(out, note("sent", ""))
	} else {
		out = append(out, page.TestStep{ID: "sent", State: page.StepOK, Took: t.sending.Sub(t.stored)})
	}
	if t.atHub.IsZero() {
		out = append(out, note("athub", ""))
	} else {
		out = append(out, page.TestStep{ID: "athub", State: page.StepOK, Took: t.atHub.Sub(t.stored)})
	}
	return append(out, note("archive", ""))
}

// study stores a test object and follows it to the hub, as long as somebody waits;
// then run goes on.
func (s *selfTests) study(ctx context.Context) []page.TestStep {
	s.mu.Lock()
	old := s.sent
	s.mu.Unlock()
	if old != nil && !old.stored.IsZero() {
		_ = s.forget(old.id) // it is gone, mostly
	}
	steps, id, took := s.store(ctx)
	t := &sentStudy{before: steps, id: id, took: took, shadow: len(s.a.cfg.Uplink.Hubs) == 0}
	if id != (spool.ID{}) {
		t.stored = s.now()
	}
	s.mu.Lock()
	s.sent = t
	s.mu.Unlock()
	for !s.follow() && pause(ctx, 50*time.Millisecond) {
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return t.steps()
}

// follow looks how far the test study is, and takes it out when nothing more comes. It
// says whether there is nothing to follow.
func (s *selfTests) follow() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.sent
	if t == nil || t.stored.IsZero() || t.resolved {
		return true
	}
	sp, err := s.a.keeper.get()
	if err != nil {
		return false
	}
	o, err := sp.Object(t.id)
	now := s.now()
	if err != nil {
		t.resolved = true
		return true
	}
	if t.sending.IsZero() && o.State >= spool.Sending && o.State <= spool.Archived {
		t.sending = now
	}
	if o.State == spool.AtHub || o.State == spool.Archived {
		t.atHub = now
	}
	if !t.atHub.IsZero() || t.shadow || now.Sub(t.stored) > testForgets {
		t.resolved = s.forget(t.id) == nil
	}
	return t.resolved
}

// run follows what nobody waits for any more, and takes out what a restart left.
func (s *selfTests) run(ctx context.Context) error {
	sp, err := s.a.keeper.await(ctx)
	if err != nil {
		return nil
	}
	s.sweep(ctx, sp)
	for pause(ctx, testLook) {
		s.follow()
	}
	return nil
}

// sweep takes out the test objects that are there at the start: whoever wanted to see
// where they get to is gone. Nothing is read for it: the disk is wanted for images.
func (s *selfTests) sweep(ctx context.Context, sp *spool.Spool) {
	began := s.now()
	for after := uint64(0); ctx.Err() == nil; {
		page := sp.Outline(after, pageOfObjects)
		for _, o := range page {
			after = o.Seq
			if o.Test && o.Received.Before(began) {
				_ = s.forget(o.ID) // it is small, flagged, and tried again at the next start
			}
		}
		if len(page) < pageOfObjects {
			return
		}
	}
}
