package main

import (
	"slices"
	"strings"
	"testing"

	"edged/internal/quality"
)

// What is packed is what it was, and counts in how many instances it is.
func TestFindingsArePackedWhole(t *testing.T) {
	bare, full := metaFinding{Code: string(quality.PixelsShort)}, metaFinding{string(quality.PixelsShort), "40", "32"}
	var more cardMore
	for _, f := range []metaFinding{bare, bare, full, {string(quality.PixelsShort), "4", "032"}, full, {"of a later version", "", ""}} {
		if p, known := packed(f); known {
			more.count(p)
		}
	}
	if got := more.findings(nil); !slices.Equal(got, []metaFinding{full, {full.Code, "4", "032"}}) {
		t.Errorf("%q", got)
	}
	if got := more.counts(); !slices.Equal(got, []int64{4, 1}) { // two of which the values were not known at first
		t.Errorf("in %v instances", got)
	}
	long, _ := packed(metaFinding{full.Code, strings.Repeat("à", 1<<10), strings.Repeat("b", 1<<17)})
	if f := long.finding(); len(f.A) > maxMetaValue || len(f.B) > maxMetaValue || !strings.HasPrefix(f.A, "àà") || !strings.HasPrefix(f.B, "bb") {
		t.Errorf("%d and %d bytes of values", len(f.A), len(f.B))
	}
	for range 2 * maxMore {
		more.count(cardFound{code: uint16(len(more.found))})
	}
	if len(more.found) != maxMore {
		t.Errorf("%d findings are kept", len(more.found))
	}
}
