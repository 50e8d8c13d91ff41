package main

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"edged/internal/quality"
)

const findingsDoc = "../../docs/findings.md"

// The list of findings is that of the code. EDGED_WRITE=1 writes it.
func TestFindingsAreListed(t *testing.T) {
	text, err := os.ReadFile(findingsDoc)
	if err != nil {
		t.Fatal(err)
	}
	head, _, found := strings.Cut(string(text), "\n| finding |")
	if want := head + "\n" + findingsTable(); os.Getenv("EDGED_WRITE") != "" {
		ok(t, os.WriteFile(findingsDoc, []byte(want), 0o644))
	} else if !found || string(text) != want {
		t.Errorf("%s is not what the code has: EDGED_WRITE=1 go test -run %s ./cmd/edged", findingsDoc, t.Name())
	}
}

func findingsTable() string {
	var b strings.Builder
	b.WriteString("| finding | cause | by default | attributes | what is wrong |\n|---|---|---|---|---|\n")
	for _, e := range quality.Table() {
		fmt.Fprintf(&b, "| `%s` | `%s` (%d) | %s | %s | %s |\n", e.Code, e.Cause, e.Cause.Number(), e.Level, e.Tags, e.About)
	}
	return b.String()
}
