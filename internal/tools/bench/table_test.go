package main

import (
	"testing"

	"edged/internal/tools/lab"
)

// What was not measured is a dash in the last line, never a number.
func TestLastLineHasEveryFigure(t *testing.T) {
	r := lab.Report{Names: figureNames, Figures: map[string]string{"slow_per_s": "200"}}
	want := "storescp_ratio=- orthanc_ratio=- slow_per_s=200 sink_cpu_s_per_GB=- sink_storescp_ratio=-" +
		" spool_flushes_1=- spool_flushes_16=- spool_naive_1=- spool_naive_16=- spool_slow_per_s=- spool_slow_p99_ms=-" +
		" encrypted_flushes_1=- encrypted_flushes_16=- encrypted_naive_1=- encrypted_naive_16=- encrypted_slow_per_s=- encrypted_slow_p99_ms=-" +
		" e2e_MBps=- rss_16=- rss_4GiB=-"
	if got := r.LastLine(); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// Ratios, verdicts and figures come from the cells of their own row; what was not
// measured is neither passed nor missed.
func TestCStoreTableComparesWithinARow(t *testing.T) {
	rates := []float64{300, 100, 50, 19, 90, 100, 50, 60, 200, 400, 80, 18}
	cells := plan(1, nil, nil)
	if len(cells) != len(rates) {
		t.Fatalf("%d cells, %d rates", len(cells), len(rates))
	}
	for i := range cells {
		cells[i].rates = rates[i : i+1]
	}
	figures := make(map[string]string)
	s := cstoreTable(options{}, "/", 500, cells, figures)
	for i, want := range [][3]string{{"3.00×", "6.00×", "PASS"}, {"0.90×", "1.80×", "GAP"}, {"0.50×", "2.50×", "PASS"}} {
		if r := s.Rows[i]; r[5] != want[0] || r[6] != want[1] || r[8] != want[2] {
			t.Errorf("row %d: %q, want %q", i, r, want)
		}
	}
	if figures["storescp_ratio"] != "0.90" || figures["orthanc_ratio"] != "1.80" || figures["slow_per_s"] != "200" {
		t.Errorf("figures %v", figures)
	}
	cells[2].rates = nil
	if r := cstoreTable(options{}, "/", 500, cells, make(map[string]string)).Rows[0]; r[6] != "–" || r[8] != lab.NotMeasured {
		t.Errorf("without Orthanc: %q", r)
	}
}
