package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"edged/dimse"
	"edged/internal/dicom"
	"edged/internal/synth"
)

// keep writes objects where mustArriveOnce looks for what was sent.
func (r *rig) keep(objects ...object) (lines []sentLine) {
	r.t.Helper()
	if err := os.MkdirAll(r.path("sent"), 0o700); err != nil {
		r.t.Fatal(err)
	}
	for _, o := range objects {
		l := sentLine{ID: o.id(), Status: "0000", Bytes: int64(len(o.data))}
		lines = append(lines, l)
		if err := os.WriteFile(filepath.Join(r.path("sent"), l.ID+".dcm"), append(dicom.Preface(o.names), o.data...), 0o600); err != nil {
			r.t.Fatal(err)
		}
	}
	return lines
}

// What no parser can read is an image all the same: stored, forwarded, flagged
// for people to look at, never altered (P3).
func TestUnreadableDataSet(t *testing.T) {
	t.Parallel()
	r := newRig(t, "", "").up()
	objects := []object{noise(t, 1<<20), noise(t, 1001), noise(t, 8)}
	for i := range objects {
		objects[i].names.SOPInstance = fmt.Sprintf("2.25.1000%d", i)
	}
	c := r.associate("CT1", objects[0].need())
	r.mustStore(c, objects...)
	r.mustArriveOnce(r.keep(objects...))
	for id, row := range r.rows() {
		if !slices.Contains(row.Findings, "unreadable_header") {
			t.Errorf("object %s (%d bytes) has the findings %v", id, row.Bytes, row.Findings)
		}
	}
	r.mustHold(objects)
}

// The same objects sent again, and by two senders at once, are archived once (P4).
func TestSameInstanceAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t, "", "").up()
	objects := synthetic(t, 3, synth.Bench(12, 256<<10))
	var wg sync.WaitGroup
	for _, calling := range []string{"CT1", "CT2"} {
		c := r.associate(calling, objects[0].need())
		wg.Go(func() {
			for range 3 {
				for _, o := range objects {
					if rsp, err := c.Store(t.Context(), o.request(), bytes.NewReader(o.data)); err != nil || !rsp.Status.IsSuccess() {
						t.Errorf("%s: %v %v", calling, rsp.Status, err)
					}
				}
			}
		})
	}
	wg.Wait()
	r.mustArriveOnce(r.keep(objects...))
	r.mustHold(objects)
	// And again when all of it is archived, after a power cut.
	r.edged.kill()
	r.startEdged()
	r.mustStore(r.associate("CT1", objects[0].need()), objects...)
	r.mustArriveOnce(r.keep(objects...))
	if c := r.status().Counters; c.Received != 12 || c.Archived != 12 {
		t.Errorf("counters %+v, want 12 received and 12 archived", c)
	}
}

// Two contents under one SOP Instance UID both reach the hub and are kept; the
// later one waits before the archive until somebody has decided (P5).
func TestSameUIDOtherBytes(t *testing.T) {
	t.Parallel()
	r := newRig(t, "", "").up()
	first := r.modsim("--profile", "small")
	r.mustArriveOnce(first)
	second := r.modsim("--profile", "small", "--alter", "SECOND")
	r.await("the later ones to be held", func() bool {
		rows := r.rows()
		for _, l := range second {
			if rows[l.ID].State != "held" {
				return false
			}
		}
		return true
	})
	r.mustArriveOnce(first) // and nothing else
	if n := len(r.rows()); n != len(first)+len(second) {
		t.Errorf("%d objects are kept here, want %d", n, len(first)+len(second))
	}
	for id, row := range r.rows() { // flagged here, too: nobody has to ask the hub
		if !row.Conflict {
			t.Errorf("object %s is not shown as one of two contents", id)
		}
	}
	if n := r.status().Findings.Conflicts; n != int64(len(first)+len(second)) {
		t.Errorf("status counts %d conflicting images, want %d", n, len(first)+len(second))
	}
	r.must("edged", "spool", "verify", "-c", r.path("edged.yaml"))
	for _, l := range second {
		r.must("hubd", "objects", "release", l.ID, "-c", r.path("hubd.yaml"))
	}
	r.mustArriveOnce(append(first, second...))
}

// archive is a DICOM archive that can refuse.
type archive struct {
	came    atomic.Int64 // objects, also those that wait for mu
	mu      sync.Mutex   // guards what follows
	answer  dimse.Status
	asked   int
	objects map[string][]byte // by SOP Instance UID
}

func (a *archive) Echo(context.Context, *dimse.Association) dimse.Status { return dimse.StatusSuccess }

func (a *archive) Store(_ context.Context, _ *dimse.Association, rq dimse.StoreRequest, data io.Reader) dimse.Status {
	b, err := io.ReadAll(data)
	a.came.Add(1)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked++
	if err == nil && a.answer.IsSuccess() {
		a.objects[rq.SOPInstanceUID] = b
	}
	return a.answer
}

func (a *archive) set(st dimse.Status) { a.mu.Lock(); a.answer = st; a.mu.Unlock() }

func (a *archive) seen() (asked int, objects map[string][]byte) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.asked, a.objects
}

func newArchive(t *testing.T, address string) *archive {
	t.Helper()
	a := &archive{objects: make(map[string][]byte)}
	s, err := dimse.NewServer(dimse.ServerConfig{Handler: a, Titles: []string{"VNA"}, ImplementationClassUID: "2.25.1", ImplementationVersion: "TEST"})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() { s.Serve(l) })
	t.Cleanup(func() { s.Close(); wg.Wait() })
	return a
}

// Nothing is forgotten before the archive has it, however long that takes (P2);
// afterwards nothing stays longer than it must, and the counters stay.
func TestForgottenOnlyAfterArchived(t *testing.T) {
	t.Parallel()
	address := testAddress()
	a := newArchive(t, address)
	a.set(dimse.StatusOutOfResources)
	r := newRig(t, "spool: {allow_unsafe_filesystem: true, reserve_bytes: 64MiB, retain_archived: 0s}\n",
		"destinations: [{name: vna, type: cstore, confirm: success, address: \""+address+"\", ae_title: VNA}]\n").up()
	objects := synthetic(t, 4, synth.Bench(10, 128<<10))
	r.mustStore(r.associate("CT1", objects[0].need()), objects...)
	r.await("the archive to be asked in vain", func() bool { asked, _ := a.seen(); return asked >= 2 && r.count("at_hub") == len(objects) })
	r.mustHold(objects)
	r.edged.kill() // a restart forgets nothing either
	r.hubd.kill()
	r.startHub()
	r.startEdged()
	r.mustHold(objects)
	a.set(dimse.StatusSuccess)
	r.await("the spool to be empty", func() bool { return len(r.rows()) == 0 })
	_, stored := a.seen()
	for _, o := range objects {
		if !bytes.Equal(stored[o.names.SOPInstance], o.data) {
			t.Errorf("the archive has %d bytes, want the %d that were sent", len(stored[o.names.SOPInstance]), len(o.data))
		}
	}
	if c := r.status().Counters; c.Received != 10 || c.AtHub != 10 || c.Archived != 10 {
		t.Errorf("counters %+v, want 10 of each", c)
	}
	r.await("the files to be gone", func() bool { return len(r.inSpool("objects")) == 0 })
}
