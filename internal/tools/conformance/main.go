// Conformance puts the tables of docs/conformance-statement.md that the program
// knows better than any author: storage SOP classes, transfer syntaxes, statuses,
// rejections, limits. Each stands between two markers; the text around them is
// written by hand. It is what `make conformance` calls; its test fails when a table
// in the document is not what the program says.
package main

import (
	"fmt"
	"os"
	"strings"

	"edged/dimse"
	"edged/internal/dicom"
)

const document = "docs/conformance-statement.md"

func main() {
	old, err := os.ReadFile(document)
	if err != nil {
		fail(err)
	}
	text, err := fill(string(old))
	if err == nil {
		err = os.WriteFile(document, []byte(text), 0o644)
	}
	if err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "conformance:", err)
	os.Exit(1)
}

// tables are what is generated, by the name in the markers.
var tables = map[string]func() string{
	"storage":  storageTable,
	"syntaxes": syntaxTable,
	"statuses": statusTable,
	"rejects":  rejectTable,
	"identity": identityTable,
	"limits":   limitsTable,

	"commitment statuses": actionTable,
	"failure reasons":     reasonTable,
	"commitment times":    commitmentTimes,
	"step statuses":       stepTable,
	"find statuses":       findTable,
	"move statuses":       moveTable,
	"get statuses":        getTable,
	"keys":                keyTable,
}

// fill puts every table between its markers. A table without markers is an error,
// and so are markers without a table.
func fill(doc string) (string, error) {
	for name, table := range tables {
		begin, end := "<!-- generated: "+name+" -->\n", "<!-- end of "+name+" -->"
		before, rest, ok := strings.Cut(doc, begin)
		_, after, ok2 := strings.Cut(rest, end)
		if !ok || !ok2 {
			return "", fmt.Errorf("%s: want the lines %s and %s", document, strings.TrimSpace(begin), end)
		}
		doc = before + begin + table() + end + after
	}
	if n := strings.Count(doc, "<!-- generated: "); n != len(tables) {
		return "", fmt.Errorf("%s: %d tables are marked, %d are known", document, n, len(tables))
	}
	return doc, nil
}

type table strings.Builder

func (t *table) row(cells ...string) {
	(*strings.Builder)(t).WriteString("| " + strings.Join(cells, " | ") + " |\n")
}

func (t *table) String() string { return (*strings.Builder)(t).String() }

func newTable(head ...string) *table {
	t := &table{}
	t.row(head...)
	line := make([]string, len(head))
	for i := range line {
		line[i] = "---"
	}
	t.row(line...)
	return t
}

func retired(u dimse.KnownUID) string {
	if u.Retired {
		return u.Name + " (retired)"
	}
	return u.Name
}

func storageTable() string {
	t := newTable("SOP class", "UID")
	for _, c := range dimse.SOPClasses() {
		if dimse.IsStorage(c.UID) {
			t.row(retired(c), c.UID)
		}
	}
	return t.String()
}

// syntaxTable lists the transfer syntaxes of DIMSE; those of files and of
// real-time video are not for associations.
func syntaxTable() string {
	t := newTable("transfer syntax", "UID")
	for _, s := range dimse.TransferSyntaxes() {
		if !strings.HasPrefix(s.UID, "1.2.840.10008.1.2.7.") {
			t.row(retired(s), s.UID)
		}
	}
	return t.String()
}

func identityTable() string {
	t := newTable("", "value")
	t.row("Implementation Class UID", dicom.ImplementationClassUID)
	t.row("Implementation Version Name", dicom.ImplementationVersionName)
	t.row("Application Context Name", dimse.ApplicationContext)
	return t.String()
}
