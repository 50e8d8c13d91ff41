package main

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"edged/hub/ledger"
)

// KPI is a line of figures. They name no person and no study. What the line is not
// broken down by is empty.
type KPI struct {
	Day         string  `json:"day,omitempty"` // UTC, as 2026-11-22
	Facility    string  `json:"facility,omitempty"`
	Destination string  `json:"destination,omitempty"`
	Objects     int64   `json:"objects"` // received
	Bytes       int64   `json:"bytes"`
	Studies     int64   `json:"studies"`  // of which the first object was received
	Receipts    int64   `json:"receipts"` // of the whole hub; 0 by facility or destination
	Archived    int64   `json:"archived"`
	ArchivedB   int64   `json:"archived_bytes"`
	Median      float64 `json:"median_seconds"` // from received to archived, within 5 %
	P95         float64 `json:"p95_seconds"`
	Held        int64   `json:"held"` // waiting for a person at the end of the last day
	Refused     int64   `json:"refused"`
	Lost        int64   `json:"lost"`
	Conflicts   int64   `json:"conflicts"`
}

// KPIs are lines for the days from one to another, both included.
type KPIs struct {
	From  string `json:"from"`
	To    string `json:"to"`
	By    string `json:"by,omitempty"` // day, facility or destination; else one line for all
	Lines []KPI  `json:"lines"`
}

// kpiHeader never changes: columns are only added at the end.
var kpiHeader = []string{"day", "facility", "destination", "objects", "bytes", "studies", "receipts", "archived", "archived_bytes",
	"median_seconds", "p95_seconds", "held", "refused", "lost", "conflicts"}

func (k KPI) fields() []string {
	n := func(v int64) string { return strconv.FormatInt(v, 10) }
	s := func(v float64) string { return strconv.FormatFloat(v, 'f', 2, 64) }
	return []string{k.Day, notFormula(k.Facility), notFormula(k.Destination), n(k.Objects), n(k.Bytes), n(k.Studies), n(k.Receipts), n(k.Archived), n(k.ArchivedB),
		s(k.Median), s(k.P95), n(k.Held), n(k.Refused), n(k.Lost), n(k.Conflicts)}
}

// notFormula keeps a spreadsheet from taking a text for a formula.
func notFormula(text string) string {
	if text != "" && strings.ContainsRune("=+-@\t\r\n", rune(text[0])) {
		return "'" + text
	}
	return text
}

// csv is RFC 4180: a header, lines that end with CR LF.
func (k KPIs) csv(w io.Writer) error {
	c := csv.NewWriter(w)
	c.UseCRLF = true
	if err := c.Write(kpiHeader); err != nil {
		return err
	}
	for _, line := range k.Lines {
		if err := c.Write(line.fields()); err != nil {
			return err
		}
	}
	c.Flush()
	return c.Error()
}

func (k KPIs) json(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(k)
}

func kpisOf(from, to time.Time, by string, rows []ledger.KPIRow) KPIs {
	out := KPIs{From: from.Format(time.DateOnly), To: to.Format(time.DateOnly), By: by, Lines: []KPI{}}
	for _, r := range rows {
		k := KPI{Facility: r.Facility, Destination: r.Destination, Objects: r.Objects, Bytes: r.Bytes, Studies: r.Studies, Receipts: r.Receipts,
			Archived: r.Archived, ArchivedB: r.ArchivedBytes, Median: r.Median(), P95: r.P95(), Held: r.Held, Refused: r.Refused, Lost: r.Lost, Conflicts: r.Conflicts}
		if !r.Day.IsZero() {
			k.Day = r.Day.Format(time.DateOnly)
		}
		out.Lines = append(out.Lines, k)
	}
	return out
}

// maxKPIDays bounds one question.
const maxKPIDays = 3700

// kpiSpan reads the days that are asked for.
func kpiSpan(from, to string) (first, last time.Time, err error) {
	if first, err = time.Parse(time.DateOnly, from); err != nil {
		return first, last, fmt.Errorf("from %q: want a day, as 2026-11-01", from)
	}
	if last, err = time.Parse(time.DateOnly, to); err != nil {
		return first, last, fmt.Errorf("to %q: want a day, as 2026-11-30", to)
	}
	if last.Before(first) || last.Sub(first) > maxKPIDays*24*time.Hour {
		return first, last, fmt.Errorf("from %s to %s: want days in order, at most ten years", from, to)
	}
	return first, last, nil
}

type kpiCmd struct {
	From   string `required:"" placeholder:"DATE" help:"First day (UTC), as 2026-11-01."`
	To     string `required:"" placeholder:"DATE" help:"Last day, included."`
	Format string `default:"csv" enum:"csv,json" help:"csv or json."`
	By     string `default:"" enum:",day,facility,destination" help:"A line for each day, facility or destination. Default: one for all."`
}

// Run counts what has come since the hub counted last, too.
func (c kpiCmd) Run(e *env) error {
	from, to, err := kpiSpan(c.From, c.To)
	if err != nil {
		return usageError{err}
	}
	return e.withLedger(func(_ Config, l *ledger.Ledger) error {
		if err := l.AddUp(e.ctx); err != nil {
			return err
		}
		rows, err := l.KPI(e.ctx, from, to, c.By)
		if err != nil {
			return err
		}
		out := kpisOf(from, to, c.By, rows)
		if c.Format == "json" {
			return out.json(e.out)
		}
		return out.csv(e.out)
	})
}

func (c *console) kpi(r *request) (any, error) {
	q, err := r.texts("from", "to", "by", "format")
	if err != nil {
		return nil, err
	}
	from, to, err := kpiSpan(q["from"], q["to"])
	if err != nil {
		return nil, bad("%v", err)
	}
	if err := oneOf("by", q["by"], "day", "facility", "destination"); err != nil {
		return nil, err
	}
	if err := oneOf("format", q["format"], "json", "csv"); err != nil {
		return nil, err
	}
	rows, err := c.h.ledger.KPI(r.Context(), from, to, q["by"])
	if err != nil {
		return nil, err
	}
	out := kpisOf(from, to, q["by"], rows)
	if q["format"] == "csv" {
		return stream{kind: "text/csv; charset=utf-8; header=present", name: "hubd-kpi.csv", write: out.csv}, nil
	}
	return out, nil
}

var kpiOperations = []operation{
	{id: "kpi", method: http.MethodGet, path: "/kpi", min: viewer, summary: "Figures of days, added up once an hour: received, archived and how fast, and what waits for a person. No names of people, no studies.",
		query:  []param{{"from", "First day (UTC), as 2026-11-01."}, {"to", "Last day, included."}, {"by", "day, facility or destination; without it one line for all."}, {"format", "json (default) or csv."}},
		answer: KPIs{}, do: (*console).kpi},
}
