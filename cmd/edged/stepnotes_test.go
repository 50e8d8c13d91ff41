package main

import (
	"testing"
	"time"

	"edged/dimse"
	"edged/dimse/dataset"
	"edged/internal/synth"
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
