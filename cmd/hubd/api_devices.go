package main

import (
	"errors"
	"net/http"
	"slices"
	"time"

	"edged/hub/enrol"
	"edged/hub/ledger"
	"edged/internal/config"
)

// Appliance is one that has enrolled.
type Appliance struct {
	ID          string            `json:"id"`
	Facility    string            `json:"facility"`
	State       string            `json:"state" enum:"approved,revoked"` // approved | revoked
	EnrolledAt  time.Time         `json:"enrolled_at"`
	SeenAt      time.Time         `json:"seen_at,omitzero"` // to a minute
	SeenBy      string            `json:"seen_by,omitempty"`
	Connected   bool              `json:"connected"`
	Connections []ConnectedDevice `json:"connections"` // to this node
	Waiting     int64             `json:"waiting_objects"`
}

// connections by appliance.
func (c *console) connections() map[string][]ConnectedDevice {
	out := map[string][]ConnectedDevice{}
	for _, n := range c.h.receive.Connections() {
		out[n.Device] = append(out[n.Device], ConnectedDevice{n.Device, n.Carrier, n.Since, n.Bytes})
	}
	for _, all := range out {
		slices.SortFunc(all, func(a, b ConnectedDevice) int { return a.Since.Compare(b.Since) })
	}
	return out
}

// seenLately is how long ago another node may have seen who counts as connected.
const seenLately = 2 * time.Minute

func (c *console) appliance(d ledger.DeviceRow, here []ConnectedDevice, now time.Time) Appliance {
	a := Appliance{ID: d.ID, Facility: d.Facility, State: "approved", EnrolledAt: d.Enrolled, SeenAt: d.Seen, SeenBy: d.SeenBy, Connections: here, Waiting: d.Waiting}
	if !d.Approved {
		a.State = "revoked"
	}
	if here == nil {
		a.Connections = []ConnectedDevice{}
	}
	a.Connected = len(here) > 0 || d.SeenBy != c.h.cfg.nodeID() && now.Sub(d.Seen) < seenLately
	if len(here) > 0 {
		a.SeenAt, a.SeenBy = now, c.h.cfg.nodeID()
	}
	return a
}

// applianceRounds bounds the rows that are looked at for a page of connected, or
// not connected, appliances.
const applianceRounds = 40

func (c *console) appliances(r *request) (any, error) {
	limit, err := r.limit()
	if err != nil {
		return nil, err
	}
	q, err := r.texts("search", "facility", "state", "connected", "quiet")
	if err != nil {
		return nil, err
	}
	if err := errors.Join(oneOf("state", q["state"], "approved", "revoked"), oneOf("connected", q["connected"], "yes", "no")); err != nil {
		return nil, bad("%v", err)
	}
	f := ledger.DeviceFilter{Search: q["search"], Facility: q["facility"], State: q["state"]}
	if q["quiet"] != "" {
		d, err := config.ParseDuration(q["quiet"])
		if err != nil || d <= 0 {
			return nil, bad("quiet %q: want a time, as 1h or 7d", q["quiet"])
		}
		f.Quiet = time.Now().Add(-d)
	}
	after := ""
	if err := r.after(&after); err != nil {
		return nil, err
	}
	return c.appliancesAfter(r, f, q["connected"], after, limit)
}

func (c *console) appliancesAfter(r *request, f ledger.DeviceFilter, connected, after string, limit int) (any, error) {
	here, now := c.connections(), time.Now()
	out := page[Appliance]{Items: []Appliance{}}
	for range applianceRounds {
		rows, err := c.h.ledger.DevicePage(r.Context(), f, after, limit+1)
		if err != nil {
			return nil, err
		}
		for _, d := range rows[:min(len(rows), limit)] {
			if len(out.Items) == limit {
				out.Next = cursor(after)
				return out, nil
			}
			after = d.ID
			if a := c.appliance(d, here[d.ID], now); connected == "" || a.Connected == (connected == "yes") {
				out.Items = append(out.Items, a)
			}
		}
		if len(rows) <= limit {
			return out, nil
		}
	}
	out.Next = cursor(after)
	return out, nil
}

func (c *console) oneAppliance(r *request) (any, error) {
	d, err := c.h.ledger.DeviceRow(r.Context(), r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	return c.appliance(d, c.connections()[d.ID], time.Now()), nil
}

func (c *console) setApproved(r *request, approved bool) (any, error) {
	id := r.PathValue("id")
	if err := c.h.ledger.SetApproved(r.Context(), id, approved, r.who()); err != nil {
		return nil, err
	}
	return c.oneAppliance(r)
}

// Code is a claim code without its secret.
type Code struct {
	ID          string    `json:"id"`
	Facility    string    `json:"facility"`
	State       string    `json:"state" enum:"open,used,expired,cancelled"` // open | used | expired | cancelled
	CreatedAt   time.Time `json:"created_at"`
	ExpiresAt   time.Time `json:"expires_at"`
	UsedAt      time.Time `json:"used_at,omitzero"`
	CancelledAt time.Time `json:"cancelled_at,omitzero"`
	Appliance   string    `json:"appliance,omitempty"` // who has used it
}

func codeOf(k ledger.Code) Code {
	out := Code{ID: k.ID, Facility: k.Facility, State: "open", CreatedAt: k.Created, ExpiresAt: k.Expires, UsedAt: k.Used, CancelledAt: k.Cancelled, Appliance: k.Device}
	switch {
	case !k.Used.IsZero():
		out.State = "used"
	case !k.Cancelled.IsZero():
		out.State = "cancelled"
	case !k.Expires.After(time.Now()):
		out.State = "expired"
	}
	return out
}

func (c *console) codes(r *request) (any, error) {
	limit, err := r.limit()
	if err != nil {
		return nil, err
	}
	open, err := r.text("open")
	if err != nil {
		return nil, err
	}
	if err := oneOf("open", open, "yes"); err != nil {
		return nil, err
	}
	var at int64
	var mark ledger.CodeMark
	if err := r.after(&at, &mark.ID); err != nil {
		return nil, err
	}
	if at != 0 {
		mark.Created = time.UnixMilli(at)
	}
	rows, err := c.h.ledger.Codes(r.Context(), open == "yes", mark, limit+1)
	if err != nil {
		return nil, err
	}
	return next(rows, limit, func(k ledger.Code) string { return cursor(k.Created.UnixMilli(), k.ID) }, codeOf), nil
}

// NewCodeBody asks for a claim code.
type NewCodeBody struct {
	Facility string `json:"facility"`
	TTL      string `json:"ttl,omitempty"` // as 12h or 7d, the default
}

// NewCode is shown this once.
type NewCode struct {
	Code      string    `json:"code"`
	Facility  string    `json:"facility"`
	ExpiresAt time.Time `json:"expires_at"`
}

func (c *console) newCode(r *request) (any, error) {
	var b NewCodeBody
	if err := r.decode(&b); err != nil {
		return nil, err
	}
	if b.TTL == "" {
		b.TTL = "7d"
	}
	ttl, err := codeWishes(b.Facility, b.TTL)
	if err != nil {
		return nil, bad("%v", err)
	}
	ca, err := openCA(r.Context(), c.h.cfg, c.h.ledger) // never another one than the rows are about
	if err != nil {
		c.h.log.Error("no claim code: the CA cannot be opened", "err", err)
		return nil, unavailable("the hub's CA cannot be read, and a code carries its mark")
	}
	code, expires, err := enrol.NewCode(r.Context(), enrol.Config{Authority: ca, Store: c.h.ledger}, b.Facility, ttl, r.who())
	if err != nil {
		return nil, err
	}
	return NewCode{code.String(), b.Facility, expires}, nil
}

func (c *console) cancelCode(r *request) (any, error) {
	id := r.PathValue("id")
	if err := c.h.ledger.CancelCode(r.Context(), id, r.who()); err != nil {
		return nil, err
	}
	return Done{Done: 1}, nil
}

// Done is how many rows a change was about.
type Done struct {
	Done   int      `json:"done"`
	Failed []string `json:"failed,omitempty"` // why, at most ten
	More   bool     `json:"more"`             // there are more that match: ask again, with next as cursor
	Next   string   `json:"next,omitempty"`
}

var applianceOperations = []operation{
	{id: "appliances", method: http.MethodGet, path: "/appliances", min: viewer, summary: "The appliances that have enrolled, by id.",
		query: append([]param{{"search", "Stands in the id or in the code of the facility, in capitals or not."}, {"facility", "Exactly this facility."},
			{"state", "approved or revoked."}, {"connected", "yes or no."}, {"quiet", "Not seen for so long, as 1h or 7d."}}, paging...),
		answer: page[Appliance]{}, do: (*console).appliances},
	{id: "appliance", method: http.MethodGet, path: "/appliances/{id}", min: viewer, summary: "One appliance.", answer: Appliance{}, do: (*console).oneAppliance},
	{id: "approve", method: http.MethodPost, path: "/appliances/{id}/approve", min: operator, summary: "Let a revoked appliance come back.", answer: Appliance{},
		do: func(c *console, r *request) (any, error) { return c.setApproved(r, true) }},
	{id: "revoke", method: http.MethodPost, path: "/appliances/{id}/revoke", min: operator, summary: "Let an appliance in no more.", answer: Appliance{},
		do: func(c *console, r *request) (any, error) { return c.setApproved(r, false) }},
	{id: "codes", method: http.MethodGet, path: "/codes", min: operator, summary: "Claim codes, the latest first, without their secrets.",
		query: append([]param{{"open", "yes: those alone that can still be used."}}, paging...), answer: page[Code]{}, do: (*console).codes},
	{id: "newCode", method: http.MethodPost, path: "/codes", min: operator, summary: "Make a claim code for one appliance. It is in this answer and nowhere else.", body: NewCodeBody{}, answer: NewCode{}, do: (*console).newCode},
	{id: "cancelCode", method: http.MethodPost, path: "/codes/{id}/cancel", min: operator, summary: "End a claim code that nobody has used.", answer: Done{}, do: (*console).cancelCode},
}
