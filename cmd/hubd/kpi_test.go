package main

import (
	"encoding/csv"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"
)

// What is received, archived and adds up is printed, as CSV that any reader takes and
// as JSON, and names no study and no person.
func TestFiguresArePrintedAsCSVAndJSON(t *testing.T) {
	s := newSite(t)
	s.do("code", "new", "--facility", "F1")
	k := s.hubless()
	archive(t, k.ledger, instance("a", "1.2.3", 1), instance("a", "1.2.3", 2), instance("a", "1.2.4", 1))
	k.end()
	today := time.Now().UTC().Format(time.DateOnly)
	out := s.do("kpi", "--from", today, "--to", today)
	rows, err := csv.NewReader(strings.NewReader(out)).ReadAll()
	if err != nil || len(rows) != 2 || !slices.Equal(rows[0], kpiHeader) || strings.Join(rows[1][3:7], " ") != "3 304 2 3" || !strings.Contains(out, "\r\n") {
		t.Errorf("%v: %q", err, out)
	}
	if strings.Contains(out, "1.2.3") {
		t.Errorf("a study is named: %s", out)
	}
	var got KPIs
	if err := json.Unmarshal([]byte(s.do("kpi", "--from", today, "--to", today, "--format", "json", "--by", "day")), &got); err != nil || len(got.Lines) != 1 || got.Lines[0].Day != today || got.Lines[0].Objects != 3 {
		t.Errorf("%v %+v", err, got)
	}
	for _, args := range [][]string{{"--from", "yesterday", "--to", today}, {"--from", today, "--to", "2020-01-01"}, {"--from", "1900-01-01", "--to", today}} {
		if c := s.command(append([]string{"kpi"}, args...)...); c.Run() == nil || c.ProcessState.ExitCode() != exitUsage {
			t.Errorf("%v: exit %d", args, c.ProcessState.ExitCode())
		}
	}
}

// A facility's code may begin like a formula to a spreadsheet.
func TestNoFieldIsAFormulaToASpreadsheet(t *testing.T) {
	for _, text := range []string{"=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\r\n=1"} {
		k := KPIs{Lines: []KPI{{Facility: text, Destination: text}}}
		var out strings.Builder
		if err := k.csv(&out); err != nil {
			t.Fatal(err)
		}
		rows, err := csv.NewReader(strings.NewReader(out.String())).ReadAll()
		if err != nil || !strings.HasPrefix(rows[1][1], "'") || !strings.HasPrefix(rows[1][2], "'") {
			t.Errorf("%q: %q %v", text, rows, err)
		}
	}
}

// The API has the same as CSV for who may look, and refuses what makes no sense.
func TestFiguresAreServedAsCSV(t *testing.T) {
	d := newDesk(t)
	d.busy()
	token := d.token("viewer")
	w := d.ask("GET", "/api/v1/kpi?from=2026-01-01&to=2026-12-31&format=csv", token, "")
	if rows, err := csv.NewReader(w.Body).ReadAll(); err != nil || w.Code != 200 || len(rows) != 2 || !slices.Equal(rows[0], kpiHeader) {
		t.Errorf("%d %v %q", w.Code, err, rows)
	}
	for _, query := range []string{"", "?from=2026-01-01", "?from=2026-01-02&to=2026-01-01", "?from=2026-01-01&to=2026-01-02&by=patient", "?from=2026-01-01&to=2026-01-02&format=xml"} {
		if w := d.ask("GET", "/api/v1/kpi"+query, token, ""); w.Code != 400 {
			t.Errorf("%q: %d", query, w.Code)
		}
	}
}
