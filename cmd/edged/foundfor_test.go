package main

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"edged/agent/status"
	"edged/internal/dicom"
)

// What is found in a study travels with it: in how many images, once it came to rest, to a
// hub that was away meanwhile, also when the appliance had to read it all again. It holds
// nothing, and what a device wrote stays here (P10).
func TestWhatIsFoundInAStudyTravelsWithIt(t *testing.T) {
	t.Parallel()
	r := newRig(t, "dicom: {listen: \"$DICOM\", devices: [{ae_title: CT1, address: 127.0.0.1, quiet: 1s}]}\n", "").up()
	r.hubd.stop()
	today := time.Now().Format("20060102")
	at := func(study string, n int, more exam) object {
		uid := fmt.Sprint(study, ".", n)
		e := goodExam().with(exam{0x00080018: {"UI", uid}, 0x00080020: {"DA", today}, 0x0020000D: {"UI", study}}).with(more)
		return object{dicom.Names{TransferSyntax: explicitLE, SOPClass: ctClass, SOPInstance: uid}, e.bytes()}
	}
	const wrong = "RSSMRA72H26F941X" // its last letter should be L
	secret := exam{0x00100020: {"LO", wrong}, 0x00100010: {"PN", "Segretissimi^Pio"}, 0x00080050: {"SH", ""}}
	bad := []object{at("2.25.83", 1, secret), at("2.25.83", 2, secret), at("2.25.83", 3, secret.with(exam{0x00080050: {"SH", "A0012346"}}))}
	good := at("2.25.84", 1, nil)
	c := r.associate("CT1", good.need())
	r.mustStore(c, append(bad, good)...)
	ok(t, c.Release(t.Context()))
	r.await("both to have come to rest", func() (rest bool) {
		rest = true
		ok(t, r.control().studies(t.Context(), func(s studyRow) error { rest = rest && s.Complete; return nil }))
		return rest
	})
	r.edged.kill()
	r.startEdged()
	r.startHub()
	r.await("the hub to know of it", func() bool { return strings.Contains(r.findings(), "2.25.83") })
	r.await("all to be archived", func() bool {
		rows := r.rows()
		for _, o := range append(bad, good) {
			if rows[o.id()].State != "archived" {
				return false
			}
		}
		return true
	})
	list := r.findings()
	for _, want := range []string{`accession\.missing +2 +3 .*"2\.25\.83"`, `fiscal\.check +3 +3 .*"2\.25\.83"`} {
		if !regexp.MustCompile(want).MatchString(list) {
			t.Errorf("no %s in\n%s", want, list)
		}
	}
	if one := r.must("hubd", "findings", "ls", "--code", "fiscal.check", "-c", r.path("hubd.yaml")); strings.Contains(one, "accession") || !strings.Contains(one, "fiscal.check") {
		t.Errorf("of one kind:\n%s", one)
	}
	if strings.Contains(list, "2.25.84") {
		t.Errorf("of one with which nothing is wrong:\n%s", list)
	}
	for where, said := range map[string]string{"hub's log": r.hubd.said.String(), "log": r.edged.said.String(), "hubd findings ls": list} {
		if strings.Contains(said, wrong) || strings.Contains(said, "egretissimi") {
			t.Errorf("%s names a patient", where)
		}
	}
}

func (r *rig) findings() string {
	r.t.Helper()
	return r.must("hubd", "findings", "ls", "-c", r.path("hubd.yaml"))
}

// As long as the cards are behind the spool nobody says that nothing was found.
func TestWhatIsFoundIsNotKnownWhileCardsAreRead(t *testing.T) {
	t.Parallel()
	s, f := openFeed(t)
	d := studyDesk{cards: newCards(f.keeper, cardSecret, time.UTC, nil), keeper: f.keeper, view: &view{secret: cardSecret}}
	if _, known := d.foundFor("1.2.3"); known {
		t.Error("while they are read")
	}
	d.cards.through(t.Context(), s)
	for d.cards.stillReading() {
		d.cards.fillSome(s)
	}
	if codes, known := d.foundFor("1.2.3"); !known || codes != "" {
		t.Errorf("of a study that is not here: %q %t", codes, known)
	}
	d.cards.missed.Store(true)
	if _, known := d.foundFor("1.2.3"); known {
		t.Error("while some of the news had no room")
	}
	if got := foundCodes([]status.Finding{{Code: "fiscal.check", Count: 2, Values: [2]string{"RSSMRA72H26F941X", "L"}}, {Code: "study.births"}}); got != "fiscal.check 2; study.births 0" {
		t.Errorf("%q", got)
	}
}
