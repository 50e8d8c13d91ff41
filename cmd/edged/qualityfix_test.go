package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"edged/agent/account"
	"edged/agent/page"
	"edged/agent/status"
)

// shelfOf is studies that are here, made up.
type shelfOf []struct {
	studySeen
	found []metaFinding
}

func (s shelfOf) eachStudy(visit func(studySeen, []metaFinding)) bool {
	for _, one := range s {
		visit(one.studySeen, one.found)
	}
	return false
}

func (s shelfOf) studyCard(key uint64) (status.Card, bool) {
	return status.Card{Study: status.Study{Key: keyText(key)}}, true
}

func newFixDesk(t testing.TB, s studied, now time.Time) *fixDesk {
	t.Helper()
	c := defaultConfig()
	clock := func() time.Time { return now }
	j, err := newAssessor(&c, clock)
	if err != nil {
		t.Fatal(err)
	}
	done, err := openDone(filepath.Join(t.TempDir(), doneFile), clock)
	if err != nil {
		t.Fatal(err)
	}
	return &fixDesk{studies: s, judge: j, done: done, now: clock, audited: func(_ account.Actor, _, _, _ string, act func() error) error { return act() }}
}

// What is to be corrected is counted by cause, device and week; information does not
// count, and what is older than seven days, or was seen to, is not in the status sentence.
func TestWhatIsToBeCorrectedIsCounted(t *testing.T) {
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC) // a Wednesday
	day := func(n int) time.Time { return now.AddDate(0, 0, -n) }
	found := func(codes ...string) (out []metaFinding) {
		for _, c := range codes {
			out = append(out, metaFinding{Code: c})
		}
		return out
	}
	shelf := shelfOf{
		{studySeen{1, "CT1", day(0)}, found("fiscal.check", "fiscal.length", "fiscal.missing")},
		{studySeen{2, "CT1", day(1)}, found("fiscal.missing", "patient.issuer")},
		{studySeen{3, "CT1", day(4)}, found("fiscal.check", "object.cut")},
		{studySeen{4, "CT1", day(8)}, found("fiscal.check")},
		{studySeen{5, "CT1", day(40)}, found("fiscal.check")},
		{studySeen{6, "MR1", day(0)}, nil},
		{studySeen{7, "MR1", day(0)}, found("a.later.version")},
	}
	d := newFixDesk(t, shelf, now)
	g := d.FixGroups()
	if g.Came["CT1"] != (page.FixWeeks{This: 2, Last: 2, Before: 1}) || len(g.Groups) != 2 {
		t.Errorf("%+v", g)
	}
	for _, x := range g.Groups {
		switch x.Cause {
		case "fiscal_code":
			if x.Weeks != (page.FixWeeks{This: 1, Last: 2, Before: 1}) || x.Open != 2 || x.Level != status.LevelWarn {
				t.Errorf("%+v", x)
			}
		case "object":
			if x.Weeks.All() != 1 || x.Level != status.LevelHold {
				t.Errorf("%+v", x)
			}
		}
	}
	if d.toFix() != 2 {
		t.Errorf("%d studies count", d.toFix())
	}
	list, total := d.FixStudies("fiscal_code", "CT1", 2)
	if total != 4 || len(list) != 2 || list[0].Card.Key != keyText(5) {
		t.Errorf("%d, %+v", total, list)
	}
	if err := d.FixDone(t.Context(), keyText(1), account.Actor{Name: "anna"}); err != nil || d.toFix() != 1 {
		t.Errorf("%v, %d count after one was seen to", err, d.toFix())
	}
	if list, _ := d.FixStudies("fiscal_code", "CT1", 9); !list[3].Done || list[2].Done {
		t.Errorf("%+v", list)
	}
	again, err := openDone(d.done.file, d.now)
	if err != nil || !again.has(1, shelf[0].found) {
		t.Errorf("after a start it is open again: %v", err)
	}
	shelf[0].found = append(shelf[0].found, metaFinding{Code: "accession.missing"})
	if d.again(); d.toFix() != 2 {
		t.Errorf("%d count when something new was found", d.toFix())
	}
	for _, key := range []string{"", "nothing", keyText(99), keyText(6)} {
		if key == keyText(6) {
			continue // a study without findings has a sum, too; it counts nowhere
		}
		if err := d.FixDone(t.Context(), key, account.Actor{}); !errors.Is(err, page.ErrFixGone) {
			t.Errorf("%q: %v", key, err)
		}
	}
}

// A file that is not as it was written is told and begun anew: the studies are shown again.
// No more of it is taken into memory than such a file can have.
func TestASpoiledListOfWhatWasSeenToIsBegunAnew(t *testing.T) {
	row := `{"0011223344556677":{"found":7,"at":"2026-11-22T10:00:00Z"}}}`
	for text, read := range map[string]int{
		`{"version":1,"done":` + row:                                  1,
		`{"version":2,"done":` + row:                                  0,
		`{"version":1,"done":` + row + strings.Repeat(" ", doneBytes): 0,
		`{`: 0,
	} {
		name := filepath.Join(t.TempDir(), doneFile)
		ok(t, os.WriteFile(name, []byte(text), 0o600))
		b, err := openDone(name, time.Now)
		if n := len(*b.all.Load()); n != read || (err == nil) != (read == 1) {
			t.Errorf("%.30q: %d studies, %v", text, n, err)
		}
		ok(t, b.set(1, 7))
	}
}

// Nothing is seen to that is not on the audit trail.
func TestNothingIsSeenToWithoutTrail(t *testing.T) {
	d := newFixDesk(t, shelfOf{{studySeen{1, "CT1", time.Now()}, []metaFinding{{Code: "fiscal.check"}}}}, time.Now())
	d.audited = func(account.Actor, string, string, string, func() error) error { return page.ErrNotRecorded }
	if err := d.FixDone(t.Context(), keyText(1), account.Actor{}); !errors.Is(err, page.ErrNotRecorded) || d.toFix() != 1 {
		t.Errorf("%v, %d", err, d.toFix())
	}
}

// With 100,000 studies a look takes some milliseconds.
func BenchmarkFixGroups(b *testing.B) {
	now := time.Now()
	shelf := make(shelfOf, 100_000)
	for i := range shelf {
		shelf[i].studySeen = studySeen{uint64(i + 1), []string{"CT1", "CT2", "MR1", "US1"}[i%4], now.Add(-time.Duration(i) * time.Minute)}
		shelf[i].found = []metaFinding{{Code: "fiscal.missing"}, {Code: "patient.issuer"}}
		if i%10 == 0 {
			shelf[i].found = append(shelf[i].found, metaFinding{Code: "fiscal.check"}, metaFinding{Code: "accession.missing"})
		}
	}
	d := newFixDesk(b, shelf, now)
	for b.Loop() {
		d.again()
		d.FixGroups()
	}
}
