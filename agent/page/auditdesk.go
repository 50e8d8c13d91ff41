package page

import (
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"edged/agent/account"
	"edged/agent/status"
)

// AuditDesk has the audit trail: what people did here, in a chain that proves itself.
type AuditDesk interface {
	// Rows are those that fit, the newest first, and what was found about the chain as
	// a whole. What they hold was typed by people: hostile text.
	Rows(AuditQuery) (AuditPage, error)
	// Export writes all rows: with the chain, so that `edged audit verify` can check it,
	// or as a table for people. That it was done is on the trail before.
	Export(w io.Writer, table bool, who account.Actor) error
}

// AuditQuery says which rows are wanted.
type AuditQuery struct {
	Day           time.Time // zero: any
	Who           string    // a part of it
	Offset, Limit int
	By            account.Actor // who reads
}

// AuditPage is a page of rows.
type AuditPage struct {
	Rows    []AuditRow
	Total   int  // that fit, as far as they are at hand
	Older   bool // there are more that fit than are at hand: ask for a day
	All     int64
	Broken  int64 // places where the chain is
	Without int64 // intents without an outcome: something was cut off
	Head    string
}

// AuditRow is one row.
type AuditRow struct {
	Seq, Of                              uint64
	At                                   time.Time
	Who, Action, Object, Reason, Outcome string
}

const auditAPage = 100

func (p *Page) auditLeaves() []leaf {
	if p.cfg.Audit == nil {
		return nil
	}
	return []leaf{
		{path: "/audit", menu: "menu.audit", role: account.Technician, file: "audit.html", build: p.buildAudit},
		{path: "/audit/export.jsonl", title: "menu.audit", role: account.Administrator, raw: p.auditExport(false)},
		{path: "/audit/export.csv", title: "menu.audit", role: account.Administrator, raw: p.auditExport(true)},
	}
}

type auditView struct {
	Chain, Cut, Head, Day, Who, Found, Prev, Next string
	Bad, Asked, Older, Export                     bool
	Rows                                          []auditRowView
}

type auditRowView struct{ Seq, At, Who, Action, Object, Reason, Outcome, Raw string }

func auditQueryOf(r *request) (q AuditQuery, number int) {
	v := r.URL.Query()
	q = AuditQuery{Who: wordsAsked(v.Get("who"), 128), Day: r.page.dayAsked(v), Limit: auditAPage}
	number, q.Offset = pageAsked(v, q.Limit)
	return q, number
}

func (q AuditQuery) address(number int) string {
	v := url.Values{"page": {strconv.Itoa(number)}}
	if q.Who != "" {
		v.Set("who", q.Who)
	}
	if !q.Day.IsZero() {
		v.Set("day", q.Day.Format(time.DateOnly))
	}
	return "/audit?" + v.Encode()
}

func (p *Page) buildAudit(r *request) (any, error) {
	q, number := auditQueryOf(r)
	q.By = r.Viewer.Actor()
	found, err := p.cfg.Audit.Rows(q)
	if err != nil {
		return nil, err
	}
	v := auditOf(found, q, number, r.facts())
	v.Export = r.Viewer.May(account.Administrator)
	return v, nil
}

func auditOf(found AuditPage, q AuditQuery, number int, s sighted) auditView {
	w := s.W
	v := auditView{Chain: w.Count("audit.whole", found.All), Bad: found.Broken > 0, Head: found.Head, Who: q.Who, Asked: q.Who != "" || !q.Day.IsZero(),
		Found: w.Count("audit.rows", int64(found.Total)), Older: found.Older}
	switch {
	case v.Bad:
		v.Chain = w.Count("audit.broken", found.Broken)
	case found.All == 0:
		v.Chain = w.Say("audit.empty")
	}
	if found.Without > 0 {
		v.Cut = w.Count("audit.cut", found.Without)
	}
	if !q.Day.IsZero() {
		v.Day = q.Day.Format(time.DateOnly)
	}
	for _, x := range found.Rows {
		row := auditRowView{Seq: w.number(int64(x.Seq)), At: s.stamp(x.At), Who: auditWho(x.Who, w), Action: actionWord(x.Action, w),
			Object: auditObject(x, w), Reason: auditReason(x.Reason, s), Outcome: outcomeWord(x, w)}
		row.Raw = auditRaw(x, row)
		v.Rows = append(v.Rows, row)
	}
	if number > 1 {
		v.Prev = q.address(number - 1)
	}
	if q.Offset+q.Limit < found.Total {
		v.Next = q.address(number + 1)
	}
	return v
}

// actions that have words; others are shown as they were recorded.
var actions = map[string]string{
	"log-in": "audit.act.login", "log-out": "audit.act.logout", "session ended by itself": "audit.act.lapsed", "log-in failed": "audit.act.failed", "log-in refused": "audit.act.refused", "account locked": "audit.act.locked",
	"account made": "audit.act.made", "account removed": "audit.act.removed", "password changed": "audit.act.password", "role changed": "audit.act.role", "account unlocked": "audit.act.unlocked",
	"study resend": "audit.act.resend", "spool release": "audit.act.release", "spool discard": "audit.act.discard", "audit export": "audit.act.export",
	"alarm acknowledge": "audit.act.ack", "data seen to": "audit.act.seen", "device admit": "audit.act.admit", "device hear": "audit.act.hear",
	"device ignore": "audit.act.ignore", "line test": "audit.act.line", "self-test": "audit.act.selftest", "support bundle": "audit.act.bundle", "pause": "audit.act.pause", "resume": "audit.act.resume",
	"spool export": "audit.act.spoolexport", "spool recover-key": "audit.act.key", "retire": "audit.act.retire", "audit": "audit.act.audit",
}

func actionWord(action string, w *words) string {
	if id := actions[action]; id != "" {
		return w.Say(id)
	}
	return status.Shown(action)
}

func outcomeWord(x AuditRow, w *words) string {
	switch {
	case x.Outcome == "done" && (x.Action == "log-in failed" || x.Action == "log-in refused"):
		return w.Say("audit.failed")
	case strings.HasPrefix(x.Outcome, "failed: "): // why is what a machine said
		return w.Say("audit.failed")
	case x.Outcome == "intended":
		return w.Say("audit.intended")
	case x.Outcome == "done" && x.Of > 0:
		return w.Say("audit.doneof", "n", w.number(int64(x.Of)))
	case x.Outcome == "done":
		return w.Say("audit.done")
	}
	return shownLong(x.Outcome)
}

// auditExport is a download. What fails behind its beginning ends the connection: half
// must not look like all.
func (p *Page) auditExport(table bool) func(http.ResponseWriter, *request) error {
	return func(w http.ResponseWriter, r *request) error {
		kind, ending := "application/jsonl; charset=utf-8", ".jsonl"
		if table {
			kind, ending = "text/csv; charset=utf-8", ".csv"
		}
		out := &download{w: w, kind: kind, name: "edged-audit-" + r.Now.Format(time.DateOnly) + ending}
		err := p.cfg.Audit.Export(out, table, r.Viewer.Actor())
		if err != nil && out.begun {
			panic(http.ErrAbortHandler)
		}
		return err
	}
}

// download writes its headers with the first byte, so that an error before it can
// still be told.
type download struct {
	w          http.ResponseWriter
	kind, name string
	begun      bool
}

func (d *download) Write(b []byte) (int, error) {
	if !d.begun {
		d.begun = true
		d.w.Header().Set("Content-Type", d.kind)
		d.w.Header().Set("Content-Disposition", `attachment; filename="`+d.name+`"`)
	}
	return d.w.Write(b)
}

// Cell is a value for a table that a spreadsheet opens: one that would be taken for a
// formula there is made text.
func Cell(s string) string {
	if t := strings.TrimLeft(s, " \t\r\n"); t != "" && strings.ContainsRune("=+-@|%", rune(t[0])) || s != t {
		return "'" + s
	}
	return s
}
