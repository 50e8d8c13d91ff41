package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"edged/hub"
	"edged/hub/ledger"
	"edged/internal/dicom"
)

// Trouble is a job that waits for a person.
type Trouble struct {
	ID          string    `json:"id"` // of the object
	Destination string    `json:"destination"`
	State       string    `json:"state" enum:"held,permanent,unconfirmed,lost"` // held | permanent | unconfirmed | lost
	Means       string    `json:"means"`
	SOPInstance string    `json:"sop_instance_uid"`
	Study       string    `json:"study_instance_uid"`
	Appliance   string    `json:"appliance"`
	Facility    string    `json:"facility"`
	Words       string    `json:"words,omitempty"` // for operators: what an archive says may name a patient
	Attempts    int       `json:"attempts"`
	Bytes       int64     `json:"bytes"`
	ReceivedAt  time.Time `json:"received_at"`
}

var troubleStates = []string{"held", "permanent", "unconfirmed", "lost"}

// troubleMeans says what the states are, and what to do.
var troubleMeans = map[string]string{
	"held":        "it waits at the hub until it is released: other contents have its SOP Instance UID, or the appliance found something in it",
	"permanent":   "the archive refuses it; tell the archive to take it, then retry",
	"unconfirmed": "the archive has answered Success, and no commitment can say which of two contents it has: compare, then confirm",
	"lost":        "the hub's copy is missing or damaged; its appliances are asked to send it again. Who has seen it in the archive may say so",
}

func (c *console) trouble(r *request) (any, error) {
	f, err := c.troubleFilter(r)
	if err != nil {
		return nil, err
	}
	return c.troublePage(r, f)
}

func (c *console) troublePage(r *request, f ledger.TroubleFilter) (any, error) {
	limit, err := r.limit()
	if err != nil {
		return nil, err
	}
	var after int64
	if err := r.after(&after); err != nil {
		return nil, err
	}
	rows, err := c.h.ledger.TroublePage(r.Context(), f, after, limit+1)
	if err != nil {
		return nil, err
	}
	show := func(t ledger.TroubleRow) Trouble {
		out := Trouble{t.ID.String(), t.Destination, t.State, troubleMeans[t.State], t.SOPInstance, t.Study, t.Device, t.Facility, t.Words, t.Attempts, t.Length, t.Received}
		if r.role < operator {
			out.Words = ""
		}
		return out
	}
	return next(rows, limit, func(t ledger.TroubleRow) string { return cursor(t.Seq) }, show), nil
}

// troubleFilter takes no words from the query: an archive's may name a patient, and URLs
// stay in logs and histories.
func (c *console) troubleFilter(r *request) (ledger.TroubleFilter, error) {
	if r.values.Has("words") {
		return ledger.TroubleFilter{}, bad("words: not in a URL, which logs keep: POST them to /trouble/search")
	}
	q, err := r.texts("destination", "state", "appliance")
	if err != nil {
		return ledger.TroubleFilter{}, err
	}
	return ledger.TroubleFilter{Destination: q["destination"], State: q["state"], Device: q["appliance"]}, oneOf("state", q["state"], troubleStates...)
}

// SearchBody says what to find among the trouble; empty ones find any.
type SearchBody struct {
	Destination string `json:"destination,omitempty"`
	State       string `json:"state,omitempty" enum:"held,permanent,unconfirmed,lost"`
	Appliance   string `json:"appliance,omitempty"`
	Words       string `json:"words,omitempty"` // stand in what the archive said
	Limit       string `json:"limit,omitempty"`
	Cursor      string `json:"cursor,omitempty"`
}

// search is trouble with words.
func (c *console) search(r *request) (any, error) {
	var b SearchBody
	if err := r.decode(&b); err != nil {
		return nil, err
	}
	r.values = url.Values{"destination": {b.Destination}, "state": {b.State}, "appliance": {b.Appliance}, "limit": {b.Limit}, "cursor": {b.Cursor}}
	f, err := c.troubleFilter(r)
	if err != nil {
		return nil, err
	}
	if f.Words, err = meant(b.Words); err != nil {
		return nil, err
	}
	return c.troublePage(r, f)
}

// leastWords keeps "0" from standing in everything.
const leastWords = 3

// meant are words that somebody typed to be found.
func meant(words string) (string, error) {
	words = strings.TrimSpace(words)
	if words == "" {
		return "", nil
	}
	if utf8.RuneCountInString(words) < leastWords || len(words) > maxText || strings.ContainsRune(words, 0) {
		return "", bad("words: want %d characters at least, %d bytes at most, and no zero byte", leastWords, maxText)
	}
	return words, nil
}

// settle is what frees a job, and from which state.
type settle struct {
	from string
	do   func(*ledger.Ledger, context.Context, hub.ID, string) error
}

var settles = map[string]settle{
	"release": {"held", (*ledger.Ledger).Release},
	"retry":   {"permanent", (*ledger.Ledger).Retry},
	"confirm": {"unconfirmed", (*ledger.Ledger).Confirm},
}

// one frees the jobs of one object.
func one(what string) func(*console, *request) (any, error) {
	return func(c *console, r *request) (any, error) {
		id, err := dicom.ParseID(r.PathValue("id"))
		if err != nil {
			return nil, bad("%v", err)
		}
		if err := settles[what].do(c.h.ledger, r.Context(), id, r.who()); err != nil {
			return nil, c.settleProblem(err)
		}
		return Done{Done: 1}, nil
	}
}

// SeenBody says who has seen a lost object in the archive.
type SeenBody struct {
	Seen        string `json:"seen"`                  // who, where and when, for the trail
	Destination string `json:"destination,omitempty"` // where it was seen; needed when it is lost for several
}

// maxSeen bounds what stands in the trail for ever.
const maxSeen = 500

func (c *console) confirmLost(r *request) (any, error) {
	id, err := dicom.ParseID(r.PathValue("id"))
	if err != nil {
		return nil, bad("%v", err)
	}
	var b SeenBody
	if err := r.decode(&b); err != nil {
		return nil, err
	}
	if b.Seen = strings.TrimSpace(b.Seen); b.Seen == "" || len(b.Seen) > maxSeen || strings.ContainsRune(b.Seen, 0) {
		return nil, bad("seen: say who has seen the image in the archive, where and when, in %d bytes at most and without a zero byte: it stands in the audit trail", maxSeen)
	}
	if err := c.h.ledger.ConfirmLost(r.Context(), id, b.Destination, r.who(), b.Seen); err != nil {
		return nil, c.settleProblem(err)
	}
	return Done{Done: 1}, nil
}

// settleProblem: a job that is not in that state is what somebody else has done
// meanwhile; that a transaction failed is ours.
func (c *console) settleProblem(err error) error {
	if down := c.h.ledgerDown(); down != nil {
		return err
	}
	return refused(err)
}

// ManyBody says which jobs; at least one of them must be given.
type ManyBody struct {
	Destination string `json:"destination,omitempty"`
	Words       string `json:"words,omitempty"` // stand in what the archive said
	Appliance   string `json:"appliance,omitempty"`
	Cursor      string `json:"cursor,omitempty"` // next of the answer before; without it, from the beginning
}

// mostAtOnce bounds what one request tries to free; next says where to go on.
const mostAtOnce = 200

// many frees the jobs that match, each by itself, so that the trail has each. Those that
// cannot be freed are still there afterwards, so the next request begins behind them.
func many(what string) func(*console, *request) (any, error) {
	return func(c *console, r *request) (any, error) {
		var b ManyBody
		if err := r.decode(&b); err != nil {
			return nil, err
		}
		var err error
		if b.Words, err = meant(b.Words); err != nil {
			return nil, err
		}
		if b == (ManyBody{Cursor: b.Cursor}) {
			return nil, bad("%s of everything is not meant: name a destination, an appliance, or words that the archive said", what)
		}
		var after int64
		r.values = url.Values{"cursor": {b.Cursor}}
		if err := r.after(&after); err != nil {
			return nil, err
		}
		f := ledger.TroubleFilter{Destination: b.Destination, State: settles[what].from, Device: b.Appliance, Words: b.Words}
		rows, err := c.h.ledger.TroublePage(r.Context(), f, after, mostAtOnce+1)
		if err != nil {
			return nil, err
		}
		out := Done{}
		if out.More = len(rows) > mostAtOnce; out.More {
			out.Next = cursor(rows[mostAtOnce-1].Seq)
		}
		tried := map[hub.ID]bool{}
		for _, t := range rows[:min(len(rows), mostAtOnce)] {
			if tried[t.ID] {
				continue // it has jobs for several destinations; they are freed together
			}
			tried[t.ID] = true
			if err := settles[what].do(c.h.ledger, r.Context(), t.ID, r.who()); err == nil {
				out.Done++
			} else if len(out.Failed) < 10 {
				out.Failed = append(out.Failed, fmt.Sprintf("%.12s: %v", t.ID, err))
			}
		}
		return out, nil
	}
}

var troubleOperations = []operation{
	{id: "trouble", method: http.MethodGet, path: "/trouble", min: viewer, summary: "What no time frees: held, refused for good, not confirmable, lost.",
		query:  append([]param{{"destination", "Exactly this one."}, {"state", "held, permanent, unconfirmed or lost."}, {"appliance", "Exactly this one."}}, paging...),
		answer: page[Trouble]{}, do: (*console).trouble},
	{id: "searchTrouble", method: http.MethodPost, path: "/trouble/search", min: operator, summary: "The same by words that stand in what the archive said, which are in no URL. Changes nothing.", body: SearchBody{}, answer: page[Trouble]{}, do: (*console).search},
	{id: "release", method: http.MethodPost, path: "/trouble/{id}/release", min: operator, summary: "Let a held object go to the archive.", answer: Done{}, do: one("release")},
	{id: "retry", method: http.MethodPost, path: "/trouble/{id}/retry", min: operator, summary: "Try an object again that the archive had refused for good.", answer: Done{}, do: one("retry")},
	{id: "confirm", method: http.MethodPost, path: "/trouble/{id}/confirm", min: admin, summary: "Say, after comparing, that the archive has an object that no commitment can confirm. Appliances forget it then.", answer: Done{}, do: one("confirm")},
	{id: "confirmLost", method: http.MethodPost, path: "/trouble/{id}/confirm-lost", min: admin, summary: "Say that an object that the hub lost was seen in the archive. Appliances forget it then.", body: SeenBody{}, answer: Done{}, do: (*console).confirmLost},
	{id: "releaseMany", method: http.MethodPost, path: "/trouble/release", min: operator, summary: "Release what matches, at most 200 objects a request; next goes on.", body: ManyBody{}, answer: Done{}, do: many("release")},
	{id: "retryMany", method: http.MethodPost, path: "/trouble/retry", min: operator, summary: "Retry what matches, at most 200 objects a request; next goes on.", body: ManyBody{}, answer: Done{}, do: many("retry")},
	{id: "confirmMany", method: http.MethodPost, path: "/trouble/confirm", min: admin, summary: "Confirm what matches, at most 200 objects a request; next goes on.", body: ManyBody{}, answer: Done{}, do: many("confirm")},
}
