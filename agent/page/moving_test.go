package page

import (
	"strings"
	"testing"
	"time"

	"edged/agent/status"
)

// afterAnOutage is an appliance with 300 studies to send, of which the oldest two
// leave: the others follow in the order in which they came.
func afterAnOutage() *demo {
	d := ordinary()
	d.studies = nil
	for i := range 300 { // newest first, as a Source gives them
		s := study("CT", "CT1", 842, 442e6, time.Duration(3+i)*time.Minute, status.Hops{Received: 842})
		s.Complete = true
		d.studies = append(d.studies, moving(s, 0, 0, 0))
	}
	first, second := &d.studies[299], &d.studies[298]
	first.Hops, second.Hops = status.Hops{Sending: 40, AtHub: 802}, status.Hops{Received: 800, Sending: 42}
	*first, *second = moving(*first, 421e6, 96e6, 11*time.Second), moving(*second, 4e6, 0, 0)
	d.moving = []status.Study{*second, *first}
	d.status.State, d.status.Reasons = status.CatchingUp, []status.Reason{{Code: status.Backlog, Count: 251_558}}
	d.status.Uplink.BacklogObjects, d.status.Uplink.BacklogBytes, d.status.Uplink.BacklogStudies = 251_558, 132e9, 300
	return d
}

// What is said to be on its way is: also when hundreds wait that came later and are
// looked at before it. Of these nobody says that they are the next; they are counted,
// from all that is to be sent.
func TestWhatMovesIsShownAlsoWhenManyWait(t *testing.T) {
	d := afterAnOutage()
	f := facts{Now: morning, Status: d.status, Studies: d.Studies(lookedAt), Moving: d.Moving(lookedAt)}
	list, more := movingOf(f, catalogues["it"])
	if len(list) != 2 || list[0].Rate == "" || list[0].Left != "ancora circa 11 secondi" || list[1].Left != "in partenza" {
		t.Fatalf("%+v", list)
	}
	if more != "e altri 298 esami da inviare" {
		t.Errorf("the rest is %q", more)
	}
	if page := text(t, ask(t, d, "/?lang=it")); !strings.Contains(page, list[0].Rate) || !strings.Contains(page, more) {
		t.Errorf("the page does not show what moves:\n%s", page)
	}
}

// While there are few, those that wait are shown behind those that move.
func TestFewThatWaitAreShownBehindWhatMoves(t *testing.T) {
	d := afterAnOutage()
	d.status.Uplink.BacklogStudies = 7
	list, more := movingOf(facts{Now: morning, Status: d.status, Studies: d.studies[293:], Moving: d.moving}, catalogues["it"])
	if len(list) != shownMoving || list[0].Rate == "" || list[1].Left != "in partenza" || list[2].Left != "aspetta il suo turno" || list[2].Time != "03:42" {
		t.Errorf("%+v", list)
	}
	if more != "e altri 3 esami da inviare" {
		t.Errorf("the rest is %q", more)
	}
}

// A study that moves and is among the latest too is one study.
func TestAStudyIsOnItsWayOnce(t *testing.T) {
	d := ordinary()
	f := facts{Now: morning, Status: d.status, Studies: d.studies, Moving: d.studies[:1]}
	if list, more := movingOf(f, catalogues["en"]); len(list) != 1 || more != "" {
		t.Errorf("%d are on their way, %q", len(list), more)
	}
}

// sixAtOnce are more studies on their way than are listed as such.
func sixAtOnce() *demo {
	d := ordinary()
	for i := range d.studies[:6] {
		s := study("CT", "CT1", 100, 400e6, time.Duration(5+i)*time.Minute, status.Hops{Received: 60, Sending: 10, AtHub: 30})
		s.Complete = true
		d.studies[i] = moving(s, 120e6+float64(i)*1e6, 16e6, time.Duration(2+i)*time.Minute)
	}
	d.status.Uplink.BacklogStudies = 6
	return d
}

// Of each study on its way the page has bytes, rate and end, once: above, or in its
// row where there is no room above; without a line, how much of it had left.
func TestOfEachStudyOnItsWayThePageSaysHowFarItIs(t *testing.T) {
	d := sixAtOnce()
	for lang, want := range map[string][2]string{
		"it": {"124 MB di 400 MB · 16 Mbit/s</p> <p>ancora circa 6 minuti", "125 MB di 400 MB · 16 Mbit/s</p> <p>ancora circa 7 minuti"},
		"en": {"124 MB of 400 MB · 16 Mbit/s</p> <p>about 6 minutes left", "125 MB of 400 MB · 16 Mbit/s</p> <p>about 7 minutes left"},
		"de": {"124 MB von 400 MB · 16 Mbit/s</p> <p>noch etwa 6 Minuten", "125 MB von 400 MB · 16 Mbit/s</p> <p>noch etwa 7 Minuten"},
	} {
		page := strings.Join(strings.Fields(strings.ReplaceAll(text(t, ask(t, d, "/?lang="+lang)), "\u00a0", " ")), " ")
		for _, row := range want {
			if !strings.Contains(page, row) {
				t.Errorf("%s: no %q", lang, row)
			}
		}
		above, _, _ := strings.Cut(want[0], " · ")
		if above = strings.Replace(above, "124", "121", 1); strings.Count(page, above+"</p>") != 1 || strings.Contains(page, above+" ·") {
			t.Errorf("%s: %q is not there once, above", lang, above)
		}
	}
	down := scenes()["stopped"]
	if page := strings.ReplaceAll(text(t, ask(t, down, "/?lang=en")), "\u00a0", " "); !strings.Contains(page, ">331 MB of 442 MB</p>") || strings.Contains(page, "seconds left") {
		t.Error("without a line the page does not say how much had left, or says when it ends")
	}
	d.studies[5].Progress.RateBitsPerSecond, d.studies[5].Progress.EndsAt = 0, time.Time{}
	if row := studiesOf(facts{Now: morning, Status: d.status, Studies: d.studies}, nil, catalogues["en"])[5]; row.Left != "about to leave" || strings.Contains(row.Going, "bit/s") {
		t.Errorf("one that stands still: %+v", row)
	}
}
