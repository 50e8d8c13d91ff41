package main

import (
	"context"
	"testing"

	"edged/internal/synth"
)

// A device without an address that has left before its result was there is told
// on the next association that it opens with commitment; meanwhile it counts as
// not reached.
func TestCommitmentIsReportedWhenTheDeviceComesAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t, `dicom: {listen: "$DICOM", devices: [{ae_title: CT1, commitment: received}]}`+"\n"+alone, "")
	r.startEdged()
	objects := synthetic(t, 1, synth.Bench(1, 64<<10))
	c := r.asking("CT1", objects...)
	r.mustStore(c, objects...)
	r.mustAsk(c, requestFor("2.25.7", objects...))
	ok(t, c.Release(t.Context()))
	r.await("the device to be missed", func() bool { return r.status().DICOM.Commitments.Unreached == 1 })
	m := &answered{t: t}
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	c = r.asking("CT1", objects...)
	ended := make(chan error, 1)
	go func() { ended <- c.AwaitCommitment(ctx, m) }()
	r.await("the request to be forgotten", func() bool { return r.status().DICOM.Commitments.Requests == 0 })
	cancel()
	if err := <-ended; err != context.Canceled || len(m.results()) != 1 {
		t.Errorf("%v, told %+v", err, m.results())
	}
}
