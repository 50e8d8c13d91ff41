package main

import (
	"net/http"
	"strconv"
	"time"

	"edged/hub/ledger"
)

// Study is what has come of one from one appliance, and is not archived whole.
type Study struct {
	Key       string    `json:"key"`                // names it in paths, so that no UID is in any log of them
	UID       string    `json:"study_instance_uid"` // "" when the appliance could not read it
	Appliance string    `json:"appliance"`
	Facility  string    `json:"facility"`
	Received  int64     `json:"received"`
	Archived  int64     `json:"archived"`
	Waiting   int64     `json:"waiting"`
	Held      int64     `json:"held"` // of the waiting ones, those that wait for a person
	Bytes     int64     `json:"waiting_bytes"`
	FirstAt   time.Time `json:"first_received_at,omitzero"`
	LastAt    time.Time `json:"last_received_at,omitzero"`
	OldestAt  time.Time `json:"oldest_waiting_at,omitzero"`
}

func studyOf(s ledger.StudyRow, key int64) Study {
	return Study{strconv.FormatInt(key, 10), s.UID, s.Device, s.Facility, s.Received, s.Received - s.Waiting, s.Waiting, s.Held, s.Bytes, s.First, s.Last, s.Oldest}
}

func (c *console) studies(r *request) (any, error) {
	limit, err := r.limit()
	if err != nil {
		return nil, err
	}
	device, err := r.text("appliance")
	if err != nil {
		return nil, err
	}
	var after int64
	if err := r.after(&after); err != nil {
		return nil, err
	}
	rows, more, err := c.h.ledger.StudyPage(r.Context(), device, after, limit)
	if err != nil {
		return nil, err
	}
	p := page[Study]{Items: []Study{}}
	for _, s := range rows {
		p.Items = append(p.Items, studyOf(s, s.Key))
	}
	if more != 0 {
		p.Next = cursor(more)
	}
	return p, nil
}

// StudyObjects is one study with its objects.
type StudyObjects struct {
	Study Study         `json:"study"`
	Items []StudyObject `json:"items"`
	Next  string        `json:"next,omitempty"`
}

// StudyObject is one object, and how far it has come.
type StudyObject struct {
	ID          string    `json:"id"`
	SOPClass    string    `json:"sop_class_uid"`
	SOPInstance string    `json:"sop_instance_uid"`
	Syntax      string    `json:"transfer_syntax_uid"`
	Calling     string    `json:"calling_ae_title"`
	Priority    string    `json:"priority" enum:"urgent,routine,backfill"` // urgent | routine | backfill
	Bytes       int64     `json:"bytes"`
	Lost        bool      `json:"lost"`
	ReceivedAt  time.Time `json:"received_at"`
	ArchivedAt  time.Time `json:"archived_at,omitzero"`
	Hops        []Hop     `json:"hops"`
}

// Hop is the way to one destination.
type Hop struct {
	Destination string    `json:"destination"`
	State       string    `json:"state" enum:"pending,leased,stored,unconfirmed,done,permanent,held"` // pending | leased | stored | unconfirmed | done | permanent | held
	Attempts    int       `json:"attempts"`
	Words       string    `json:"words,omitempty"`    // for operators
	StoredAt    time.Time `json:"stored_at,omitzero"` // answered with Success, where a commitment follows
	AskedAt     time.Time `json:"asked_at,omitzero"`  // for the commitment, last
	NextAt      time.Time `json:"next_at,omitzero"`   // tried or asked again, not before
}

var priorities = map[int]string{0: "urgent", 1: "routine", 2: "backfill"}

func (c *console) study(r *request) (any, error) {
	limit, err := r.limit()
	if err != nil {
		return nil, err
	}
	key, err := strconv.ParseInt(r.PathValue("key"), 10, 64)
	if err != nil {
		return nil, ledger.ErrNotListed
	}
	var after int64
	if err := r.after(&after); err != nil {
		return nil, err
	}
	s, err := c.h.ledger.StudyOf(r.Context(), key)
	if err != nil {
		return nil, err
	}
	rows, err := c.h.ledger.StudyObjects(r.Context(), s, after, limit+1)
	if err != nil {
		return nil, err
	}
	p := next(rows, limit, func(o ledger.ObjectRow) string { return cursor(o.Seq) }, r.object)
	return StudyObjects{studyOf(s, key), p.Items, p.Next}, nil
}

func (r *request) object(o ledger.ObjectRow) StudyObject {
	out := StudyObject{o.ID.String(), o.SOPClass, o.SOPInstance, o.Syntax, o.Calling, priorities[o.Priority], o.Length, o.Lost, o.Received, o.Archived, []Hop{}}
	for _, h := range o.Hops {
		hop := Hop{h.Destination, h.State, h.Attempts, h.Words, h.Stored, h.Asked, h.Next}
		if r.role < operator {
			hop.Words = ""
		}
		if h.State != "pending" && h.State != "stored" {
			hop.NextAt = time.Time{}
		}
		out.Hops = append(out.Hops, hop)
	}
	return out
}

var studyOperations = []operation{
	{id: "studies", method: http.MethodGet, path: "/studies", min: viewer, summary: "Studies on their way: of which something is not archived. What waits for longest is first. No names.",
		query: append([]param{{"appliance", "Exactly this one."}}, paging...), answer: page[Study]{}, do: (*console).studies},
	{id: "study", method: http.MethodGet, path: "/studies/{key}", min: viewer, summary: "One study's objects, with each one's way to each archive.", query: paging, answer: StudyObjects{}, do: (*console).study},
}
