package main

import (
	"context"
	"os"
	"strings"
	"testing"

	"edged/agent/status"
	"edged/internal/synth"
	"edged/spool"
)

// What was acknowledged and is not whole any more is told by the state, the list
// and the proof, over every start, whether the daemon runs or not, until it
// comes again (P14).
func TestLostImagesStayInSight(t *testing.T) {
	t.Parallel()
	r := newRig(t, alone, "")
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
		if st.State != status.Attention || len(st.Reasons) == 0 || st.Reasons[0] != (status.Reason{Code: status.Lost, Count: 2}) {
			t.Errorf("%s %v; want attention, 2 lost", st.State, st.Reasons)
		}
		if said := r.must("edged", "status", "-c", r.path("edged.yaml")); !strings.Contains(said, "2 images that were received are damaged or lost on this disk") {
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
	s, err := spool.Open(ctx, spool.Config{Dir: r.path("edge/" + spoolDir), AllowUnsafeFilesystem: true})
	ok(r.t, err)
	defer s.Close()
	id, err := spool.ParseID(o.id())
	ok(r.t, err)
	ok(r.t, s.AtHub(ctx, []spool.Receipt{{ID: id, Length: int64(len(o.data))}}))
}
