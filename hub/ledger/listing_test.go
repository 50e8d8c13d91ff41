package ledger

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"edged/hub"
)

func (w *world) enrol(id, facility string, n byte) {
	w.Helper()
	w.must(w.AddCode(w.ctx, [32]byte{n}, facility, w.now.Add(time.Hour), "cli:root"))
	_, err := w.Claim(w.ctx, [32]byte{n}, [32]byte{n, 1}, id, "")
	w.must(err)
}

func TestAppliancesArePagedAndFound(t *testing.T) {
	w := start(t, Config{})
	for n := range 25 {
		w.enrol(fmt.Sprintf("dev%02d", n), fmt.Sprintf("ASL%d", n%3), byte(n+1))
	}
	w.must(w.SetApproved(w.ctx, "dev07", false, "cli:root"))
	w.must(w.Seen(w.ctx, "n1", map[string]time.Time{"dev03": w.now}))
	w.must(w.Seen(w.ctx, "n2", map[string]time.Time{"dev03": w.now.Add(-time.Hour)})) // a node that was slow to say so
	w.receive(object("dev03", 1, "x"), object("dev03", 2, "x"))
	all := func(f DeviceFilter) (ids []string) {
		for after := ""; ; {
			page, err := w.DevicePage(w.ctx, f, after, 4)
			w.must(err)
			for _, d := range page {
				ids, after = append(ids, d.ID), d.ID
			}
			if len(page) < 4 {
				return ids
			}
		}
	}
	w.want("all", len(all(DeviceFilter{})), 25)
	w.want("of a facility", len(all(DeviceFilter{Facility: "ASL1"})), 8)
	w.want("found by id, whatever the case", all(DeviceFilter{Search: "DEV1"}), "[dev10 dev11 dev12 dev13 dev14 dev15 dev16 dev17 dev18 dev19]")
	w.want("a pattern is a text", len(all(DeviceFilter{Search: "dev_"})), 0)
	w.want("revoked", all(DeviceFilter{State: "revoked"}), "[dev07]")
	w.want("quiet", len(all(DeviceFilter{Quiet: w.now.Add(-time.Minute)})), 24)
	d, err := w.DeviceRow(w.ctx, "dev03")
	w.must(err)
	if !d.Seen.Equal(w.now) || d.SeenBy != "n1" || d.Waiting != 2 || d.Facility != "ASL0" {
		t.Errorf("got %+v", d)
	}
	if _, err := w.DeviceRow(w.ctx, "nobody"); !errors.Is(err, ErrNotListed) {
		t.Errorf("got %v", err)
	}
}

// A code that was cancelled enrols nobody, and lists show no secret.
func TestACancelledCodeEnrolsNobody(t *testing.T) {
	w := start(t, Config{})
	for n := range 5 {
		w.must(w.AddCode(w.ctx, [32]byte{byte(n), 1: 9}, "ASL1", w.now.Add(time.Hour), "cli:root"))
	}
	var all []Code
	for mark := (CodeMark{}); ; {
		page, err := w.Codes(w.ctx, true, mark, 2)
		w.must(err)
		all = append(all, page...)
		if len(page) < 2 {
			break
		}
		mark = CodeMark{page[1].Created, page[1].ID}
	}
	w.want("codes", len(all), 5)
	w.must(w.CancelCode(w.ctx, all[0].ID, Who("token:anna", "10.0.0.1")))
	if err := w.CancelCode(w.ctx, all[0].ID, "token:anna"); !errors.Is(err, ErrCodeClosed) {
		t.Errorf("twice: %v", err)
	}
	for _, id := range []string{"", "zz", strings.Repeat("ab", 16)} {
		if err := w.CancelCode(w.ctx, id, "token:anna"); !errors.Is(err, ErrCodeClosed) {
			t.Errorf("%q: %v", id, err)
		}
	}
	if _, err := w.Claim(w.ctx, [32]byte{0, 1: 9}, [32]byte{1}, "d", ""); err == nil {
		t.Error("it was cancelled and enrols")
	}
	_, err := w.Claim(w.ctx, [32]byte{1, 1: 9}, [32]byte{1}, "d", "")
	w.must(err)
	open, err := w.Codes(w.ctx, true, CodeMark{}, 10)
	w.must(err)
	w.want("open", len(open), 3)
	if got := w.entries()[1]; got.Action != "code cancel" || got.Actor != "token:anna" || got.Origin != "10.0.0.1" {
		t.Errorf("trail: %+v", got)
	}
}

func TestTroubleIsPagedAndFiltered(t *testing.T) {
	w := start(t, Config{})
	w.enrol("A", "ASL1", 1)
	w.receive(object("A", 1, "x"), object("A", 1, "other"), object("A", 2, "x"), object("B", 3, "x"))
	for _, j := range w.lease("vna", 10) {
		switch j.Object.Names.SOPInstance {
		case "1.2.2":
			w.must(w.Refuse(w.ctx, j, "A900 data set does not match SOP class"))
		case "1.2.3":
			w.must(w.Lost(w.ctx, j, "digest"))
		}
	}
	count := func(f TroubleFilter) (n int) {
		for after := int64(0); ; n++ {
			page, err := w.TroublePage(w.ctx, f, after, 1)
			w.must(err)
			if len(page) == 0 {
				return n
			}
			after = page[0].Seq
		}
	}
	w.want("all", count(TroubleFilter{}), 3)
	for state, n := range map[string]int{"held": 1, "permanent": 1, "lost": 1, "unconfirmed": 0} {
		w.want(state, count(TroubleFilter{State: state}), n)
	}
	w.want("by words", count(TroubleFilter{Words: "a900"}), 1)
	w.want("by device", count(TroubleFilter{Device: "B"}), 1)
	w.want("by destination", count(TroubleFilter{Destination: "other"}), 0)
}

// What waits for longest is first; a page never shows a study twice, and what is
// archived is not shown.
func TestStudiesOnTheirWayAreListedTheOldestFirst(t *testing.T) {
	w := start(t, Config{})
	w.enrol("A", "ASL1", 1)
	var mine []hub.Object
	for n := range 12 {
		o := object("A", n, "x")
		o.Study = fmt.Sprintf("1.9.%d", n%4)
		mine = append(mine, o)
		w.receive(o)
		w.now = w.now.Add(time.Minute)
	}
	test := object("A", 50, "x")
	test.Study, test.Flags = "1.9.99", hub.FlagTest
	w.receive(test)
	for _, j := range w.lease("vna", 12) { // study 0 is archived, of study 1 the first object
		if j.Object.Study == "1.9.0" || j.Object.ID == mine[1].ID {
			w.must(w.Done(w.ctx, j, ""))
		}
	}
	var got []string
	for after, pages := int64(0), 0; pages < 10; pages++ {
		page, next, err := w.StudyPage(w.ctx, "", after, 2)
		w.must(err)
		for _, s := range page {
			got = append(got, fmt.Sprintf("%s %d of %d", s.UID, s.Waiting, s.Received))
		}
		if after = next; next == 0 {
			break
		}
	}
	w.want("studies", strings.Join(got, ", "), "1.9.2 3 of 3, 1.9.3 3 of 3, 1.9.1 2 of 3")
	page, _, err := w.StudyPage(w.ctx, "B", 0, 10)
	w.must(err)
	w.want("of another appliance", len(page), 0)
	page, _, err = w.StudyPage(w.ctx, "A", 0, 10)
	w.must(err)
	s, err := w.StudyOf(w.ctx, page[2].Key)
	w.must(err)
	if s != page[2] || s.Facility != "ASL1" || !s.Oldest.After(s.First) {
		t.Errorf("got %+v\nwant %+v", s, page[2])
	}
	objects, err := w.StudyObjects(w.ctx, s, 0, 10)
	w.must(err)
	if len(objects) != 3 || objects[0].Archived.IsZero() || objects[0].Hops[0].State != "done" || !objects[1].Archived.IsZero() || objects[1].Hops[0].State != "leased" {
		t.Errorf("got %+v", objects)
	}
	if _, err := w.StudyOf(w.ctx, 13); !errors.Is(err, ErrNotListed) {
		t.Errorf("a test object is no study: %v", err)
	}
}
