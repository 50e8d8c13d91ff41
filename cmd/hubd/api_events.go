package main

import (
	"net/http"
	"slices"

	"edged/hub/ledger"
)

// EventList is what sinks were not told yet, and what they refuse.
type EventList struct {
	Studies int64          `json:"studies_waiting"` // for an event
	Sinks   []EventSink    `json:"sinks"`
	Refused []RefusedEvent `json:"refused"` // at most 500
}

// EventSink is one receiver of study events.
type EventSink struct {
	Name    string  `json:"name"`
	Waiting int64   `json:"waiting"`
	Oldest  float64 `json:"oldest_waiting_seconds"`
	Refused int64   `json:"refused"`
	Words   string  `json:"words,omitempty"` // of the last failure, for operators
}

// RefusedEvent is one that a sink does not take; no time changes that.
type RefusedEvent struct {
	Sink     string `json:"sink"`
	Study    string `json:"study_instance_uid"`
	Revision int64  `json:"revision"`
	Attempts int    `json:"attempts"`
	Words    string `json:"words,omitempty"` // for operators
}

func (c *console) eventList(r *request) (any, error) {
	names := c.h.cfg.Events.sinkNames()
	stats, err := c.h.ledger.EventStats(r.Context(), names)
	if err != nil {
		return nil, err
	}
	failed, err := c.h.ledger.FailedDeliveries(r.Context(), maxLimit)
	if err != nil {
		return nil, err
	}
	words := func(s string) string {
		if r.role < operator {
			return ""
		}
		return s
	}
	out := EventList{stats.Studies, []EventSink{}, []RefusedEvent{}}
	for _, name := range names {
		s := stats.Sinks[name]
		out.Sinks = append(out.Sinks, EventSink{name, s.Waiting, s.Oldest.Seconds(), s.Failed, words(s.Words)})
	}
	for _, f := range failed {
		out.Refused = append(out.Refused, refusedEvent(f, words(f.Words)))
	}
	return out, nil
}

func refusedEvent(f ledger.FailedDelivery, words string) RefusedEvent {
	return RefusedEvent{f.Sink, f.Study, int64(f.Revision), f.Attempts, words}
}

func (c *console) retryEvents(r *request) (any, error) {
	sink := r.PathValue("sink")
	if !slices.Contains(c.h.cfg.Events.sinkNames(), sink) {
		return nil, notFound("the configuration has no sink of this name")
	}
	n, err := c.h.ledger.RetryDeliveries(r.Context(), sink, r.who())
	return Done{Done: int(n)}, err
}

var eventOperations = []operation{
	{id: "events", method: http.MethodGet, path: "/events", min: viewer, summary: "What the receivers of study events were not told yet, and what they refuse.", answer: EventList{}, do: (*console).eventList},
	{id: "retryEvents", method: http.MethodPost, path: "/events/{sink}/retry", min: operator, summary: "Tell a sink again what it had refused.", answer: Done{}, do: (*console).retryEvents},
}
