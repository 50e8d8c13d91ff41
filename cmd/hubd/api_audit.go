package main

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"errors"
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

// AuditVerified is whether the trail is as it was written.
type AuditVerified struct {
	Good bool   `json:"good"`
	Why  string `json:"why,omitempty"` // not
	Rows int64  `json:"rows"`          // of the chain
	Old  int64  `json:"older_rows"`    // from before it; their digest is in its first row
	Last string `json:"last_hash"`     // keep it elsewhere, and ask with it
}

func (c *console) verifyAudit(r *request) (any, error) {
	last, err := r.text("last")
	if err != nil {
		return nil, err
	}
	kept, err := keptHash(last)
	if err != nil {
		return nil, bad("%v", err)
	}
	v, err := c.h.ledger.VerifyAudit(r.Context(), kept...)
	if errors.Is(err, ledger.ErrChain) || errors.Is(err, ledger.ErrNotInChain) {
		return AuditVerified{Why: err.Error()}, nil
	}
	return AuditVerified{Good: true, Rows: v.Rows, Old: v.Old, Last: hex.EncodeToString(v.Last)}, err
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
	{id: "auditVerify", method: http.MethodGet, path: "/audit/verify", min: operator, summary: "Follow the chain of the whole trail.",
		query: []param{{"last", "A last hash that was kept elsewhere: a row of the chain must have it."}}, answer: AuditVerified{}, do: (*console).verifyAudit},
	{id: "auditExport", method: http.MethodGet, path: "/audit/export", min: operator, summary: "All of the trail, the oldest first, one JSON object a line; the last hash vouches for all before it.", answer: stream{}, do: (*console).exportAudit},
}
