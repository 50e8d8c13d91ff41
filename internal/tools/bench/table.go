package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
)

// section is a table under a heading.
type section struct {
	title string
	head  []string
	rows  [][]string
	notes []string // sentences under the table
}

func (s *section) row(cells ...string) { s.rows = append(s.rows, cells) }

func (s *section) note(format string, args ...any) {
	s.notes = append(s.notes, fmt.Sprintf(format, args...))
}

func (s *section) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "### %s\n\n", s.title)
	line := func(cells []string) { fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | ")) }
	line(s.head)
	line(slices.Repeat([]string{"---"}, len(s.head)))
	for _, r := range s.rows {
		line(r)
	}
	for _, n := range s.notes {
		fmt.Fprintf(&b, "\n%s\n", n)
	}
	return b.String()
}

// report is all sections, and the figures of the last line.
type report struct {
	sections []section
	figures  map[string]string
}

// add prints the section at once, so that a long run shows what it has.
func (r *report) add(s section) {
	r.sections = append(r.sections, s)
	fmt.Println(s.markdown())
}

func (r *report) markdown() string {
	var all []string
	for _, s := range r.sections {
		all = append(all, s.markdown())
	}
	return strings.Join(all, "\n") + "\n`" + r.lastLine() + "`\n"
}

// figureNames are the figures of the last line, in order.
var figureNames = []string{"storescp_ratio", "orthanc_ratio", "slow_per_s", "sink_cpu_s_per_GB", "sink_storescp_ratio",
	"spool_flushes_1", "spool_flushes_16", "spool_naive_1", "spool_naive_16", "spool_slow_per_s", "spool_slow_p99_ms",
	"encrypted_flushes_1", "encrypted_flushes_16", "encrypted_naive_1", "encrypted_naive_16", "encrypted_slow_per_s", "encrypted_slow_p99_ms",
	"e2e_MBps", "rss_16", "rss_4GiB"}

// lastLine has a dash for what was not measured.
func (r *report) lastLine() string {
	var parts []string
	for _, n := range figureNames {
		v := r.figures[n]
		if v == "" {
			v = "-"
		}
		parts = append(parts, n+"="+v)
	}
	return strings.Join(parts, " ")
}

const (
	beginMark = "<!-- bench:begin -->"
	endMark   = "<!-- bench:end -->"
)

func (r *report) writeTo(path string) error {
	doc, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	text, err := between(string(doc), r.markdown())
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return os.WriteFile(path, []byte(text), 0o644)
}

// between puts text in place of what is between the markers.
func between(doc, text string) (string, error) {
	before, rest, ok := strings.Cut(doc, beginMark)
	_, after, ok2 := strings.Cut(rest, endMark)
	if !ok || !ok2 {
		return "", fmt.Errorf("want the lines %s and %s, in this order", beginMark, endMark)
	}
	return before + beginMark + "\n" + text + endMark + after, nil
}

// verdict is the last cell of a row with a goal.
func verdict(ok bool) string {
	if ok {
		return "PASS"
	}
	return "GAP"
}

// median of none is 0.
func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(v))
	if n := len(s); n%2 == 0 {
		return (s[n/2-1] + s[n/2]) / 2
	}
	return s[len(s)/2]
}

// spread shows the median and, in brackets, the least and the greatest.
func spread(v []float64) string {
	switch len(v) {
	case 0:
		return "–"
	case 1:
		return fmt.Sprintf("%.0f (one run)", v[0])
	}
	return fmt.Sprintf("%.0f (%.0f–%.0f)", median(v), slices.Min(v), slices.Max(v))
}

// per is a quotient that does not divide by nothing.
func per(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}
