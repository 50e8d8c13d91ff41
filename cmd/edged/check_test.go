package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"edged/spool"
)

// What edged run would not start on, edged check says before; and a disk that is gone is a
// fault, and not full.
func TestCheckSaysWhatRunWouldRefuse(t *testing.T) {
	memory, err := os.MkdirTemp("/dev/shm", "edged-check-")
	if err != nil {
		t.Skip("no memory file system here: ", err)
	}
	t.Cleanup(func() { os.RemoveAll(memory) })
	for more, want := range map[string]bool{"": true, "spool: {allow_unsafe_filesystem: true}\n": false} {
		// The second is what a technician has before the first start.
		for _, data := range []string{memory, filepath.Join(memory, "not", "yet")} {
			file := filepath.Join(t.TempDir(), "edged.yaml")
			ok(t, os.WriteFile(file, []byte("data_dir: "+data+"\n"+more), 0o600))
			var out, errOut bytes.Buffer
			c := checkCmd{configFlag{Config: file}}
			ok(t, c.Run(&process{stdout: &out, stderr: &errOut}))
			if got := strings.Contains(errOut.String(), "edged run will not start"); got != want {
				t.Errorf("%s, %q: %s", data, more, &errOut)
			}
		}
	}
	dir := t.TempDir()
	s, err := spool.Open(t.Context(), spool.Config{Dir: dir, AllowUnsafeFilesystem: true, BallastBytes: -1, ReserveBytes: -1})
	ok(t, err)
	defer s.Close()
	if err := s.Stats().Err; err != nil {
		t.Error(err)
	}
	ok(t, os.RemoveAll(dir))
	if s.Stats().Err == nil {
		t.Error("the disk is gone, and nobody says so")
	}
}
