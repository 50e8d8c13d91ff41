package events

import (
	"bufio"
	"compress/gzip"
	"context"
	"encoding/json"
	"io"
	"slices"
	"strconv"
	"time"

	"edged/hub/ledger"
)

// Format and Version begin every event. A field that is added does not raise the
// version, one that changes its meaning or goes does.
const (
	Format  = "edged-study-event"
	Version = 1
)

// head is the first part of an event.
type head struct {
	Format     string      `json:"format"`
	Version    int         `json:"version"`
	Study      string      `json:"study_instance_uid"`
	Kind       string      `json:"kind"` // complete | changed
	Revision   uint32      `json:"revision"`
	At         string      `json:"at"`
	Ledger     string      `json:"ledger"`
	Appliances []appliance `json:"appliances"`
}

type appliance struct {
	ID       string `json:"id"`
	Facility string `json:"facility"`
	Revision uint32 `json:"revision"` // of what it said; 0: nothing
	Counts   int64  `json:"counts"`   // objects of the study, in that
	Received int64  `json:"received"` // of it
}

// seriesHead begins a series; its instances follow.
type seriesHead struct {
	UID        string            `json:"series_instance_uid"` // "": not known
	Modality   string            `json:"modality"`
	Attributes []json.RawMessage `json:"-"`
}

// instance is one object.
type instance struct {
	SOPInstance    string        `json:"sop_instance_uid"`
	SOPClass       string        `json:"sop_class_uid"`
	TransferSyntax string        `json:"transfer_syntax_uid"`
	ID             string        `json:"id"`
	Length         int64         `json:"length"`
	State          string        `json:"state"`
	ReceivedAt     string        `json:"received_at"`
	ArchivedAt     string        `json:"archived_at,omitempty"`
	Destinations   []destination `json:"destinations"`
	Number         string        `json:"instance_number,omitempty"`
	Frames         *int64        `json:"number_of_frames,omitempty"`
	Rows           *int64        `json:"rows,omitempty"`
	Columns        *int64        `json:"columns,omitempty"`
	Identifiers    *int          `json:"identifiers,omitempty"` // index
	Attributes     *int          `json:"attributes,omitempty"`  // index, of its series
	Held           string        `json:"held_because,omitempty"`
	Problem        string        `json:"problem,omitempty"`
}

type destination struct {
	Name  string `json:"name"`
	State string `json:"state"` // done | waiting | held | refused | unconfirmed
}

// identifiers are what headers say of patient and study, and in how many instances.
type identifiers struct {
	Instances  int64           `json:"instances"`
	Attributes json.RawMessage `json:"attributes"`
}

// totals end an event. States add up to Instances.
type totals struct {
	Series    int64            `json:"series"`
	Instances int64            `json:"instances"`
	Bytes     int64            `json:"bytes"` // of data sets
	States    map[string]int64 `json:"states"`
	Missing   int64            `json:"missing"` // that appliances count and did not send
	Problems  int64            `json:"problems"`
}

// manifest writes an event, one object after the other.
type manifest struct {
	w       *bufio.Writer
	err     error
	headers map[int64]string
	totals  totals

	whole map[int64]int // index of headers in identifiers
	ids   []identifiers

	series string // the one that is open
	open   bool
	part   map[int64]int // index of headers in its attributes
	parts  []json.RawMessage
	count  int64
}

// write makes the event and packs it.
func (e *Events) write(ctx context.Context, ev ledger.Event, to io.Writer) error {
	h, missing, err := e.head(ctx, ev)
	if err != nil {
		return err
	}
	headers, err := e.c.Ledger.Headers(ctx, ev.Study)
	if err != nil {
		return err
	}
	packed := gzip.NewWriter(to)
	m := &manifest{w: bufio.NewWriter(packed), headers: headers, whole: map[int64]int{}}
	m.totals = totals{States: map[string]int64{}, Missing: missing}
	begin, _ := json.Marshal(h)
	m.raw(string(begin[:len(begin)-1]) + `,"series":[`)
	if err := e.c.Ledger.ListEvent(ctx, ev, m.object); err != nil {
		return err
	}
	m.endSeries()
	m.raw(`],"identifiers":`)
	if m.ids == nil {
		m.ids = []identifiers{}
	}
	m.json(m.ids)
	m.raw(`,"totals":`)
	m.json(m.totals)
	m.raw("}\n")
	if m.err == nil {
		m.err = m.w.Flush()
	}
	if m.err == nil {
		m.err = packed.Close()
	}
	return m.err
}

func (e *Events) head(ctx context.Context, ev ledger.Event) (h head, missing int64, err error) {
	h = head{Format: Format, Version: Version, Study: ev.Study, Kind: kind(ev), Revision: ev.Revision, At: instant(ev.At), Appliances: []appliance{}}
	if h.Ledger, _, err = e.c.Ledger.Identity(ctx); err != nil {
		return h, 0, err
	}
	said, err := e.c.Ledger.SaidOf(ctx, ev)
	for _, s := range said {
		h.Appliances = append(h.Appliances, appliance{s.Device, s.Facility, s.Revision, s.Counts, s.Received})
		missing += max(0, s.Counts-s.Received)
	}
	return h, missing, err
}

func kind(ev ledger.Event) string {
	if ev.Revision > 1 {
		return "changed"
	}
	return "complete"
}

func instant(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

func (m *manifest) raw(s string) {
	if m.err == nil {
		_, m.err = m.w.WriteString(s)
	}
}

func (m *manifest) json(v any) {
	b, err := json.Marshal(v)
	if m.err == nil {
		m.err = err
	}
	m.raw(string(b))
}

// object writes one, which begins a series if it is of another one.
func (m *manifest) object(o *ledger.Listed) error {
	if !m.open || m.series != o.Series {
		m.endSeries()
		m.beginSeries(o)
	} else {
		m.raw(",")
	}
	m.count++
	i := m.instance(o)
	m.totals.Instances++
	m.totals.Bytes += o.Length
	m.totals.States[i.State]++
	if i.Problem != "" {
		m.totals.Problems++
	}
	m.json(i)
	return m.err
}

func (m *manifest) beginSeries(o *ledger.Listed) {
	if m.totals.Series > 0 {
		m.raw(",")
	}
	m.open, m.series, m.part, m.parts, m.count = true, o.Series, map[int64]int{}, []json.RawMessage{}, 0
	m.totals.Series++
	begin, _ := json.Marshal(seriesHead{UID: o.Series, Modality: o.Modality})
	m.raw(string(begin[:len(begin)-1]) + `,"objects":[`)
}

func (m *manifest) endSeries() {
	if !m.open {
		return
	}
	m.open = false
	m.raw(`],"instances":` + strconv.FormatInt(m.count, 10) + `,"attributes":`)
	m.json(m.parts)
	m.raw("}")
}

func (m *manifest) instance(o *ledger.Listed) instance {
	var mine own
	_ = json.Unmarshal([]byte(o.Own), &mine) // we wrote it; "" says nothing
	i := instance{
		SOPInstance: o.Names.SOPInstance, SOPClass: o.Names.SOPClass, TransferSyntax: o.Names.TransferSyntax, ID: o.ID.String(), Length: o.Length,
		State: state(o), ReceivedAt: instant(o.Received), Number: mine.Number, Frames: number(mine.Frames), Rows: number(mine.Rows), Columns: number(mine.Columns),
		Problem: o.Problem, Destinations: []destination{},
	}
	if !o.Archived.IsZero() {
		i.ArchivedAt = instant(o.Archived)
	}
	if i.State == "held" {
		i.Held = map[int64]string{1: "conflict", 2: "finding", 3: "conflict, finding"}[o.Hold]
	}
	for _, d := range o.Destinations {
		i.Destinations = append(i.Destinations, destination{d.Destination, cmpState(d.State)})
	}
	i.Identifiers = m.index(m.whole, o.Whole, func(text string) { m.ids = append(m.ids, identifiers{0, json.RawMessage(text)}) })
	if i.Identifiers != nil {
		m.ids[*i.Identifiers].Instances++
	}
	i.Attributes = m.index(m.part, o.Part, func(text string) { m.parts = append(m.parts, json.RawMessage(text)) })
	return i
}

// index is where a header stands among those that are told, nil where there is none.
func (m *manifest) index(known map[int64]int, header int64, add func(string)) *int {
	text := m.headers[header]
	if text == "" {
		return nil
	}
	n, ok := known[header]
	if !ok {
		n = len(known)
		known[header] = n
		add(text)
	}
	return &n
}

func number(s string) *int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return nil
	}
	return &n
}

func cmpState(state string) string {
	switch state {
	case "pending", "leased", "stored":
		return "waiting"
	case "permanent":
		return "refused"
	}
	return state
}

// state is how far an object has come, in one word.
func state(o *ledger.Listed) string {
	in := func(state string) bool {
		return slices.ContainsFunc(o.Destinations, func(r ledger.Reached) bool { return r.State == state })
	}
	switch {
	case !o.Archived.IsZero():
		return "archived"
	case o.Lost:
		return "lost"
	case in("held"):
		return "held"
	case in("permanent"):
		return "refused"
	case in("unconfirmed"):
		return "unconfirmed"
	case o.Unrouted:
		return "unrouted"
	}
	return "received"
}
