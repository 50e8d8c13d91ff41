package quality

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// Row is a finding of a study, as the page has it.
type Row struct {
	Finding
	Study  string // names it: equal for two findings of one
	Device string
	At     time.Time // in the zone whose weeks count
}

// Week is one of ISO 8601: Monday to Sunday; the first of a year has its first Thursday.
type Week struct{ Year, Number int }

// Group is what comes of one cause from one device in one week.
type Group struct {
	Cause  Cause
	Device string // cut as a value is
	Week   Week
	Worst  Level

	Findings, Studies int
	Codes             []CodeCount // most first
}

// CodeCount is a code of a Group, and in how many findings.
type CodeCount struct {
	Code  Code
	Count int
}

// Groups counts rows: the newest week first, in it what is worst, then what is most.
func Groups(rows []Row) []Group {
	type key struct {
		cause  Cause
		device string
		week   Week
	}
	type tally struct {
		Group
		codes   map[Code]int
		studies map[string]bool
	}
	all := make(map[key]*tally)
	for _, r := range rows {
		year, number := r.At.ISOWeek()
		k := key{r.Cause, value(r.Device), Week{year, number}}
		t := all[k]
		if t == nil {
			t = &tally{Group{Cause: k.cause, Device: k.device, Week: k.week}, make(map[Code]int), make(map[string]bool)}
			all[k] = t
		}
		t.Worst = max(t.Worst, r.Level)
		t.Findings++
		t.codes[r.Code]++
		t.studies[clip(r.Study)] = true
	}
	out := make([]Group, 0, len(all))
	for _, t := range all {
		t.Studies, t.Codes = len(t.studies), counted(t.codes)
		out = append(out, t.Group)
	}
	slices.SortFunc(out, before)
	return out
}

func counted(codes map[Code]int) (out []CodeCount) {
	for c, n := range codes {
		out = append(out, CodeCount{c, n})
	}
	slices.SortFunc(out, func(a, b CodeCount) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(rank(a.Code), rank(b.Code)), strings.Compare(string(a.Code), string(b.Code)))
	})
	return out
}

func before(a, b Group) int {
	return cmp.Or(cmp.Compare(b.Week.Year, a.Week.Year), cmp.Compare(b.Week.Number, a.Week.Number), cmp.Compare(b.Worst, a.Worst),
		cmp.Compare(b.Studies, a.Studies), cmp.Compare(a.Cause.Number(), b.Cause.Number()), strings.Compare(string(a.Cause), string(b.Cause)),
		strings.Compare(a.Device, b.Device))
}
