package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"edged/hub"
	"edged/hub/events"
	"edged/hub/ledger"
	"edged/hub/receive"
	"edged/uplink/wire"
)

// makeEvents makes who tells others of studies.
func (h *theHub) makeEvents(context.Context) error {
	// What names a person stays no longer than the receipts of its study do as rows.
	c := events.Config{Ledger: h.ledger, Received: h.cfg.Events.When == "received", Keep: h.cfg.Receipts.FoldAfter, Logger: h.log}
	c.Open = func(id hub.ID) (events.Object, error) { return h.objects.Open(id) }
	for _, s := range h.cfg.Events.Sinks {
		if s.Type == "file" {
			c.Sinks = append(c.Sinks, events.NewFile(s.Name, s.Path))
			continue
		}
		secret, err := s.secret()
		if err != nil {
			return err
		}
		cas, err := s.cas()
		if err != nil {
			return err
		}
		c.Sinks = append(c.Sinks, events.NewHTTP(events.HTTPConfig{Name: s.Name, URL: s.URL, Secret: secret, Timeout: s.Timeout, CAs: cas}))
	}
	h.events = events.New(c)
	return nil
}

// warnings say that somebody has to look at a sink, or at how it is configured.
func (k SinkStatus) warnings() (words []string) {
	if k.Failed > 0 {
		words = append(words, fmt.Sprintf("sink %s has refused %d study events for good: hubd events ls", k.Name, k.Failed))
	}
	if k.Waiting > 0 && k.OldestSeconds > stuckAfter.Seconds() {
		one := fmt.Sprintf("sink %s: a study event waits for it for %s", k.Name, time.Duration(k.OldestSeconds*float64(time.Second)).Round(time.Minute))
		if k.LastWords != "" {
			one += "; last heard: " + k.LastWords
		}
		words = append(words, one)
	}
	return words
}

// notice keeps what an appliance says about studies and objects, durable on return.
func (h *theHub) notice(ctx context.Context, device string, f wire.Frame) error {
	switch f := f.(type) {
	case *wire.Study:
		if f.State == wire.StudyOpen {
			return nil
		}
		err := h.ledger.SayStudy(ctx, device, f.UID, f.Revision, f.State == wire.StudyComplete, f.Count, foundCodes(f.Found))
		if errors.Is(err, ledger.ErrStudies) { // to end its connection would stop its objects
			h.log.Warn("what an appliance says of a study is not kept", "device", device, "err", err)
			return receive.ErrNotKept
		}
		return err
	case *wire.Findings:
		list := make([]hub.Finding, len(f.Findings))
		for i, one := range f.Findings {
			list[i] = hub.Finding{ID: hub.ID(one.ID), Flags: one.Flags, Words: foundWords(one.Words)}
		}
		err := h.ledger.Findings(ctx, device, list)
		if errors.Is(err, ledger.ErrFindings) { // to end its connection would stop its objects
			h.log.Warn("findings of an appliance are not kept", "device", device, "err", err)
			return nil
		}
		return err
	case *wire.Release:
		ids := make([]hub.ID, len(f.IDs))
		for i, id := range f.IDs {
			ids[i] = hub.ID(id)
		}
		n, err := h.ledger.ReleaseFrom(ctx, device, ids, f.Reason)
		if err == nil {
			h.log.Info("an appliance released objects", "device", device, "objects", n, "of", len(ids))
		}
		return err
	}
	return nil
}
