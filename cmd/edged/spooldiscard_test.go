package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"edged/internal/audit"
	"edged/internal/dicom"
	"edged/internal/synth"
	"edged/spool"
)

// spoolCmd calls `edged spool VERB` for the rig's appliance.
func (r *rig) spool(verb string, args ...string) (said string, code int) {
	r.t.Helper()
	return r.call("edged", append([]string{"spool", verb, "-c", r.path("edged.yaml")}, args...)...)
}

func (r *rig) mustSpool(verb string, args ...string) string {
	r.t.Helper()
	said, code := r.spool(verb, args...)
	if code != 0 {
		r.t.Fatalf("edged spool %s %s: exit %d\n%s", verb, strings.Join(args, " "), code, said)
	}
	return said
}

// listed are the appliance's objects, whether the daemon runs or not.
func (r *rig) listed() (all []objectRow) {
	r.t.Helper()
	for _, line := range strings.Split(r.mustSpool("ls", "--json"), "\n") {
		var o objectRow
		if json.Unmarshal([]byte(line), &o) == nil && o.ID != "" {
			all = append(all, o)
		}
	}
	return all
}

// events are those of the audit log, which must be whole.
func (r *rig) events() (all []audit.Event) {
	r.t.Helper()
	said := r.must("edged", "audit", "--json", "-c", r.path("edged.yaml"))
	for _, line := range strings.Split(said, "\n") {
		var e audit.Event
		if json.Unmarshal([]byte(line), &e) == nil && e.Seq > 0 {
			all = append(all, e)
		}
	}
	if !strings.Contains(said, "the chain is whole") {
		r.t.Errorf("the audit log says\n%s", said)
	}
	return all
}

// sameAsSent compares an exported file with what was sent.
func sameAsSent(t *testing.T, name string, o object) {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil || !bytes.Equal(b, append(dicom.Preface(o.names), o.data...)) {
		t.Errorf("%s: %d bytes, %v; want the object that was sent", name, len(b), err)
	}
}

// P2: what the archive never confirmed goes only by a person's hand, after a copy
// that was read back, and the record of it stays. The same with the daemon and
// without it.
func TestDiscardLeavesACopyAndARecord(t *testing.T) {
	t.Parallel()
	r := newRig(t, alone, "")
	r.startEdged()
	objects := synthetic(t, 11, synth.Bench(4, 100<<10))
	r.mustStore(r.associate("CT1", objects[0].need()), objects...)
	out := r.path("out")
	why := []string{"--reason", "sent twice by mistake", "--export", out}

	said := r.mustSpool("discard", append(why, objects[0].id())...)
	if !strings.Contains(said, "discarded here; copy in "+filepath.Join(out, objects[0].id()+".dcm")) {
		t.Errorf("up: %s", said)
	}
	if c := r.status().Counters; c.Received != 4 || c.Discarded != 1 {
		t.Errorf("counters %+v: what was received was received", c)
	}
	r.edged.stop()
	seq := uint64(0)
	for _, o := range r.listed() {
		if o.ID == objects[1].id() {
			seq = o.Seq
		}
	}
	r.mustSpool("discard", append(why, "seq:"+strconv.FormatUint(seq, 10))...)
	if n := len(r.listed()); n != 2 {
		t.Errorf("down: %d objects are listed, want 2", n)
	}
	r.edged = nil
	r.startEdged()
	r.mustHold(objects[2:])
	for _, o := range objects[:2] {
		sameAsSent(t, filepath.Join(out, o.id()+".dcm"), o)
	}

	events := slices.DeleteFunc(r.events(), func(e audit.Event) bool { return e.Action == "spool export" }) // mustHold's
	if len(events) != 4 {
		t.Fatalf("events %+v, want two intents and two outcomes", events)
	}
	for i, e := range events {
		o := objects[i/2]
		if e.Action != "spool discard" || e.Reason != "sent twice by mistake" || !strings.Contains(e.Object, o.id()) || !strings.Contains(e.Export, o.id()+".dcm") || e.Who != whoami() {
			t.Errorf("event %+v", e)
		}
	}
	if events[0].Outcome != audit.Intended || events[1].Outcome != audit.Done || events[1].Of != 1 {
		t.Errorf("outcomes %+v", events)
	}
	// The same image, sent again, is a new one.
	r.mustStore(r.associate("CT1", objects[0].need()), objects[0])
	r.mustHold(append(objects[2:4:4], objects[0]))
}

// Wrong use changes nothing and says what is missing.
func TestDiscardIsRefusedWithoutReasonOrExport(t *testing.T) {
	t.Parallel()
	r := newRig(t, alone, "")
	r.startEdged()
	o := synthetic(t, 12, synth.Bench(1, 10<<10))[0]
	r.mustStore(r.associate("CT1", o.need()), o)
	cases := []struct {
		args []string
		says string
		code int
	}{
		{[]string{o.id(), "--export", r.path("out")}, "--reason", 2},
		{[]string{o.id(), "--reason", "  ", "--export", r.path("out")}, "--reason", 2},
		{[]string{o.id(), "--reason", strings.Repeat("x", 513), "--export", r.path("out")}, "512", 2},
		{[]string{o.id(), "--reason", "x"}, "--export", 2},
		{[]string{o.id(), "--reason", "x", "--export", r.path("edge/out")}, "inside data_dir", 2},
		{[]string{"--reason", "x", "--export", r.path("out")}, "expected", 2},
		{[]string{"ffffffff", "--reason", "x", "--export", r.path("out")}, "not in the spool", 1},
		{[]string{"seq:4711", "--reason", "x", "--export", r.path("out")}, "not in the spool", 1},
	}
	for _, up := range []bool{true, false} {
		if !up {
			r.edged.stop()
		}
		for _, c := range cases {
			if said, code := r.spool("discard", c.args...); code != c.code || !strings.Contains(said, c.says) {
				t.Errorf("%q: exit %d, says %s", c.args, code, said)
			}
		}
	}
	// The daemon asks for itself, whatever a client says it has done.
	r.startEdged()
	row := r.listed()[0]
	whole := discardRequest{Seq: row.Seq, ID: row.ID, Reason: "x", Export: "/out/x.dcm", SHA256: strings.Repeat("0", 64), Bytes: row.FileBytes}
	for name, spoil := range map[string]func(*discardRequest){
		"no reason":       func(q *discardRequest) { q.Reason = " " },
		"no export":       func(q *discardRequest) { q.Export = "" },
		"no digest":       func(q *discardRequest) { q.SHA256 = "" },
		"another length":  func(q *discardRequest) { q.Bytes-- },
		"another number":  func(q *discardRequest) { q.Seq++ },
		"a relative path": func(q *discardRequest) { q.Export = "x.dcm" },
	} {
		q := whole
		spoil(&q)
		if err := r.control().discard(t.Context(), q); err == nil {
			t.Errorf("%s: it was discarded", name)
		}
	}
	r.mustHold([]object{o})
	if said, _ := r.call("edged", "audit", "-c", r.path("edged.yaml")); strings.Contains(said, "spool discard") {
		t.Errorf("what was refused is recorded as done: %s", said)
	}
}

// salvaged wants all of an object in a copy but the bit that was flipped, readable
// without a key.
func salvaged(t *testing.T, name string, o object) {
	t.Helper()
	b, err := os.ReadFile(name)
	ok(t, err)
	part := append(dicom.Preface(o.names), o.data...)
	i := bytes.Index(b, part[:300])
	if i < 0 || len(b) < i+len(part) {
		t.Errorf("%s has %d bytes and not the object", name, len(b))
		return
	}
	wrong := 0
	for k := range part {
		if b[i+k] != part[k] {
			wrong++
		}
	}
	if wrong > 1 {
		t.Errorf("%s: %d bytes of the object are wrong, want at most one", name, wrong)
	}
}

// What cannot be read as an object is copied as far as it can before it goes.
func TestDiscardOfDamagedKeepsTheBytes(t *testing.T) {
	t.Parallel()
	r := newRig(t, alone, "")
	r.startEdged()
	objects := synthetic(t, 13, synth.Bench(4, 100<<10))
	r.mustStore(r.associate("CT1", objects[0].need()), objects...)
	r.edged.stop()
	files := r.inSpool("objects")
	flip := func(name string) {
		b, err := os.ReadFile(name)
		ok(t, err)
		b[len(b)/2] ^= 4
		ok(t, os.WriteFile(name, b, 0o600))
	}
	rows := r.listed()
	flip(files[0])
	if said, code := r.spool("verify"); code != 1 {
		t.Fatalf("the damage is not found: %s", said)
	}
	seq := func(i int) string { return strconv.FormatUint(rows[i].Seq, 10) }
	out := r.path("out")
	said := r.mustSpool("discard", "--reason", "bad block", "--export", out, "seq:"+seq(0))
	copied := filepath.Join(out, "seq-"+seq(0)+".damaged")
	if !strings.Contains(said, copied) {
		t.Errorf("down: says %s", said)
	}
	salvaged(t, copied, objects[0])
	r.startEdged()
	flip(files[1])
	r.mustSpool("discard", "--reason", "bad block", "--export", out, rows[1].ID)
	salvaged(t, filepath.Join(out, "seq-"+seq(1)+".damaged"), objects[1])
	// What a start has set aside, and of which nobody knows what it was.
	r.edged.stop()
	b, err := os.ReadFile(files[2])
	ok(t, err)
	b[len(b)-1] ^= 4
	ok(t, os.WriteFile(files[2], b, 0o600))
	r.startEdged()
	if st := r.status(); st.State != "attention" || st.Spool.Damage.NoOtherCopy != 1 {
		t.Errorf("set aside: %s %v %+v", st.State, st.Reasons, st.Spool)
	}
	r.mustSpool("discard", "--reason", "bad block", "--export", out, "seq:"+seq(2))
	salvaged(t, filepath.Join(out, "seq-"+seq(2)+".damaged"), objects[2])
	if names, _ := filepath.Glob(r.path("edge/spool/quarantine/*")); len(names) != 0 {
		t.Errorf("left in quarantine: %v", names)
	}
	r.mustHold(objects[3:])
	if st := r.status(); st.State != "ok" || st.Spool.Damage.NoOtherCopy != 0 {
		t.Errorf("what was discarded is still told: %s %v %+v", st.State, st.Reasons, st.Spool)
	}
}

// Release ends what this appliance holds back, says what it does not do, and lets
// nothing damaged go.
func TestReleaseEndsAQuarantine(t *testing.T) {
	t.Parallel()
	r := newRig(t, alone, "")
	r.startEdged()
	objects := synthetic(t, 14, synth.Bench(3, 50<<10))
	r.mustStore(r.associate("CT1", objects[0].need()), objects...)
	r.edged.stop()
	park := func() {
		cfg, err := loadConfig(r.path("edged.yaml"))
		ok(t, err)
		o, err := openStopped(t.Context(), &cfg)
		ok(t, err)
		for _, x := range objects[:2] {
			id, _ := spool.ParseID(x.id())
			ok(t, o.desk.spool.Quarantine(t.Context(), id, "refused five times"))
		}
		ok(t, o.Close())
	}
	park()
	said := r.mustSpool("release", "--reason", "the hub was wrong", objects[0].id())
	if !strings.Contains(said, "was quarantined, is received") || !strings.Contains(said, "hubd objects release") {
		t.Errorf("down: %s", said)
	}
	r.startEdged()
	if said := r.mustSpool("release", objects[1].id()); !strings.Contains(said, "was quarantined, is received") {
		t.Errorf("up: %s", said)
	}
	if said, code := r.spool("release", objects[2].id()); code != 1 || !strings.Contains(said, "nothing to release") {
		t.Errorf("nothing to release: exit %d, %s", code, said)
	}
	if events := r.events(); len(events) != 4 || events[0].Action != "spool release" || events[0].Reason != "the hub was wrong" {
		t.Errorf("events %+v", events)
	}
	flipOneBit(t, r.path("edge/spool/objects"))
	r.spool("verify")
	if said, code := r.spool("release", objects[2].id()); code != 1 || !strings.Contains(said, "send it again from the modality") {
		t.Errorf("damaged: exit %d, %s", code, said)
	}
}
