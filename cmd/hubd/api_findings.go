package main

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"edged/hub/ledger"
	"edged/internal/quality"
)

// FoundStudy is a study in whose data its appliance has found something.
type FoundStudy struct {
	UID       string       `json:"study_instance_uid"`
	Appliance string       `json:"appliance"`
	Facility  string       `json:"facility"`
	Objects   int64        `json:"objects"` // that the appliance counted
	SaidAt    time.Time    `json:"said_at"`
	Findings  []FoundThing `json:"findings"` // worst first
}

// FoundThing is one of its findings.
type FoundThing struct {
	Code    string `json:"code"`            // of docs/findings.md
	Cause   string `json:"cause,omitempty"` // none for a code of a later version
	Objects int64  `json:"objects"`         // that have it; 0: only all of them together show it
}

// foundThings takes apart what an appliance says of a study; see the protocol in package
// uplink. What is not made of codes and numbers is left out: it is nothing that we know.
func foundThings(said string) []FoundThing {
	out := []FoundThing{}
	for one := range strings.SplitSeq(said, "; ") {
		code, number, _ := strings.Cut(one, " ")
		n, err := strconv.ParseInt(number, 10, 63)
		if err != nil || n < 0 || !isCode(code) || len(out) == maxStudyCodes {
			continue
		}
		e, _ := quality.Lookup(quality.Code(code))
		out = append(out, FoundThing{code, string(e.Cause), n})
	}
	return out
}

// maxStudyCodes is how many findings of one study are kept.
const maxStudyCodes = 32

// isCode reports whether this may be a code, of this version or a later one.
func isCode(s string) bool {
	return len(s) > 0 && len(s) <= 40 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz_.") == ""
}

// foundCodes is what of it is kept.
func foundCodes(said string) string {
	var out []string
	for _, f := range foundThings(said) {
		out = append(out, f.Code+" "+strconv.FormatInt(f.Objects, 10))
	}
	return strings.Join(out, "; ")
}

func foundStudy(r ledger.FoundRow) FoundStudy {
	return FoundStudy{r.UID, r.Device, r.Facility, r.Objects, r.At, foundThings(r.Found)}
}

func (c *console) findings(r *request) (any, error) {
	limit, err := r.limit()
	if err != nil {
		return nil, err
	}
	device, err := r.text("appliance")
	if err != nil {
		return nil, err
	}
	code, err := r.text("code")
	if err != nil {
		return nil, err
	}
	var after ledger.FoundAfter
	if err := r.after(&after.At, &after.Study, &after.Device); err != nil {
		return nil, err
	}
	rows, next, more, err := c.h.ledger.FoundPage(r.Context(), device, code, after, limit)
	if err != nil {
		return nil, err
	}
	p := page[FoundStudy]{Items: []FoundStudy{}}
	for _, row := range rows {
		p.Items = append(p.Items, foundStudy(row))
	}
	if more {
		p.Next = cursor(next.At, next.Study, next.Device)
	}
	return p, nil
}

// Codes are all that may be found, for a choice.
func (view) Codes() (out []string) {
	for _, e := range quality.Table() {
		out = append(out, string(e.Code))
	}
	slices.Sort(out)
	return out
}

var findingOperations = []operation{
	{id: "findings", method: http.MethodGet, path: "/findings", min: viewer, summary: "Studies in whose data their appliances have found something, newest first. Codes and numbers, no names.",
		query: append([]param{{"appliance", "Exactly this one."}, {"code", "With this finding among them, as docs/findings.md has it."}}, paging...), answer: page[FoundStudy]{}, do: (*console).findings},
}
