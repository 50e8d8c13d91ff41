package main

import (
	"cmp"
	"encoding/csv"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"edged/agent/account"
	"edged/agent/page"
	"edged/internal/audit"
)

// auditDesk shows the audit log. Of a long one the newest rows are remembered, and what
// was found about the chain, for as long as its files do not change.
type auditDesk struct {
	dir, of string
	key     func() ([]byte, error)
	audited func(by account.Actor, action, object, reason string, act func() error) error
	read    func(by account.Actor, found audit.Report) // told once in a while of each who reads; nil in tests

	mu     sync.Mutex // guards what follows; one reads at a time
	as     string     // the files as they were read
	newest []audit.Event
	report audit.Report
	told   map[account.Actor]time.Time
}

var _ page.AuditDesk = (*auditDesk)(nil)

// maxAuditRows are at hand; of older ones a day at a time.
const maxAuditRows = 5000

func (a *appliance) auditDesk() *auditDesk {
	return &auditDesk{dir: filepath.Join(a.cfg.DataDir, auditDir), of: a.cfg.Facility.Code, key: func() ([]byte, error) { return a.cfg.spoolKey() }, audited: a.audited, read: a.readTrail}
}

// readTrail tells the audit repository who reads the audit log (PS3.15 §A.5.3.2).
func (a *appliance) readTrail(by account.Actor, found audit.Report) {
	if a.herald != nil {
		a.herald.logUsed(a.herald.personAt(cmp.Or(by.Name, "unknown"), by.Address), found)
	}
}

// readAgain: who keeps the page open, or turns its pages, reads once.
const readAgain = 15 * time.Minute

// tell is guarded by mu.
func (d *auditDesk) tell(by account.Actor, now time.Time) {
	for who, at := range d.told {
		if now.Sub(at) >= readAgain {
			delete(d.told, who)
		}
	}
	if _, is := d.told[by]; is || d.read == nil {
		return
	}
	if d.told == nil {
		d.told = make(map[account.Actor]time.Time)
	}
	d.told[by] = now
	d.read(by, d.report)
}

// Rows implements page.AuditDesk.
func (d *auditDesk) Rows(q page.AuditQuery) (page.AuditPage, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	rows, err := d.rows(q.Day)
	if err != nil {
		return page.AuditPage{}, err
	}
	d.tell(q.By, time.Now())
	out := page.AuditPage{All: int64(d.report.Events), Broken: int64(d.report.Broken), Without: int64(len(d.report.Without)), Head: d.report.Head}
	out.Older = q.Day.IsZero() && d.report.Events > len(rows)
	who := strings.ToLower(q.Who)
	for i := len(rows) - 1; i >= 0; i-- {
		e := rows[i]
		if who != "" && !strings.Contains(strings.ToLower(e.Who), who) {
			continue
		}
		if out.Total >= q.Offset && len(out.Rows) < q.Limit {
			out.Rows = append(out.Rows, page.AuditRow{Seq: e.Seq, Of: e.Of, At: e.At, Who: e.Who, Action: e.Action, Object: e.Object, Reason: e.Reason, Outcome: e.Outcome})
		}
		out.Total++
	}
	return out, nil
}

// rows are the newest, oldest first; or those of a day. Guarded by mu.
func (d *auditDesk) rows(day time.Time) ([]audit.Event, error) {
	as := d.files()
	if day.IsZero() && as == d.as && as != "" {
		return d.newest, nil
	}
	key, err := d.key()
	if err != nil {
		return nil, err
	}
	var kept []audit.Event
	rep, err := audit.Read(d.dir, key, func(e audit.Event) error {
		if day.IsZero() || !e.At.Before(day) && e.At.Before(day.AddDate(0, 0, 1)) {
			if kept = append(kept, e); len(kept) >= 2*maxAuditRows {
				kept = append(kept[:0], kept[maxAuditRows:]...)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	kept = kept[max(0, len(kept)-maxAuditRows):]
	if d.report = rep; day.IsZero() {
		d.as, d.newest = as, kept
	}
	return kept, nil
}

// files is what the log looks like from outside.
func (d *auditDesk) files() string {
	names, _ := filepath.Glob(filepath.Join(d.dir, "*.log")) // the pattern is good
	var b strings.Builder
	for _, n := range names {
		if info, err := os.Stat(n); err == nil {
			fmt.Fprintln(&b, n, info.Size(), info.ModTime().UnixNano())
		}
	}
	return b.String()
}

// Export implements page.AuditDesk. That the trail was taken along stands in it.
func (d *auditDesk) Export(w io.Writer, table bool, who account.Actor) error {
	key, err := d.key()
	if err != nil {
		return err
	}
	what := "with the chain"
	if table {
		what = "as a table"
	}
	return d.audited(who, "audit export", what, "", func() error {
		if !table {
			_, err := audit.Export(w, d.dir, key, d.of, time.Now(), true)
			return err
		}
		out := csv.NewWriter(w)
		out.Write([]string{"seq", "at", "who", "action", "object", "reason", "outcome", "of", "export"}) // Error has it, too
		_, err = audit.Read(d.dir, key, func(e audit.Event) error {
			out.Write([]string{fmt.Sprint(e.Seq), e.At.Format(time.RFC3339), page.Cell(e.Who), page.Cell(e.Action), page.Cell(e.Object), page.Cell(e.Reason), page.Cell(e.Outcome), fmt.Sprint(e.Of), page.Cell(e.Export)})
			return out.Error()
		})
		if out.Flush(); err == nil {
			err = out.Error()
		}
		return err
	})
}
