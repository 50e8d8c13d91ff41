package main

import (
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"edged/agent/status"
)

// desk is the studies of a clinic, read anew as after a start.
func (k *clinic) desk() studyDesk {
	k.Helper()
	k.door.judge.met, k.door.judge.ring, k.door.judge.next = map[string]metPatient{}, nil, 0
	c := newCards(k.door.keeper, cardSecret, time.UTC, slog.New(slog.DiscardHandler))
	c.recall = k.door.judge.recall
	c.through(k.Context(), k.spool)
	for c.stillReading() {
		c.fillSome(k.spool)
	}
	d := deskOver(c)
	d.judge = k.door.judge
	return d
}

func (d studyDesk) saysOf(study string) (out []string) {
	c, _ := d.studyCard(d.cards.keyOf(study))
	for _, f := range c.Findings {
		out = append(out, strings.TrimSpace(f.Code+" "+f.Values[0]+" "+f.Values[1]))
	}
	return out
}

// After a start a study has the findings of all its objects, those of their ends with both values,
// and a reused accession number is known again.
func TestFindingsOutliveARestart(t *testing.T) {
	k := newClinic(t, nil)
	k.exam("CT1", goodExam())
	k.exam("CT1", goodExam().with(exam{0x00080018: {"UI", "2.25.9.2"}, 0x00280010: {"US", "\x05\x00"}}))
	k.exam("CT1", goodExam().with(exam{0x00080018: {"UI", "2.25.9.3"}, 0x00100030: {"DA", "19720726"}}))
	k.exam("CT1", goodExam().with(exam{0x00080018: {"UI", "2.25.9.4"}, 0x00100020: {"LO", "VRDLGU75T10A562U"}}))
	d := k.desk()
	for _, want := range []string{"pixels.short 40 32", "fiscal.birth 1972-06-26 1972-07-26", "study.patients VRDLGU75T10A562U RSSMRA72H26F941L"} {
		if got := d.saysOf("2.25.9"); !slices.Contains(got, want) {
			t.Errorf("after a start: %q, want %q among them", got, want)
		}
	}
	o, m := k.exam("CT1", goodExam().with(exam{0x00080018: {"UI", "2.25.8.1"}, 0x0020000D: {"UI", "2.25.8"}, 0x00100020: {"LO", "P8"}}))
	if got := found(o, m); !slices.Contains(got, "accession.reused A0012345 RSSMRA72H26F941L") {
		t.Errorf("found %q", got)
	}
}

// From stored objects to the page: two patients, fewer instances than announced, far fewer
// than usual, and a wrong clock stand with the study, and in what is to be corrected, too.
func TestStudiesAreJudgedFromStoredData(t *testing.T) {
	k := newClinic(t, func(q *Quality) {
		q.UsualStudies = 3
		q.Actions = []QualityAction{{Finding: "study.unusual", Level: "warn"}}
	})
	put := func(study string, n int, change exam) {
		for i := range n {
			uid := study + "." + string(rune('1'+i))
			k.exam("CT1", goodExam().with(exam{0x00080018: {"UI", uid}, 0x0020000D: {"UI", study}, 0x00080050: {"SH", study}}).with(change))
		}
	}
	for _, study := range []string{"2.25.31", "2.25.32", "2.25.33"} {
		put(study, 8, nil)
	}
	put("2.25.34", 3, nil)
	put("2.25.35", 6, nil)
	put("2.25.36", 8, nil)
	k.exam("CT1", goodExam().with(exam{0x00080018: {"UI", "2.25.36.9"}, 0x0020000D: {"UI", "2.25.36"}, 0x00080050: {"SH", "2.25.36"}, 0x00100020: {"LO", "VRDLGU75T10A562U"}}))
	k.door.judge.ahead = func(device string) (time.Duration, bool) { return 0, false }
	d := k.desk()
	d.cards.mu.Lock()
	for i := range d.cards.all { // nothing more comes
		in := &d.cards.all[i]
		if in.bits |= cardSettled; in.group == "2.25.35" {
			in.expected = 10 // as the MPPS said
		}
	}
	d.cards.mu.Unlock()
	d.cards.learn(time.Now())
	fix := newFixDesk(t, d, k.door.judge.now())
	fix.judge = k.door.judge
	toFix := func() map[string]int64 {
		fix.again()
		out := map[string]int64{}
		for _, g := range fix.FixGroups().Groups {
			out[g.Cause] += g.Weeks.All()
		}
		return out
	}
	if got := toFix(); got["completeness"] != 2 || got["patients"] != 1 || got["clock"] != 0 {
		t.Errorf("to be corrected: %v", got)
	}
	told := map[string][]string{}
	d.eachStudy(func(s studySeen, found []metaFinding) {
		for _, f := range found {
			told[keyText(s.key)] = append(told[keyText(s.key)], strings.TrimSpace(f.Code+" "+f.A+" "+f.B))
		}
	})
	for study, want := range map[string]string{"2.25.34": "study.unusual 8 3", "2.25.35": "study.fewer 10 6"} {
		if got := told[status.StudyKey(cardSecret, study)]; !slices.Contains(got, want) {
			t.Errorf("%s: %q, want %q", study, got, want)
		}
	}
	if got := told[status.StudyKey(cardSecret, "2.25.31")]; len(got) > 0 {
		t.Errorf("an ordinary study: %q", got)
	}
	k.door.judge.ahead = func(device string) (time.Duration, bool) { return 5 * time.Minute, device == "CT1" }
	if got := toFix(); got["clock"] != 6 {
		t.Errorf("with a wrong clock: %v", got)
	}
	if got := d.saysOf("2.25.31"); !slices.Contains(got, "clock.drift 300 60") {
		t.Errorf("the study says %q", got)
	}
}

// However many cards there are, a page visits each once, in parts.
func TestAllCardsAreVisitedInParts(t *testing.T) {
	c := newCards(nil, cardSecret, time.UTC, slog.New(slog.DiscardHandler))
	c.all = make([]card, 5*atOnce)
	n, free := 0, 0
	c.newestFirst(func(*card) bool {
		n++
		return true
	})
	c.oldestFirst(func(*card) { free++ })
	if n != len(c.all) || free != n {
		t.Errorf("%d and %d of %d cards were visited", n, free, len(c.all))
	}
	if c.usualOf(&card{}) != (usualCount{}) {
		t.Error("something is usual without a study")
	}
}
