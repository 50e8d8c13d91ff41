package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"edged/internal/synth"
)

// However many connections are opened to the page and the control socket, they
// take a bounded number of descriptors, and images still arrive (P9). And the
// daemon has all descriptors that it may have, whatever the shell had set.
func TestPagePortTakesNoDescriptorsFromImages(t *testing.T) {
	t.Parallel()
	r := newRig(t, alone, "")
	r.edged = start(t, "/bin/sh", "-c", `ulimit -Sn 300; ulimit -Sc "$(ulimit -Hc)"; exec "$0" run -c "$1"`, bin(t, "edged"), r.path("edged.yaml"))
	r.await("the appliance to be ready", func() bool { st, err := r.control().status(t.Context()); return err == nil && st.DICOM.Ready })
	proc := fmt.Sprintf("/proc/%d/", r.edged.cmd.Process.Pid)
	limits, err := os.ReadFile(proc + "limits")
	if err != nil {
		t.Skipf("no /proc: %v", err)
	}
	for _, line := range strings.Split(string(limits), "\n") {
		if f := strings.Fields(line); strings.HasPrefix(line, "Max open files") && f[3] == "300" && f[4] != "300" {
			t.Errorf("open files: soft limit %s, hard limit %s", f[3], f[4])
		}
		if f := strings.Fields(line); strings.HasPrefix(line, "Max core file size") && (f[4] != "0" || f[5] != "0") {
			t.Errorf("core dumps: soft limit %s, hard limit %s", f[4], f[5])
		}
	}
	if _, err := os.ReadDir(proc + "fd"); errors.Is(err, fs.ErrPermission) {
		t.Skip("only root may look at the descriptors of a process that leaves no core")
	}
	for _, at := range []struct{ network, address string }{{"tcp", r.page}, {"unix", r.path("edge/" + controlSocket)}} {
		for range 500 {
			c, err := net.DialTimeout(at.network, at.address, time.Second)
			if err != nil {
				break // the kernel's queue is full as well
			}
			defer c.Close()
		}
	}
	var open []os.DirEntry
	r.await("the connections to be taken", func() bool { open, _ = os.ReadDir(proc + "fd"); return len(open) > maxHTTP })
	stays(t, time.Second, "the number of descriptors is bounded", func() bool {
		open, _ = os.ReadDir(proc + "fd")
		return len(open) < 2*maxHTTP+100
	})
	t.Logf("%d descriptors are open", len(open))
	o := synthetic(t, 1, synth.Bench(1, 64<<10))[0]
	r.mustStore(r.associate("CT1", o.need()), o)
}
