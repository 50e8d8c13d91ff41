package main

import (
	"context"
	"os"
	"slices"
	"strings"
	"testing"

	"edged/agent/status"
	"edged/internal/synth"
	"edged/spool"
)

// The obligations know of an image and the disk has it not, or not whole: a start
// compares the two. What was acknowledged and is not whole any more is told by the state, the list
// and the proof, over every start, whether the daemon runs or not, until it
// comes again (P14).
func TestDisaster09WhatDivergedIsToldByEachStart(t *testing.T) {
	t.Parallel()
	// Encrypted, a flipped bit takes the seal along: of such a file nobody knows the
	// ID, and only a discard ends it; see TestDiscardOfDamagedKeepsTheBytes.
	r := newRig(t, "spool: {allow_unsafe_filesystem: true, reserve_bytes: 64MiB, encryption: false}\n"+alone, "")
	r.startEdged()
	objects := synthetic(t, 5, synth.Bench(3, 64<<10))
	r.mustStore(r.associate("CT1", objects[0].need()), objects...)
	if code := r.edged.stop(); code != 0 {
		t.Fatalf("edged stopped with exit %d", code)
	}
	files := r.inSpool("objects")
	b, err := os.ReadFile(files[0])
	ok(t, err)
	b[len(b)-1] ^= 4 // in the seal
	ok(t, os.WriteFile(files[0], b, 0o600))
	r.knownAtHub(objects[1])
	ok(t, os.Remove(files[1]))

	told := func(when string) {
		t.Helper()
		list := r.must("edged", "spool", "ls", "-c", r.path("edged.yaml"))
		for _, o := range objects[:2] {
			if i := strings.Index(list, o.id()[:16]); i < 0 || !strings.Contains(strings.SplitN(list[i:], "\n", 2)[0], "quarantined") {
				t.Errorf("%s, the list:\n%s", when, list)
			}
		}
		said, code := r.call("edged", "spool", "verify", "-c", r.path("edged.yaml"))
		if code != 1 || !strings.Contains(said, "2 damaged") || !strings.Contains(said, "its file is gone") || !strings.Contains(said, "set aside: ") {
			t.Errorf("%s, verify: exit %d, says %s", when, code, said)
		}
	}
	for range 2 {
		r.startEdged()
		st := r.status()
		want := []status.Reason{{Code: status.Lost, Count: 1}, {Code: status.Damaged, Count: 1}, {Code: status.Shadow}}
		if st.State != status.Attention || !slices.Equal(st.Reasons, want) || st.Spool.Damage != (status.Damage{HubHasCopy: 1, NoOtherCopy: 1}) {
			t.Errorf("%s %v %+v; want attention, %v", st.State, st.Reasons, st.Spool.Damage, want)
		}
		if said := r.must("edged", "status", "-c", r.path("edged.yaml")); !strings.Contains(said, "1 image is damaged or gone on this disk, and no other copy is known") || !strings.Contains(said, "The regional hub has a good copy") {
			t.Errorf("the terminal says %s", said)
		}
		told("while the daemon runs")
		r.edged.stop()
		told("while the daemon is down")
	}
	r.startEdged()
	r.mustStore(r.associate("CT1", objects[0].need()), objects...)
	r.await("the state to be good", func() bool { return r.status().State == status.OK })
	r.must("edged", "spool", "verify", "-c", r.path("edged.yaml"))
	r.mustHold(objects)
}

// knownAtHub has the spool of a daemon that is down take a receipt, so that its
// journal knows of the object.
func (r *rig) knownAtHub(o object) {
	r.t.Helper()
	ctx := context.Background()
	cfg, err := loadConfig(r.path("edged.yaml"))
	ok(r.t, err)
	in, err := openStopped(ctx, &cfg)
	ok(r.t, err)
	defer in.Close()
	id, err := spool.ParseID(o.id())
	ok(r.t, err)
	ok(r.t, in.desk.spool.AtHub(ctx, []spool.Receipt{{ID: id, Length: int64(len(o.data))}}))
}
