package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"edged/dimse"
	"edged/internal/dicom"
	"edged/internal/synth"
	"edged/spool"
)

// What broke elsewhere, each as a test of its own; others are named beside what they
// are about.

// "Does anything persist?" is answered by a published page. Everything that it cites is
// there, and what it says of Success holds: an image that got one is here after SIGKILL,
// byte for byte, and the same image twice is one image.
func TestDisaster04TheContractIsPublishedAndHolds(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/durability.md")
	ok(t, err)
	if !strings.Contains(string(text), "# What Success means") || !strings.Contains(string(text), "## The promise") {
		t.Error("docs/durability.md does not say what Success means")
	}
	tests, targets := testsOfThisProduct(t), makeTargets(t)
	for _, cited := range regexp.MustCompile("`([^`\n]+)`").FindAllStringSubmatch(string(text), -1) {
		switch word := cited[1]; {
		case strings.HasPrefix(word, "make "):
			if !slices.Contains(targets, strings.Fields(word)[1]) {
				t.Errorf("docs/durability.md cites `%s`, which is no target", word)
			}
		case strings.HasPrefix(word, "Test"):
			if !tests[word] {
				t.Errorf("docs/durability.md cites `%s`, which is no test", word)
			}
		case strings.HasSuffix(word, ".go"):
			if found, _ := filepath.Glob("../../" + word); len(found) == 0 {
				t.Errorf("docs/durability.md cites `%s`, which is no file", word)
			}
		}
	}

	r := newRig(t, alone, "")
	r.startEdged()
	objects := synthetic(t, 41, synth.Bench(8, 64<<10))
	for range 2 {
		r.mustStore(r.associate("CT1", objects[0].need()), objects...)
		r.edged.kill() // right behind the last answer
		r.startEdged()
		r.mustHold(objects)
	}
}

func testsOfThisProduct(t *testing.T) map[string]bool {
	t.Helper()
	all := map[string]bool{}
	named := regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	err := filepath.WalkDir("../..", func(name string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(name, "_test.go") {
			return err
		}
		b, err := os.ReadFile(name)
		for _, m := range named.FindAllStringSubmatch(string(b), -1) {
			all[m[1]] = true
		}
		return err
	})
	ok(t, err)
	return all
}

func makeTargets(t *testing.T) (all []string) {
	t.Helper()
	b, err := os.ReadFile("../../Makefile")
	ok(t, err)
	for _, m := range regexp.MustCompile(`(?m)^([\w-]+):`).FindAllStringSubmatch(string(b), -1) {
		all = append(all, m[1])
	}
	return all
}

// Storing does not wait for the line to the hub: with the hub away, with a line that
// swallows everything, and behind one of 200 ms each way, an association stores as fast.
// A store that waited for one answer of the hub would take 400 ms, or for ever.
func TestDisaster05StoringDoesNotWaitForTheLine(t *testing.T) {
	t.Parallel()
	r, line := overRelay(t)
	objects := synthetic(t, 42, synth.Bench(180, 32<<10))
	const each, roundTrip = 60, 400 * time.Millisecond
	took := map[string]time.Duration{}
	storing := func(what string) {
		batch := objects[:each]
		objects = objects[each:]
		c := r.associate("CT1", batch[0].need())
		began := time.Now()
		r.mustStore(c, batch...)
		took[what] = time.Since(began)
		ok(t, c.Release(t.Context()))
		if took[what] >= each*roundTrip {
			t.Errorf("%d objects were stored in %s: that is what a line of %s makes of it", each, took[what], roundTrip)
		}
	}
	r.hubd.kill()
	storing("the hub is away")
	if n := r.waiting(); n != each {
		t.Errorf("%d objects wait, want %d: the hub was away", n, each)
	}
	line.cut.Store(true)
	r.startHub()
	storing("the line is cut")
	if n := r.waiting(); n != 2*each {
		t.Errorf("%d objects wait, want %d: nothing passes a line that is cut", n, 2*each)
	}
	line.cut.Store(false)
	line.delay.Store(int64(roundTrip / 2))
	r.await("something to pass the slow line", func() bool { return r.waiting() < 2*each })
	storing("the line is slow")
	r.await("the rest to pass, too", func() bool { return r.count("archived") == 3*each })
	t.Logf("%d objects, %v", each, took)
}

// Who sent an object, with which program and when, is no part of it: what two different
// implementations send, to two of our titles, is one object, and the file that is made of
// it is always the same one, without a word of either.
func TestDisaster06FileMetaIsNoPartOfTheObject(t *testing.T) {
	t.Parallel()
	r := newRig(t, `dicom: {listen: "$DICOM", accept_unknown: true, ae_titles: [{title: URGENT, priority: urgent}]}`+"\n"+alone, "")
	r.startEdged()
	o := synthetic(t, 43, synth.Bench(1, 64<<10))[0]
	for i, from := range []struct{ calling, called, class, version string }{
		{"CT1", "EDGED", "1.2.276.0.7230010.3.0.3.6.7", "OFFIS_DCMTK_367"},
		{"GATEWAY", "URGENT", "1.2.40.0.13.1.3", "dcm4che-5.34"},
	} {
		cfg := r.dimseConfig(from.calling, from.called, o.need())
		cfg.ImplementationClassUID, cfg.ImplementationVersion = from.class, from.version
		c, err := dimse.Dial(t.Context(), cfg)
		ok(t, err)
		r.mustStore(c, o)
		ok(t, c.Release(t.Context()))
		if i > 0 {
			r.edged.kill()
			r.startEdged()
		}
		r.mustHold([]object{o})
		b, err := os.ReadFile(r.exported()[o.id()])
		ok(t, err)
		if !bytes.Equal(b, append(dicom.Preface(o.names), o.data...)) {
			t.Errorf("the file has %d bytes and is not what the three UIDs and the data set make", len(b))
		}
		for _, word := range []string{from.calling, from.class, from.version} {
			if bytes.Contains(b[:len(b)-len(o.data)], []byte(word)) {
				t.Errorf("the file says %q", word)
			}
		}
	}
	if c := r.status().Counters; c.Received != 1 {
		t.Errorf("%+v, want one received", c)
	}
}

// Out of the box the appliance holds what it cannot send, shows its queue, sends it by
// itself when the hub is there again, and lets a person release what it had set aside.
func TestDisaster25HoldsRetriesShowsAndReleases(t *testing.T) {
	t.Parallel()
	r := newRig(t, "", "").up()
	r.hubd.kill()
	objects := synthetic(t, 44, synth.Bench(5, 64<<10))
	r.mustStore(r.associate("CT1", objects[0].need()), objects...)
	r.edged.stop() // the queue is no matter of one run
	r.parks(objects[0], "refused five times")
	r.startEdged()

	r.await("the reason to be shown", func() bool { return r.status().Uplink.LastError != "" })
	st := r.status()
	if st.Uplink.Connected || st.Uplink.BacklogObjects != 4 || st.Counters.AtHub != 0 {
		t.Errorf("the queue is shown as %+v, %+v", st.Uplink, st.Counters)
	}
	states := map[string]string{}
	for _, o := range r.listed() {
		states[o.ID] = o.State
	}
	for i, o := range objects {
		want := []string{"received", "sending"}
		if i == 0 {
			want = []string{"quarantined"}
		}
		if !slices.Contains(want, states[o.id()]) {
			t.Errorf("object %d is listed as %q, want one of %q", i, states[o.id()], want)
		}
	}
	if said := r.must("edged", "status", "-c", r.path("edged.yaml")); !strings.Contains(said, "Not connected") || !strings.Contains(said, "4 images · ") {
		t.Errorf("the terminal says %s", said)
	}

	r.startHub()
	r.mustArriveOnce(r.keep(objects[1:]...))
	if rows := r.rows(); rows[objects[0].id()].State != "quarantined" {
		t.Errorf("what was set aside is %q, and nobody released it", rows[objects[0].id()].State)
	}
	r.mustSpool("release", "--reason", "the archive was wrong", objects[0].id())
	r.mustArriveOnce(r.keep(objects...))
}

// parks sets an object of a daemon that is down aside.
func (r *rig) parks(o object, why string) {
	r.t.Helper()
	cfg, err := loadConfig(r.path("edged.yaml"))
	ok(r.t, err)
	in, err := openStopped(r.t.Context(), &cfg)
	ok(r.t, err)
	defer in.Close()
	id, err := spool.ParseID(o.id())
	ok(r.t, err)
	ok(r.t, in.desk.spool.Quarantine(r.t.Context(), id, why))
}
