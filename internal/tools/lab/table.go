package lab

import (
	"fmt"
	"os"
	"slices"
	"strings"
)

// Section is a table under a heading.
type Section struct {
	Title string
	Head  []string
	Rows  [][]string
	Notes []string // sentences under the table
}

// Row adds a row.
func (s *Section) Row(cells ...string) { s.Rows = append(s.Rows, cells) }

// Note adds a sentence.
func (s *Section) Note(format string, args ...any) {
	s.Notes = append(s.Notes, fmt.Sprintf(format, args...))
}

// Markdown is the table as text; one without a head is its notes only.
func (s *Section) Markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "### %s\n\n", s.Title)
	line := func(cells []string) { fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | ")) }
	line(s.Head)
	line(slices.Repeat([]string{"---"}, len(s.Head)))
	for _, r := range s.Rows {
		line(r)
	}
	for _, n := range s.Notes {
		fmt.Fprintf(&b, "\n%s\n", n)
	}
	return b.String()
}

// Report is all sections, and the figures of the last line.
type Report struct {
	Name     string   // the markers are <!-- NAME:begin --> and <!-- NAME:end -->
	Names    []string // of the figures, in order
	Figures  map[string]string
	sections []Section
}

// Add prints the section at once, so that a long run shows what it has.
func (r *Report) Add(s Section) {
	r.sections = append(r.sections, s)
	fmt.Println(s.Markdown())
}

func (r *Report) markdown() string {
	var all []string
	for _, s := range r.sections {
		all = append(all, s.Markdown())
	}
	return strings.Join(all, "\n") + "\n`" + r.LastLine() + "`\n"
}

// LastLine has a dash for what was not measured.
func (r *Report) LastLine() string {
	var parts []string
	for _, n := range r.Names {
		v := r.Figures[n]
		if v == "" {
			v = "-"
		}
		parts = append(parts, n+"="+v)
	}
	return strings.Join(parts, " ")
}

// WriteTo puts the report between its markers in a document.
func (r *Report) WriteTo(path string) error {
	doc, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	text, err := between(string(doc), r.Name, r.markdown())
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return os.WriteFile(path, []byte(text), 0o644)
}

// between puts text in place of what is between the markers of name.
func between(doc, name, text string) (string, error) {
	begin, end := "<!-- "+name+":begin -->", "<!-- "+name+":end -->"
	before, rest, ok := strings.Cut(doc, begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		return "", fmt.Errorf("want the lines %s and %s, in this order", begin, end)
	}
	return before + begin + "\n" + text + end + after, nil
}

// NotMeasured is the cell of a goal without a figure.
const NotMeasured = "not measured"

// Verdict is the last cell of a row with a goal.
func Verdict(ok bool) string {
	if ok {
		return "PASS"
	}
	return "GAP"
}

// Median of none is 0.
func Median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(v))
	if n := len(s); n%2 == 0 {
		return (s[n/2-1] + s[n/2]) / 2
	}
	return s[len(s)/2]
}

// Spread shows the median and, in brackets, the least and the greatest.
func Spread(v []float64) string {
	switch len(v) {
	case 0:
		return "–"
	case 1:
		return fmt.Sprintf("%.0f (one run)", v[0])
	}
	return fmt.Sprintf("%.0f (%.0f–%.0f)", Median(v), slices.Min(v), slices.Max(v))
}

// Per is a quotient that does not divide by nothing.
func Per(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return a / b
}
