package main

import (
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"edged/agent/status"
	"edged/dimse"
	"edged/internal/synth"
)

// P8, SPOOL-4, 5: a disk that refuses a write, a flush of a file or of a
// directory, or a rename, takes nothing more from the first error on: the image is
// refused for now, so is the next one and the next sender, at once; the page says
// that it is stopped and why. When the disk works again, so does the appliance,
// without help, and has all that it acknowledged. strace makes the kernel say
// EIO for as long as it is attached.
func TestFailingDiskStopsAndComesBack(t *testing.T) {
	needs(t, "strace")
	for _, c := range []struct {
		kind string
		only []string // below the spool; nothing: wherever
	}{
		{"write", []string{"tmp/0000000000000001", "tmp/0000000000000002"}}, // the first objects after a start; sockets use write, too
		{"fdatasync", nil}, {"fsync", nil}, {"renameat", nil},
	} {
		t.Run(c.kind, func(t *testing.T) {
			t.Parallel()
			failingDisk(t, c.kind, c.only)
		})
	}
}

func failingDisk(t *testing.T, kind string, only []string) {
	r := newRig(t, alone, "")
	r.startEdged()
	objects := synthetic(t, 7, synth.Bench(5, 64<<10))
	c := r.associate("CT1", objects[0].need())
	r.mustStore(c, objects[0])

	disk := r.failDisk(kind, only)
	for range 2 {
		if st := r.store(c, objects[1]); st != dimse.StatusOutOfResources {
			t.Errorf("an object was answered %s while %s fails", st, kind)
		}
		r.rejected(r.dimseConfig("CT2", "EDGED"), dimse.RejectCongestion)
	}
	r.await("the page to say that the disk failed", func() bool {
		st := r.status()
		return st.State == status.Stopped && len(st.Reasons) > 0 && st.Reasons[0].Code == status.SpoolFailed
	})
	if said, code := r.call("edged", "status", "-c", r.path("edged.yaml")); code != 0 || !strings.Contains(said, "stopped") {
		t.Errorf("edged status: exit %d, %s", code, said)
	}

	disk.endTrace()
	began := time.Now()
	r.await("images to be taken again", func() bool { return r.status().DICOM.Ready })
	if took := time.Since(began); took > time.Minute {
		t.Errorf("it came back after %v", took)
	}
	r.mustStore(r.associate("CT1", objects[0].need()), objects[1:]...)
	r.mustHold(objects)
	if st := r.status(); st.State == status.Stopped || int(st.Counters.Received) != len(objects) || st.Counters.Quarantined > 0 {
		t.Errorf("afterwards the page says %s, %+v", st.State, st.Counters)
	}
}

const traceLog = "strace.log"

// trace has strace(1) watch the appliance, and waits until it does.
func (r *rig) trace(args ...string) *proc {
	r.t.Helper()
	p := start(r.t, "strace", append([]string{"-f", "-o", r.path(traceLog), "-p", strconv.Itoa(r.edged.cmd.Process.Pid)}, args...)...)
	r.await("strace to be attached", func() bool {
		select {
		case <-p.done:
			r.t.Skipf("strace may not trace here: %s", p.said.String())
		default:
		}
		return strings.Contains(p.said.String(), "attached")
	})
	return p
}

// failDisk makes one kind of system call of the appliance fail from now on.
func (r *rig) failDisk(kind string, only []string) *proc {
	r.t.Helper()
	args := []string{"-e", "trace=" + kind, "-e", "inject=" + kind + ":error=EIO"}
	for _, name := range only {
		args = append(args, "-P", r.path("edge/spool/"+name))
	}
	p := r.trace(args...)
	r.t.Cleanup(func() {
		if trace, err := os.ReadFile(r.path(traceLog)); err != nil || !strings.Contains(string(trace), "INJECTED") {
			r.t.Errorf("no call failed: %v", err)
		}
	})
	return p
}

// endTrace lets the appliance go on alone.
func (p *proc) endTrace() {
	p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(patience):
		p.t.Fatal("strace does not end")
	}
}

// SPOOL-11: the index is a cache. A disk that refuses every write to it fails no
// store, no list and no restart. (Only bbolt writes with pwrite64.)
func TestFailingIndexFailsNothing(t *testing.T) {
	t.Parallel()
	needs(t, "strace")
	r := newRig(t, alone, "")
	r.startEdged()
	objects := synthetic(t, 8, synth.Bench(6, 64<<10))
	c := r.associate("CT1", objects[0].need())
	disk := r.failDisk("pwrite64", nil)
	r.mustStore(c, objects[:3]...)
	r.await("the index to be tried", func() bool {
		trace, err := os.ReadFile(r.path(traceLog))
		return err == nil && strings.Contains(string(trace), "INJECTED")
	})
	r.mustStore(c, objects[3:]...)
	if st := r.status(); st.State == status.Stopped || !st.DICOM.Ready {
		t.Errorf("without an index the page says %s, %v", st.State, st.Reasons)
	}
	r.mustHold(objects)
	disk.endTrace()
	r.edged.kill()
	r.startEdged()
	r.mustHold(objects)
}
