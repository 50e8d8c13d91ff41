package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// P8: a flush that fails is answered as a refusal for now, never as Success; the
// spool stops, is recovered without help, and the images that are sent again
// then are stored. The page stays up and says so. strace makes the kernel say
// EIO to the second fdatasync of each thread.
func TestFailedFlushIsRefusedAndRecovered(t *testing.T) {
	needs(t, "strace")
	r := newRig(t, "uplink: {hubs: []}", "")
	config := filepath.Join(r.dir, "edged.yaml")
	r.edged = start(t, "strace", "-f", "-qq", "-o", filepath.Join(r.dir, "strace.log"), "-e", "trace=fdatasync",
		"-e", "inject=fdatasync:error=EIO:when=2", bin(t, "edged"), "run", "-c", config)
	r.await("the appliance to be ready", func() bool {
		st, err := r.control().status(t.Context())
		return err == nil && st.DICOM.Ready
	})
	sent := r.modsim("--profile", "bench:12x16KiB", "--retry", "90s")
	said := r.edged.said.String()
	trace, err := os.ReadFile(filepath.Join(r.dir, "strace.log"))
	if err != nil || !strings.Contains(string(trace), "INJECTED") {
		t.Skipf("strace may not fail system calls here: %v", err)
	}
	if !strings.Contains(said, "spool stopped, opening it again") {
		t.Error("a flush failed and the spool went on")
	}
	if !strings.Contains(said, "A700") {
		t.Error("no instance was refused with A700")
	}
	rows := r.rows()
	for _, l := range sent {
		if rows[l.ID].State != "received" {
			t.Errorf("%s was answered with success and is %q", l.ID, rows[l.ID].State)
		}
	}
	r.stopTraced() // also ends what strace holds, so that the files can be read
	r.must("edged", "spool", "verify", "-c", config)
}

// stopTraced ends the program below strace, and strace with it.
func (r *rig) stopTraced() {
	r.t.Helper()
	children, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(r.edged.cmd.Process.Pid), "task", strconv.Itoa(r.edged.cmd.Process.Pid), "children"))
	if err != nil {
		r.t.Fatal(err)
	}
	for _, pid := range strings.Fields(string(children)) {
		terminate(r.t, pid)
	}
	<-r.edged.done
}

func terminate(t *testing.T, pid string) {
	t.Helper()
	n, err := strconv.Atoi(pid)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(n, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
}
