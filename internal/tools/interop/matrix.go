package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// check is one cell before it was tried. Run gives a note, or an error: unable for
// what the peer itself does not do.
type check struct {
	table       string
	row, column string
	run         func(ctx context.Context) (note string, err error)
}

// state is what became of a cell.
type state string

const (
	yes    state = "yes"
	red    state = "**no**"
	cannot state = "–"
)

// unable says that the peer itself did not do it, and how that was seen.
type unable string

func (u unable) Error() string { return string(u) }

// cell is a check that was tried.
type cell struct {
	check
	peer  string
	state state
	note  string
}

// report is one peer's part.
type report struct {
	peer    *peer
	version string
	absent  error // why it was not met
	cells   []cell
}

// matrix is the whole run.
type matrix struct{ reports []report }

// verdict is an error when the run proved less than it must.
func (m *matrix) verdict(whole bool) error {
	var errs []error
	for _, r := range m.reports {
		if r.absent != nil && r.peer.required {
			errs = append(errs, fmt.Errorf("%s did not run: %w", r.peer.name, r.absent))
		}
		for _, c := range r.cells {
			if c.state == red {
				errs = append(errs, fmt.Errorf("%s: %s, %s: no", c.column, c.table, c.row))
			}
		}
	}
	if whole && len(m.cells()) == 0 {
		errs = append(errs, errors.New("nothing was tried"))
	}
	return errors.Join(errs...)
}

func (m *matrix) cells() (all []cell) {
	for _, r := range m.reports {
		all = append(all, r.cells...)
	}
	return all
}

// The tables, in the order of the page; which way the association goes.
const (
	echoIn       = "Verification and TLS, they call"
	storeIn      = "Storage, they send"
	commitIn     = "Storage Commitment, they ask"
	stepIn       = "Modality Performed Procedure Step, they report"
	queryIn      = "Query/Retrieve, they ask"
	echoOut      = "Verification and TLS, we call"
	storeOut     = "Storage, we send"
	commitOut    = "Storage Commitment, we ask"
	stepOut      = "Modality Performed Procedure Step, we report"
	queryOut     = "Query/Retrieve, we ask"
	pageHead     = "# Interoperability\n\n<!-- Written by `make interop`; do not edit. -->\n"
	pagePreamble = `
Each cell was tried in one run, on loopback, between the product of another and ours. "They" is the peer named at the head of the
column; "we" are ` + "`edged`" + ` and, where it says so, package ` + "`dimse`" + ` called directly.

- **yes**: done, and the outcome compared. What was stored was read back from the receiver, and is byte for byte the data set that a
  recorder between the two saw on the wire.
- **–**: the peer does not do it; the note says how that was seen.
- **no**: it failed. A run with such a cell ends with exit code 1, as does one without DCMTK or Orthanc.
- empty: not tried with this program.
`
)

var tables = []string{echoIn, storeIn, commitIn, stepIn, queryIn, echoOut, storeOut, commitOut, stepOut, queryOut}

// page is the whole of docs/interop.md.
func (m *matrix) page() string {
	var b strings.Builder
	b.WriteString(pageHead + pagePreamble + "\n## Peers\n\n| peer | version | from |\n|---|---|---|\n")
	for _, r := range m.reports {
		version := r.version
		if r.absent != nil {
			version = "not run here: " + oneLine(r.absent.Error())
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", r.peer.name, version, r.peer.from)
	}
	n := &notes{}
	for _, title := range tables {
		b.WriteString(m.table(title, n))
	}
	b.WriteString(n.String())
	return b.String()
}

// rowOrder is that of rows that not every peer has; others stay as they are met.
var rowOrder = []string{rowSame, rowNew, rowWrong, rowCommitSame, rowCommitNew}

// table has a row for each row name and a column for each program, in the order in
// which they were first met.
func (m *matrix) table(title string, n *notes) string {
	var rows, columns []string
	at := map[[2]string]cell{}
	for _, c := range m.cells() {
		if c.table != title {
			continue
		}
		rows, columns = once(rows, c.row), once(columns, c.column)
		at[[2]string{c.row, c.column}] = c
	}
	if len(rows) == 0 {
		return ""
	}
	slices.SortStableFunc(rows, func(a, b string) int { return slices.Index(rowOrder, a) - slices.Index(rowOrder, b) })
	var b strings.Builder
	fmt.Fprintf(&b, "\n## %s\n\n| | %s |\n|---|%s\n", title, strings.Join(columns, " | "), strings.Repeat("---|", len(columns)))
	for _, row := range rows {
		fmt.Fprintf(&b, "| %s |", row)
		for _, column := range columns {
			c := at[[2]string{row, column}]
			fmt.Fprintf(&b, " %s%s |", c.state, n.mark(c.note))
		}
		b.WriteString("\n")
	}
	return b.String()
}

func once(list []string, s string) []string {
	if slices.Contains(list, s) {
		return list
	}
	return append(list, s)
}

// notes numbers what is said below the tables.
type notes struct{ list []string }

func (n *notes) mark(note string) string {
	if note == "" {
		return ""
	}
	n.list = once(n.list, note)
	return fmt.Sprintf(" (%d)", slices.Index(n.list, note)+1)
}

func (n *notes) String() string {
	if len(n.list) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString("\n## Notes\n\n")
	for i, note := range n.list {
		fmt.Fprintf(&b, "%d. %s\n", i+1, oneLine(note))
	}
	return b.String()
}

func oneLine(s string) string {
	return strings.ReplaceAll(strings.Join(strings.Fields(s), " "), "|", "/")
}
