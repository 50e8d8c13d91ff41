package main

import (
	"testing"
	"time"
)

// What stands outside the markers is somebody's text and stays as it is.
func TestOnlyWhatIsBetweenTheMarkersIsReplaced(t *testing.T) {
	doc := "before\n" + beginMark + "\nold\n" + endMark + "\nafter\n"
	got, err := between(doc, "new\n")
	if want := "before\n" + beginMark + "\nnew\n" + endMark + "\nafter\n"; err != nil || got != want {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
	if again, err := between(got, "new\n"); err != nil || again != got {
		t.Errorf("a second time: %q, %v", again, err)
	}
	for _, bad := range []string{"", beginMark, endMark + beginMark} {
		if got, err := between(bad, "new"); err == nil {
			t.Errorf("%q: got %q, want an error", bad, got)
		}
	}
}

func TestMedianIsTheMiddleWhateverTheOrder(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   float64
	}{{nil, 0}, {[]float64{7}, 7}, {[]float64{9, 1, 5}, 5}, {[]float64{4, 1, 3, 2}, 2.5}} {
		if got := median(c.values); got != c.want {
			t.Errorf("median of %v: got %v, want %v", c.values, got, c.want)
		}
	}
}

// A section is a table that Markdown readers show as one: every row as wide as
// the head.
func TestSectionIsATable(t *testing.T) {
	s := section{title: "T", head: []string{"a", "b"}}
	s.row("1", "2")
	s.note("%d runs", 3)
	if got, want := s.markdown(), "### T\n\n| a | b |\n| --- | --- |\n| 1 | 2 |\n\n3 runs\n"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// What was not measured is a dash in the last line, never a number.
func TestLastLineHasEveryFigure(t *testing.T) {
	r := report{figures: map[string]string{"slow_per_s": "200"}}
	want := "storescp_ratio=- orthanc_ratio=- slow_per_s=200 sink_cpu_s_per_GB=- sink_storescp_ratio=-" +
		" spool_flushes_1=- spool_flushes_16=- spool_naive_1=- spool_naive_16=- spool_slow_per_s=- spool_slow_p99_ms=-" +
		" encrypted_flushes_1=- encrypted_flushes_16=- encrypted_naive_1=- encrypted_naive_16=- encrypted_slow_per_s=- encrypted_slow_p99_ms=-" +
		" e2e_MBps=- rss_16=- rss_4GiB=-"
	if got := r.lastLine(); got != want {
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
		if r := s.rows[i]; r[5] != want[0] || r[6] != want[1] || r[8] != want[2] {
			t.Errorf("row %d: %q, want %q", i, r, want)
		}
	}
	if figures["storescp_ratio"] != "0.90" || figures["orthanc_ratio"] != "1.80" || figures["slow_per_s"] != "200" {
		t.Errorf("figures %v", figures)
	}
	cells[2].rates = nil
	if r := cstoreTable(options{}, "/", 500, cells, make(map[string]string)).rows[0]; r[6] != "–" || r[8] != notMeasured {
		t.Errorf("without Orthanc: %q", r)
	}
}

func TestCPUIsReadBehindTheName(t *testing.T) {
	const line = "42 (a) b (c)) S 1 42 42 0 -1 4194304 100 0 0 0 150 50 0 0 20 0 8 0 100 1000 200"
	if got, err := parseCPU(line); err != nil || got != 2*time.Second {
		t.Errorf("got %v, %v, want 2s", got, err)
	}
	if got, err := parseCPU("42 (a) S 1"); err == nil {
		t.Errorf("cut: got %v, want an error", got)
	}
}

func TestMemoryIsReadInBytes(t *testing.T) {
	const text = "Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n"
	if got, err := parseKB(text, "VmRSS"); err != nil || got != 1<<20 {
		t.Errorf("got %d, %v, want 1 MiB", got, err)
	}
	if got, err := parseKB(text, "VmSwap"); err == nil {
		t.Errorf("missing: got %d, want an error", got)
	}
}
