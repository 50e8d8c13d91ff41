package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"edged/dimse"
	"edged/internal/dicom"
	"edged/internal/synth"
)

// smallDisk mounts a file system of its own at a folder, for a data directory.
func (r *rig) smallDisk(folder string, size int64) {
	r.t.Helper()
	r.smallDiskOf(folder, size, "mkfs.ext4", "-q", "-m", "0")
}

func (r *rig) smallDiskOf(folder string, size int64, mkfs ...string) {
	r.t.Helper()
	needs(r.t, mkfs[0], "mount", "umount")
	if os.Getuid() != 0 {
		r.t.Skip("only root can mount a small file system")
	}
	image, at := r.path("disk.img"), r.path(folder)
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		r.t.Fatal(err)
	}
	if err := os.Truncate(image, size); err != nil {
		r.t.Fatal(err)
	}
	if said, code := run2(r.t, mkfs[0], append(mkfs[1:], image)...); code != 0 {
		r.t.Skipf("%s: %s", mkfs[0], said)
	}
	if err := os.Mkdir(at, 0o700); err != nil {
		r.t.Fatal(err)
	}
	if said, code := run2(r.t, "mount", "-o", "loop", image, at); code != 0 {
		r.t.Skipf("mount -o loop: %s", said)
	}
	r.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		for _, p := range []*proc{r.edged, r.hubd} {
			if p != nil {
				p.kill()
			}
		}
		if said, err := exec.CommandContext(ctx, "umount", at).CombinedOutput(); err != nil {
			r.t.Errorf("umount: %v, %s", err, said)
		}
	})
}

// A full disk refuses what is new, in a way that modalities sit out, and harms
// nothing that was acknowledged (P7). It ends by itself when there is room. All that
// arrives lies on the data's own disk: there is no folder for temporary files.
func TestDisaster12FullDiskTakesNothingAway(t *testing.T) {
	t.Parallel()
	r := newRig(t, "spool: {allow_unsafe_filesystem: true, reserve_bytes: 8MiB}\n"+alone, "")
	r.smallDisk("edge", 160<<20)
	filler := r.path("edge/filler")
	if err := os.WriteFile(filler, make([]byte, 40<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	r.startEdged()
	objects := synthetic(t, 1, synth.Bench(60, 2<<20))
	c := r.associate("CT1", objects[0].need())

	// More than the disk holds: refused in the middle, drained, removed.
	rq := objects[0].request()
	rq.SOPInstanceUID = "2.25.9999"
	rsp, err := c.Store(t.Context(), rq, io.LimitReader(zeros{}, 400<<20))
	if err != nil || rsp.Status != dimse.StatusOutOfResources {
		t.Fatalf("an object larger than the disk: %s, %v", rsp.Status, err)
	}
	r.await("the rest of it to be removed", func() bool { return len(r.inSpool("tmp")) == 0 })

	// Large objects until one does not fit, then small ones until nothing does.
	large := len(r.fill(c, objects))
	small := synthetic(t, 2, synth.Bench(200, 64<<10))
	acknowledged := append(objects[:large:large], r.fill(c, small)...)
	if large < 20 || large == len(objects) || len(acknowledged) == large+len(small) {
		t.Fatalf("%d of %d large objects fit, %d in all", large, len(objects), len(acknowledged))
	}
	if rsp, err := c.Echo(t.Context()); err != nil || !rsp.Status.IsSuccess() {
		t.Errorf("the association did not survive: C-ECHO %s, %v", rsp.Status, err)
	}
	if st := r.store(c, objects[large]); st != dimse.StatusOutOfResources {
		t.Errorf("the next object was answered %s", st)
	}
	r.rejected(r.dimseConfig("CT1", "EDGED"), dimse.RejectCongestion)
	if st := r.status(); st.DICOM.Ready || st.State != "stopped" || int(st.Counters.Received) != len(acknowledged) || st.Counters.Refused < 3 {
		t.Errorf("a full disk is shown as %+v", st)
	}
	r.mustHold(acknowledged)

	// The power goes while the disk is full.
	r.edged.kill()
	r.edged = startEnv(t, []string{"TMPDIR=" + r.path("nowhere")}, bin(t, "edged"), "run", "-c", r.path("edged.yaml"))
	r.await("the spool to be recovered on a full disk", func() bool { return len(r.rows()) == len(acknowledged) })
	r.mustHold(acknowledged)
	r.rejected(r.dimseConfig("CT1", "EDGED"), dimse.RejectCongestion)

	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	r.await("associations to be accepted again", func() bool { return r.status().DICOM.Ready })
	rest := objects[large:][:5]
	r.mustStore(r.associate("CT1", objects[0].need()), rest...)
	r.mustHold(append(acknowledged, rest...))
	t.Logf("%d objects acknowledged before the disk was full, all whole", len(acknowledged))
}

// fill stores until an object is refused and returns what was acknowledged.
func (r *rig) fill(c *dimse.Client, objects []object) (acknowledged []object) {
	r.t.Helper()
	for _, o := range objects {
		switch st := r.store(c, o); {
		case st.IsSuccess():
			acknowledged = append(acknowledged, o)
		case st == dimse.StatusOutOfResources:
			return acknowledged
		default:
			r.t.Fatalf("a full disk was answered with %s", st)
		}
	}
	return acknowledged
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// mustHold proves that the spool has exactly these objects, whole, by its own
// word (verify) and by their bytes (export).
func (r *rig) mustHold(objects []object) {
	r.t.Helper()
	r.must("edged", "spool", "verify", "-c", r.path("edged.yaml"))
	if n := len(r.rows()); n != len(objects) {
		r.t.Errorf("%d objects are listed, want %d", n, len(objects))
	}
	out := r.exported()
	for _, o := range objects {
		f, err := dicom.OpenFile(out[o.id()])
		if err != nil {
			r.t.Errorf("object %s: %v", o.id(), err)
			continue
		}
		b, err := io.ReadAll(f)
		f.Close()
		if err != nil || !bytes.Equal(b, o.data) {
			r.t.Errorf("object %s: %d bytes of %d, %v", o.id(), len(b), len(o.data), err)
		}
	}
}

// exported are all objects of the spool as files, by ID.
func (r *rig) exported() map[string]string {
	r.t.Helper()
	dir := r.t.TempDir()
	r.must("edged", "spool", "export", "-c", r.path("edged.yaml"), dir)
	return byID(r.t, dir+"/*.dcm")
}

// A hub whose disk is full takes nothing more and loses nothing; the appliances
// keep everything, and all of it goes on by itself when there is room.
func TestHubDiskFull(t *testing.T) {
	t.Parallel()
	r := newRig(t, "", "")
	r.smallDisk("hub", 96<<20)
	filler := r.path("hub/filler")
	if err := os.WriteFile(filler, make([]byte, 60<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	r.up()
	objects := synthetic(t, 8, synth.Bench(26, 2<<20))
	r.mustStore(r.associate("CT1", objects[0].need()), objects...)
	r.await("some to be archived", func() bool { return r.count("archived") > 0 })
	settled := 0
	stays(t, 6*time.Second, "the hub lives", func() bool { // and makes room by what is archived, so it may come to have everything
		settled = r.count("archived")
		select {
		case <-r.hubd.done:
			return false
		default:
			return true
		}
	})
	if n := len(r.rows()); n != len(objects) {
		t.Errorf("%d objects are here, want %d", n, len(objects))
	}
	t.Logf("%d of %d archived when the hub's disk was full; the status says %q", settled, len(objects), r.status().Uplink.LastError)
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	r.mustArriveOnce(r.keep(objects...))
}

// While the hub's disk has not one byte left an archive says that it has an object. That
// cannot be written down then, and is as soon as there is room: it costs neither the hour
// that the object was lent to its delivery for, nor another delivery.
func TestHubDiskFullWhileTheArchiveAnswers(t *testing.T) {
	t.Parallel()
	address := testAddress()
	a := newArchive(t, address)
	r := newRig(t, "", "destinations: [{name: vna, type: cstore, confirm: success, address: \""+address+"\", ae_title: VNA}]\n")
	r.smallDisk("hub", 96<<20)
	r.up()
	a.mu.Lock() // it does not answer yet
	answers := sync.OnceFunc(a.mu.Unlock)
	defer answers()
	objects := synthetic(t, 8, synth.Bench(4, 64<<10))
	r.mustStore(r.associate("CT1", objects[0].need()), objects...)
	r.await("everything to be at the hub, and the archive to have something", func() bool { return r.count("at_hub") == len(objects) && a.came.Load() > 0 })
	filler := r.path("hub/filler")
	fillUp(t, filler)
	answers()
	r.await("what the archive said not to be recorded", func() bool { return strings.Contains(r.hubd.said.String(), "outcome not recorded") })
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	r.await("everything to be archived", func() bool { return r.count("archived") == len(objects) })
	if asked, stored := a.seen(); asked != len(objects) || len(stored) != len(objects) {
		t.Errorf("the archive was asked %d times and has %d objects, want %d", asked, len(stored), len(objects))
	}
}

// fillUp writes a file until its disk has no room, also for what waits in memory.
func fillUp(t *testing.T, name string) {
	t.Helper()
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, piece := range []int{1 << 20, 4 << 10, 1 << 20, 4 << 10} {
		for err = nil; err == nil; {
			_, err = f.Write(make([]byte, piece))
		}
		if !errors.Is(err, syscall.ENOSPC) {
			t.Fatal(err)
		}
		if err := f.Sync(); err != nil {
			t.Fatal(err)
		}
	}
}
