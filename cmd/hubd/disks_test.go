package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A hub whose archive is not mounted runs, says so, makes nothing, and goes on
// when it is there.
func TestAnArchiveThatIsNotMountedIsWaitedFor(t *testing.T) {
	s := newSite(t)
	text, err := os.ReadFile(s.config)
	if err == nil {
		err = os.WriteFile(s.config, []byte(strings.Replace(string(text), ", create: true", "", 1)), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	said, err := s.command("check").CombinedOutput()
	if err != nil || !strings.Contains(string(said), "warning: destination archive: path "+s.archive+" is missing: is it mounted?") {
		t.Errorf("check: %v: %s", err, said)
	}
	p := s.start()
	token := strings.TrimSpace(s.do("token", "new", "--name", "ops", "--role", "operator"))
	await(t, "attention", func() bool {
		st := s.statusFor(p, token)
		return st.State == "attention" && strings.Contains(st.Destinations[0].Error, "is it mounted?")
	})
	if _, err := os.Stat(s.archive); !os.IsNotExist(err) {
		t.Errorf("it was made: %v", err)
	}
	if err := os.Mkdir(s.archive, 0o755); err != nil {
		t.Fatal(err)
	}
	await(t, "ok", func() bool { return s.status(p).State == "ok" })
	p.stop(t)
}

// Memory is no disk: whoever runs a hub on it is told.
func TestDirectoriesInMemoryAreWarnedOf(t *testing.T) {
	const tmpfs = 0x01021994 // statfs(2)
	var st syscall.Statfs_t
	if err := syscall.Statfs("/dev/shm", &st); err != nil || int64(st.Type) != tmpfs {
		t.Skip("/dev/shm is not on tmpfs")
	}
	c := Default()
	c.DataDir = filepath.Join("/dev/shm", "no", "such", "hubd")
	c.Destinations = []Destination{{Name: "copy", Type: "dir", Path: "/dev/shm"}}
	w := strings.Join(c.diskWarnings(), "\n")
	for _, want := range []string{"data_dir: /dev/shm/no/such/hubd is on tmpfs: ", "destination copy: /dev/shm is on tmpfs: "} {
		if !strings.Contains(w, want) {
			t.Errorf("got %q, want %q", w, want)
		}
	}
}

// await polls the console, which has nothing to wait on.
func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(3 * time.Minute); !ok(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}
