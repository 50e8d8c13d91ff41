package main

import (
	"database/sql"
	"maps"
	"strings"
	"testing"
	"time"

	"edged/internal/dicom"
	"edged/internal/quality"
	"edged/spool"
)

// What holds an object is said at the hub in words behind its code, from the first moment
// and once, however often lines and hubs come and go; of what is not held nothing is said,
// and of what a device wrote nothing leaves (P10).
func TestTheHubSaysWhyItHolds(t *testing.T) {
	t.Parallel()
	r := newRig(t, "quality: {hold: true}\n", "").up()
	r.hubd.stop()
	today := time.Now().Format("20060102")
	at := func(uid string, more exam) object {
		e := goodExam().with(exam{0x00080018: {"UI", uid}, 0x00080020: {"DA", today}, 0x0020000D: {"UI", "2.25.81"}}).with(more)
		return object{dicom.Names{TransferSyntax: explicitLE, SOPClass: ctClass, SOPInstance: uid}, e.bytes()}
	}
	whole := at("2.25.81.1", exam{0x00100020: {"LO", "SEGRETO-1"}, 0x00100010: {"PN", "Segretissimi^Pio"}})
	cut := at("2.25.81.2", exam{0x00100020: {"LO", "SEGRETO-1"}})
	cut.data = cut.data[:len(cut.data)-6]
	short := at("2.25.81.3", exam{0x00100020: {"LO", "SEGRETO-1"}, 0x7FE00010: {"OW", strings.Repeat("\x01", 16)}})
	other := at("2.25.81.4", exam{0x00100020: {"LO", "SEGRETO-2"}})
	r.mustStore(r.associate("CT1", whole.need()), whole, cut, short, other)
	settled := func() bool {
		rows := r.rows()
		return rows[whole.id()].State == "archived" && rows[cut.id()].State == "held" && rows[short.id()].State == "held" && rows[other.id()].State == "held"
	}
	r.startHub()
	r.await("three to be held", settled)
	says := func() {
		t.Helper()
		list := r.must("hubd", "objects", "ls", "-c", r.path("hubd.yaml"))
		why := map[string]string{}
		for _, line := range strings.Split(list, "\n") {
			if id, rest, ok := strings.Cut(line, " "); ok {
				why[id] = rest
			}
		}
		for id, want := range map[string]string{
			cut.id():   "held: object.cut: The image arrived cut off: its end is missing.",
			short.id(): "held: pixels.short: The image is incomplete: it should have 32 bytes, it has 16 bytes.",
			other.id(): "held: study.patients: The same study belongs to two different patients.",
		} {
			if !strings.Contains(why[id], want) {
				t.Errorf("hubd objects ls says %q\nwant %q", why[id], want)
			}
		}
	}
	says()

	// Restored from a backup, a hub is told all of it again.
	r.hubd.stop()
	r.raiseGeneration()
	r.startHub()
	r.await("the hub to have been met again", func() bool { return strings.Contains(r.edged.said.String(), "offering everything again") })
	r.await("three to be held still", func() bool { return settled() && r.count("ready")+r.count("sending") == 0 })
	says()
	for where, said := range map[string]string{"hub's log": r.hubd.said.String(), "log": r.edged.said.String(), "hubd objects ls": r.must("hubd", "objects", "ls", "-c", r.path("hubd.yaml"))} {
		if strings.Contains(said, "SEGRETO") || strings.Contains(said, "egretissimi") {
			t.Errorf("%s names a patient", where)
		}
	}
	if strings.Contains(r.hubd.said.String(), "arrived cut off") {
		t.Error("the hub's log has what was found")
	}
	r.hubd.stop()
	found := r.foundRows()
	want := map[string]string{}
	for _, o := range []object{cut, short, other} {
		want[o.id()] = "1"
	}
	if !maps.Equal(found, want) {
		t.Errorf("rows of findings: %v", found)
	}
}

// foundRows are the rows of findings of a hub that is not running.
func (r *rig) foundRows() map[string]string {
	r.t.Helper()
	db, err := sql.Open("sqlite", r.path("hub/ledger.db"))
	ok(r.t, err)
	defer db.Close()
	rows, err := db.Query(`SELECT lower(hex(id)), count(*) FROM findings GROUP BY id`)
	ok(r.t, err)
	defer rows.Close()
	out := map[string]string{}
	for rows.Next() {
		var id, n string
		ok(r.t, rows.Scan(&id, &n))
		out[id] = n
	}
	ok(r.t, rows.Err())
	return out
}

// Only the first three checks are told to the hub, only numbers beside them, and not
// without bound.
func TestWhatHoldsIsSentAsCodesAndNumbers(t *testing.T) {
	t.Parallel()
	for want, found := range map[string][]metaFinding{
		"":                               {{Code: "fiscal.check", A: "RSSMRA72H26F941L"}, {Code: "name.missing"}, {Code: "of.tomorrow", A: "1", B: "2"}},
		"object.cut":                     {{Code: "object.cut", A: "1", B: "2"}, {Code: "object.cut"}},
		"study.patients":                 {{Code: "study.patients", A: "RSSMRA72H26F941L", B: "1234"}},
		"pixels.short 32 16":             {{Code: "pixels.short", A: "32", B: "16"}, {Code: "fiscal.missing"}},
		"pixels.frames":                  {{Code: "pixels.frames", A: "12", B: "Rossi"}},
		"uid.reused":                     {{Code: "uid.reused", A: "123", B: "456"}},
		"object.unreadable; pixels.open": {{Code: string(quality.Unreadable)}, {Code: string(quality.PixelsOpen)}},
	} {
		if got := holdWords(found); got != want {
			t.Errorf("%v: %q, want %q", found, got, want)
		}
	}
	var all []metaFinding
	for _, e := range quality.Table() {
		all = append(all, metaFinding{Code: string(e.Code)})
	}
	if n := strings.Count(holdWords(all), ";"); n != maxHoldCodes-1 {
		t.Errorf("%d codes", n+1)
	}
	held := spool.Object{Flags: flagHold | flagCut}
	for _, o := range []spool.Object{{Flags: flagCut}, {Flags: held.Flags, Test: true}} {
		if got := heldFor(nil, o, Meta{Findings: []metaFinding{{Code: "object.cut"}}}); got != "" {
			t.Errorf("%+v: %q", o, got)
		}
	}
}
