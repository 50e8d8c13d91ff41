package main

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"time"

	"edged/hub/ledger"
)

// AuditEntry is one row of the trail.
type AuditEntry struct {
	Seq     int64     `json:"seq"`
	At      time.Time `json:"at"`
	Actor   string    `json:"actor"`            // token:NAME, cli:USER, an appliance, hubd
	Origin  string    `json:"origin,omitempty"` // the address that it came from
	Action  string    `json:"action"`
	Subject string    `json:"subject"`
	Detail  string    `json:"detail,omitempty"`
	Hash    string    `json:"hash,omitempty"` // of this row and the one before
}

func entryOf(e ledger.Entry) AuditEntry {
	return AuditEntry{e.Seq, e.At.UTC(), e.Actor, e.Origin, e.Action, e.Subject, e.Detail, hex.EncodeToString(e.Hash)}
}

func (c *console) audit(r *request) (any, error) {
	limit, err := r.limit()
	if err != nil {
		return nil, err
	}
	q, err := r.texts("actor", "action", "subject")
	if err != nil {
		return nil, err
	}
	var before int64
	if err := r.after(&before); err != nil {
		return nil, err
	}
	rows, more, err := c.h.ledger.AuditPage(r.Context(), ledger.AuditFilter{Actor: q["actor"], Action: q["action"], Subject: q["subject"]}, before, limit)
	if err != nil {
		return nil, err
	}
	p := page[AuditEntry]{Items: []AuditEntry{}}
	for _, e := range rows {
		p.Items = append(p.Items, entryOf(e))
	}
	if more > 0 {
		p.Next = cursor(more)
	}
	return p, nil
}

// exportAudit notes first that it is taken: whoever takes the trail away is in it.
func (c *console) exportAudit(r *request) (any, error) {
	if err := c.h.ledger.Audit(r.Context(), r.who(), "audit export", "audit", ""); err != nil {
		return nil, err
	}
	return stream{kind: "application/jsonl", name: "hubd-audit.jsonl", write: func(w io.Writer) error {
		return writeAudit(w, func(do func(*ledger.Entry) error) error { return c.h.ledger.EachAudit(r.whole, do) })
	}}, nil
}

// writeAudit writes one JSON object a line, the oldest first.
func writeAudit(w io.Writer, each func(func(*ledger.Entry) error) error) error {
	b := bufio.NewWriter(w)
	enc := json.NewEncoder(b)
	if err := each(func(e *ledger.Entry) error { return enc.Encode(entryOf(*e)) }); err != nil {
		return err
	}
	return b.Flush()
}

var auditOperations = []operation{
	{id: "audit", method: http.MethodGet, path: "/audit", min: operator, summary: "The trail of changes, the latest first.",
		query: append([]param{{"actor", "Stands in who."}, {"action", "Stands in what."}, {"subject", "Stands in on what."}}, paging...), answer: page[AuditEntry]{}, do: (*console).audit},
	{id: "auditExport", method: http.MethodGet, path: "/audit/export", min: operator, summary: "All of the trail, the oldest first, one JSON object a line; the last hash vouches for all before it.", answer: stream{}, do: (*console).exportAudit},
}
