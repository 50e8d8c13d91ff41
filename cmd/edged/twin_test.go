package main

import (
	"bytes"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"edged/dimse"
	"edged/internal/synth"
)

// P1, P4: the same object at the same moment on two associations, again and
// again: no duplicate's clean-up touches the first copy. Both hear success, only when it is safe, and there is one object.
func TestDisaster01SameInstanceTwiceKeepsTheFile(t *testing.T) {
	t.Parallel()
	r := newRig(t, alone, "")
	r.startEdged()
	objects := synthetic(t, 6, synth.Bench(60, 64<<10))
	for round := range 3 {
		r.twice(objects[round*20 : round*20+20])
		r.edged.kill() // right behind the answers
		r.startEdged()
		r.mustHold(objects[:round*20+20])
	}
	r.twice(objects) // and all of it once more
	r.mustHold(objects)
	if n := len(r.inSpool("objects")); n != len(objects) {
		t.Errorf("%d files, want %d", n, len(objects))
	}
	if c := r.status().Counters; c.Received != int64(len(objects)) || c.Refused != 0 {
		t.Errorf("%+v, want %d received", c, len(objects))
	}
}

// twice sends each object on two associations in the same instant.
func (r *rig) twice(objects []object) {
	r.t.Helper()
	lines := [2]*dimse.Client{r.associate("CT1", objects[0].need()), r.associate("CT2", objects[0].need())}
	for _, o := range objects {
		var wg sync.WaitGroup
		ready := make(chan struct{})
		for _, c := range lines {
			wg.Go(func() {
				<-ready
				if rsp, err := c.Store(r.t.Context(), o.request(), bytes.NewReader(o.data)); err != nil || !rsp.Status.IsSuccess() {
					r.t.Errorf("answered %s, %v", rsp.Status, err)
				}
			})
		}
		close(ready)
		wg.Wait()
	}
	for _, c := range lines {
		if err := c.Release(r.t.Context()); err != nil {
			r.t.Error(err)
		}
	}
}

// P5: the later of two contents under one SOP Instance UID comes first on the
// second association, both at the same moment, many times: both are kept, here
// and at the hub, each byte for byte, and neither stands for the other.
func TestTwoContentsAtOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t, "", "").up()
	first := synthetic(t, 7, synth.Bench(10, 64<<10))
	second := make([]object, len(first))
	for i, o := range first {
		o.data = bytes.Clone(o.data)
		o.data[len(o.data)-1] ^= 1
		second[i] = o
	}
	var wg sync.WaitGroup
	for i, objects := range [][]object{first, second} {
		c := r.associate([]string{"CT1", "CT2"}[i], first[0].need())
		wg.Go(func() {
			for _, o := range objects {
				if rsp, err := c.Store(t.Context(), o.request(), bytes.NewReader(o.data)); err != nil || !rsp.Status.IsSuccess() {
					t.Errorf("answered %s, %v", rsp.Status, err)
				}
			}
		})
	}
	wg.Wait()
	all := append(append([]object{}, first...), second...)
	r.mustHold(all)
	r.await("one of each two to be archived, the other held", func() bool {
		return r.count("archived") == len(first) && r.count("held") == len(second)
	})
	r.mustHold(all)
	if n := len(r.archived()); n != len(first) {
		t.Errorf("%d files in the archive, want %d: the later ones wait for a person", n, len(first))
	}
}

// P1, P14: the first copy rots unseen, on the disk, and the modality sends the
// object again: its success is a promise as well, so the good copy stays.
func TestResendOverARottenCopy(t *testing.T) {
	t.Parallel()
	r := newRig(t, alone, "")
	r.startEdged()
	o := synthetic(t, 8, synth.Bench(1, 64<<10))[0]
	r.mustStore(r.associate("CT1", o.need()), o)
	name := r.inSpool("objects")[0]
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 4
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
	r.mustStore(r.associate("CT1", o.need()), o)
	r.mustHold([]object{o})
	r.await("the rotten file to be gone", func() bool { return len(r.inSpool("objects")) == 1 })
	if now := r.inSpool("objects")[0]; filepath.Base(now) == filepath.Base(name) {
		t.Error("the rotten file was overwritten")
	}
}
