package main

import (
	"context"
	"fmt"
	"io"
	"testing"
	"time"

	"edged/dimse"
	"edged/dimse/dataset"
	"edged/dimse/steps"
	"edged/internal/synth"
	"edged/spool"
)

// Attributes of a performed procedure step (PS3.4 Table F.7.2-1).
const (
	tagStepStatus    dataset.Tag = 0x00400252
	tagScheduledStep dataset.Tag = 0x00400270
	tagStudyUID      dataset.Tag = 0x0020000D
	tagStepSeries    dataset.Tag = 0x00400340
	tagStepImages    dataset.Tag = 0x00081140
	tagImageUID      dataset.Tag = 0x00081155
)

// inSyntax writes a data set as our contexts for it have it.
func inSyntax(t *testing.T, s dataset.Set) dimse.DataSet {
	t.Helper()
	b, err := s.Append(nil, dimse.ImplicitVRLE)
	ok(t, err)
	return dimse.DataSet{TransferSyntaxUID: dimse.ImplicitVRLE, Bytes: b}
}

// beginStep sends the N-CREATE of a step of study.
func (r *rig) beginStep(c *dimse.Client, uid, study string) {
	r.t.Helper()
	var scheduled, s dataset.Set
	scheduled.Set(tagStudyUID, "UI", study)
	s.Set(tagStepStatus, "CS", "IN PROGRESS")
	s.SetItems(tagScheduledStep, []dataset.Set{scheduled})
	if rsp, err := c.CreateStep(r.t.Context(), uid, inSyntax(r.t, s)); err != nil || !rsp.Status.IsSuccess() {
		r.t.Fatalf("N-CREATE: %v %s, %v", rsp.Status, rsp.Comment, err)
	}
}

// endStep sends the N-SET that says which images a step has made.
func (r *rig) endStep(c *dimse.Client, uid, how string, made ...object) {
	r.t.Helper()
	var series, s dataset.Set
	var images []dataset.Set
	for _, o := range made {
		var i dataset.Set
		i.Set(tagImageUID, "UI", o.names.SOPInstance)
		images = append(images, i)
	}
	series.SetItems(tagStepImages, images)
	s.Set(tagStepStatus, "CS", how)
	s.SetItems(tagStepSeries, []dataset.Set{series})
	if rsp, err := c.SetStep(r.t.Context(), uid, inSyntax(r.t, s)); err != nil || !rsp.Status.IsSuccess() {
		r.t.Fatalf("N-SET: %v %s, %v", rsp.Status, rsp.Comment, err)
	}
}

// theStudy is the one study that is here.
func (r *rig) theStudy() (row studyRow) {
	r.t.Helper()
	n := 0
	ok(r.t, r.control().studies(r.t.Context(), func(s studyRow) error { row, n = s, n+1; return nil }))
	if n != 1 {
		r.t.Fatalf("%d studies are here, want 1", n)
	}
	return row
}

// A modality that says how many images a study has makes it complete with the last
// of them, and not before, however long the quiet time is; steps that were
// discontinued count, steps of one study add up, and a restart forgets nothing
// (PS3.4 §F.7).
func TestProcedureStepsSayWhenAStudyIsComplete(t *testing.T) {
	t.Parallel()
	r := newRig(t, `dicom: {listen: "$DICOM", devices: [{ae_title: CT1, quiet: 24h}]}`+"\n"+alone, "")
	r.startEdged()
	p := synth.Bench(3, 64<<10)
	all := synth.Studies(1, p)
	study := all[0].UID
	objects := synthetic(t, 1, p)
	mpps := dimse.Need{SOPClassUID: dimse.PerformedProcedureStep, TransferSyntaxUID: dimse.ImplicitVRLE}
	c := r.associate("CT1", mpps)
	r.beginStep(c, "2.25.1", study)
	r.beginStep(c, "2.25.2", study)
	r.endStep(c, "2.25.1", "COMPLETED", objects[:2]...)
	r.endStep(c, "2.25.2", "DISCONTINUED", objects[2:3]...)
	ok(t, c.Release(t.Context()))
	store := func(o ...object) {
		c := r.associate("CT1", o[0].need())
		r.mustStore(c, o...)
		ok(t, c.Release(t.Context()))
	}
	store(objects[:2]...)
	if row := r.theStudy(); row.Complete || row.Expected != 3 {
		t.Errorf("with 2 of 3 images: %+v", row)
	}
	r.edged.kill()
	r.startEdged()
	r.await("the steps to be read again", func() bool { return r.theStudy().Expected == 3 })
	stays(t, 2*time.Second, "the study is not complete with 2 of 3 images", func() bool { return !r.theStudy().Complete })
	store(objects[2])
	began := time.Now()
	r.await("the study to be complete", func() bool { return r.theStudy().Complete })
	t.Logf("complete %s after the last image", time.Since(began).Round(time.Millisecond))
	if _, err := r.associate("CT1").CreateStep(t.Context(), "2.25.3", dimse.DataSet{}); err == nil {
		t.Error("a step was taken on an association that has no context for it")
	}
}

// ward is steps beside a spool, and one study of which images come.
type ward struct {
	*stepNotes
	t     *testing.T
	spool *spool.Spool
	came  int
}

const wardStudy = "2.25.7"

func newWard(t *testing.T) *ward {
	t.Helper()
	k := openKeeper(t, t.TempDir())
	n, err := newStepNotes(k, k.log)
	ok(t, err)
	if !n.load(t.Context()) {
		t.Fatal("the steps cannot be read")
	}
	s, err := k.get()
	ok(t, err)
	return &ward{stepNotes: n, t: t, spool: s}
}

// image has one come, of a device that is quiet for a day.
func (w *ward) image(series string) {
	w.t.Helper()
	w.came++
	out, err := w.spool.Create(spool.New{Group: wardStudy, Part: series, Name: fmt.Sprint("2.25.1", w.came), Quiet: 24 * time.Hour, Preface: []byte("x"), Seed: []byte("s")})
	ok(w.t, err)
	_, err = io.WriteString(out, fmt.Sprint("image ", w.came))
	ok(w.t, err)
	_, _, err = out.Commit(w.t.Context())
	ok(w.t, err)
}

func (w *ward) says(step, status string, made ...steps.Made) {
	s := steps.Summary{Step: step, Study: wardStudy, Status: status, Series: made}
	for _, m := range made {
		s.Instances += m.Instances
	}
	w.changed(s)
}

func (w *ward) expects(want int64) {
	w.t.Helper()
	if g := w.spool.Groups(1)[0]; g.Expected != want {
		w.t.Errorf("%d images are expected, want %d", g.Expected, want)
	}
}

// complete lets the spool run, and checks what it makes of the study.
func (w *ward) complete(want bool) {
	w.t.Helper()
	ctx, cancel := context.WithCancel(w.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.spool.Run(ctx) }()
	for deadline := time.Now().Add(patience); want && len(w.spool.GroupEvents(1)) == 0 && time.Now().Before(deadline); {
		pause(ctx, 10*time.Millisecond)
	}
	if !want {
		pause(ctx, time.Second)
	}
	cancel()
	<-ended
	if got := len(w.spool.GroupEvents(1)) > 0; got != want {
		w.t.Errorf("complete: %t, want %t", got, want)
	}
}

// Images of which no step speaks do not stand in for those of the step that has
// ended: an ultrasound that is here does not make the CT complete.
func TestAStudyIsNotCompleteByImagesOfOthers(t *testing.T) {
	w := newWard(t)
	for range 5 {
		w.image("ultrasound")
	}
	w.says("2.25.2", steps.Completed, steps.Made{Series: "ct", Instances: 3})
	w.expects(3)
	w.complete(false)
	for range 3 {
		w.image("ct")
	}
	w.complete(true)
}

// While one step of a study is in progress nobody knows how many images there will
// be, and quiet alone completes it; so it is once a step was forgotten.
func TestAStudyWaitsForItsStepsInProgress(t *testing.T) {
	w := newWard(t)
	ct, pet := steps.Made{Series: "ct", Instances: 1}, steps.Made{Series: "pet", Instances: 1}
	w.says("2.25.2", steps.InProgress)
	w.says("2.25.3", steps.InProgress)
	w.image("ct")
	w.says("2.25.2", steps.Completed, ct)
	w.expects(0)
	w.says("2.25.3", steps.InProgress, pet) // not the last word
	w.expects(0)
	w.complete(false)
	w.says("2.25.3", steps.Discontinued, pet)
	w.expects(2)
	w.says("2.25.4", steps.InProgress)
	w.expects(0)
	ok(t, w.Drop(t.Context(), "2.25.4")) // never ended, and too old now
	w.expects(0)
	ok(t, w.Drop(t.Context(), "2.25.2"))
	ok(t, w.Drop(t.Context(), "2.25.3"))
	if len(w.studies)+len(w.studyOf)+w.series != 0 {
		t.Errorf("left: %d studies, %d steps, %d series", len(w.studies), len(w.studyOf), w.series)
	}
	w.says("2.25.5", steps.Completed, ct)
	w.expects(1)
	w.complete(true)
}

// Before all steps are read nothing is expected: those in progress may be the last.
func TestNothingIsExpectedBeforeAllStepsAreRead(t *testing.T) {
	w := newWard(t)
	w.image("ct")
	w.loaded = false
	w.says("2.25.2", steps.Completed, steps.Made{Series: "ct", Instances: 1})
	w.expects(0)
	w.loaded = true
	w.expectAll()
	w.expects(1)
}

// P9: what is counted of steps is bounded, by study and in all, and goes with them.
func TestStepsThatAreCountedAreBounded(t *testing.T) {
	w := newWard(t)
	w.image("ct")
	for i := range 20_000 {
		w.says(fmt.Sprint("2.25.", i), steps.Completed, steps.Made{Series: "ct", Instances: 1})
	}
	if got := len(w.studies[wardStudy].steps); got > maxStudySteps {
		t.Errorf("%d steps of one study are counted, want at most %d", got, maxStudySteps)
	}
	w.expects(0) // nobody knows: quiet decides
	for i := range 2 * maxCounted {
		w.changed(steps.Summary{Step: fmt.Sprint("2.26.", i), Study: fmt.Sprint("2.27.", i), Status: steps.Completed, Instances: 1})
	}
	if len(w.studyOf) > maxCounted || len(w.studies) > maxCounted {
		t.Errorf("%d steps of %d studies are counted, want at most %d", len(w.studyOf), len(w.studies), maxCounted)
	}
	w.changed(steps.Summary{Step: "2.26.0", Study: "2.27.0", Status: steps.Completed, Instances: 1, Series: make([]steps.Made, maxCountedSeries+1)})
	if w.series > maxCountedSeries || !w.studies["2.27.0"].unknown {
		t.Errorf("%d series are counted, want at most %d", w.series, maxCountedSeries)
	}
}
