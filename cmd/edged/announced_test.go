package main

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"edged/dimse"
	"edged/dimse/steps"
	"edged/internal/synth"
)

// What a device announces of a study that is settled already, as each is after a start, the
// cards hear of without an image that comes; and what was announced stays so while nobody
// knows: after a start until the steps are read, and while another step is in progress.
func TestWhatIsAnnouncedLateIsMissedToo(t *testing.T) {
	w := newWard(t)
	w.image("ct")
	c := newCards(w.keeper, cardSecret, time.UTC, slog.New(slog.DiscardHandler))
	c.through(t.Context(), w.spool)
	knows := func(want int32) {
		t.Helper()
		dirty := map[string]bool{}
		c.drain(dirty)
		c.refresh(w.spool, dirty)
		if in := c.find(c.keyOf(wardStudy)); in == nil || in.expected != want || in.seq == 0 || len(c.all) != 1 || dirty[wardStudy] != (want > 0) {
			t.Errorf("%+v, want %d", in, want)
		}
	}
	knows(0)
	w.told = c.announced
	w.says("2.25.2", steps.Completed, steps.Made{Series: "ct", Instances: 3})
	knows(3)
	w.says("2.25.3", steps.InProgress)
	w.expects(0)
	knows(3)
	w.says("2.25.3", steps.Completed, steps.Made{Series: "pet", Instances: 2})
	knows(5)
	for range cap(c.news) + 1 {
		c.announced(wardStudy)
	}
	if !c.missed.Load() {
		t.Error("what had no room is not looked for")
	}
}

// A study of which the device has sent less than it announced is incomplete in its day's
// report, also where it said so when the study had long been quiet, and after each start.
func TestADayStaysShortOverStarts(t *testing.T) {
	t.Parallel()
	r := newRig(t, `dicom: {listen: "$DICOM", devices: [{ae_title: CT1, quiet: 1s}]}`+"\n"+alone, "")
	r.startEdged()
	p := synth.Bench(3, 64<<10)
	study, objects := synth.Studies(1, p)[0].UID, synthetic(t, 1, p)
	c := r.associate("CT1", objects[0].need())
	r.mustStore(c, objects[:2]...)
	ok(t, c.Release(t.Context()))
	r.await("the study to be complete by quiet", func() bool { return r.theStudy().Complete })
	mpps := r.associate("CT1", dimse.Need{SOPClassUID: dimse.PerformedProcedureStep, TransferSyntaxUID: dimse.ImplicitVRLE})
	r.beginStep(mpps, "2.25.1", study)
	r.endStep(mpps, "2.25.1", "COMPLETED", objects...)
	ok(t, mpps.Release(t.Context()))
	short := func() bool { return strings.Contains(r.page0("/days?lang=en"), "1 image is missing that never came") }
	r.await("the report to say what is missing", short)
	for range 3 {
		r.edged.kill()
		r.startEdged()
		r.await("the report to say so after a start", short)
		stays(t, time.Second, "and to go on saying so", short)
	}
}
