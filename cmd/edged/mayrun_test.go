package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// A second daemon with the same configuration is told that there is a first,
// and does not disturb it.
func TestSecondDaemonIsToldOfTheFirst(t *testing.T) {
	t.Parallel()
	r := newRig(t, alone, "")
	r.startEdged()
	said, code := r.call("edged", "run", "-c", r.path("edged.yaml"))
	if code != 1 || !strings.Contains(lastLine(said), "another edged is running with this data_dir") || strings.Contains(said, "already in use") {
		t.Errorf("exit %d, says %s", code, said)
	}
	r.mustEcho("CT1")
	if _, err := r.control().status(t.Context()); err != nil {
		t.Errorf("the first one's control socket: %v", err)
	}
}

// On a file system that loses data the daemon makes no directory and opens no
// port before it says so.
func TestUnsafeFilesystemIsToldBeforeAnything(t *testing.T) {
	t.Parallel()
	var fs syscall.Statfs_t
	if err := syscall.Statfs("/dev/shm", &fs); err != nil || fs.Type != 0x01021994 { // TMPFS_MAGIC
		t.Skip("/dev/shm is no tmpfs here")
	}
	dir, err := os.MkdirTemp("/dev/shm", "edged-test-")
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	data := filepath.Join(dir, "not", "there", "yet")
	r := newRig(t, "data_dir: "+data+"\nspool: {reserve_bytes: 64MiB}\n"+alone, "")
	said, code := r.call("edged", "run", "-c", r.path("edged.yaml"))
	if code != 1 || !strings.Contains(lastLine(said), "loses data at a power cut") || strings.Contains(said, "listening") {
		t.Errorf("exit %d, says %s", code, said)
	}
	if names, _ := os.ReadDir(dir); len(names) != 0 {
		t.Errorf("it made %v", names)
	}
}
