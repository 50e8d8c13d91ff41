package audit

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// smallDisk mounts one that fills up soon.
func smallDisk(t *testing.T) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can mount a small file system")
	}
	dir := t.TempDir()
	if out, err := exec.CommandContext(t.Context(), "mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", dir).CombinedOutput(); err != nil {
		t.Skipf("mount: %v, %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
			t.Errorf("umount: %v, %s", err, out)
		}
	})
	return dir
}

// fill takes every byte that is left.
func fill(t *testing.T, name string) {
	t.Helper()
	f, err := os.Create(name)
	must(t, err)
	defer f.Close()
	for size := 64 << 10; size > 0; {
		if _, err := f.Write(make([]byte, size)); errors.Is(err, syscall.ENOSPC) {
			size /= 2
		} else {
			must(t, err)
		}
	}
}

// A disk without a free byte is when somebody has to discard: it is recorded, again
// and again, until there is room, and then the reserve is there for the next time.
func TestAFullDiskCanStillBeClearedAway(t *testing.T) {
	disk := smallDisk(t)
	dir := filepath.Join(disk, "audit")
	l := newLog(dir, key)
	add(t, l, discard("before"))
	for range 2 {
		fill(t, filepath.Join(disk, "filler"))
		for range 20 {
			must(t, l.Do(discard("x"), func() error { return nil }))
		}
		must(t, os.Remove(filepath.Join(disk, "filler")))
		add(t, l, discard("room again"))
	}
	if _, rep := read(t, dir, key); rep.Seq != 83 || rep.Broken != 0 || rep.Torn != 0 || len(rep.Without) != 0 {
		t.Errorf("%+v", rep)
	}
}

// P8: a disk that refuses the sync of the reserve's name is not asked for the next row:
// it would say yes. One without room for the reserve is no such disk.
func TestAFailedSyncOfTheReserveEndsTheLog(t *testing.T) {
	for _, tc := range []struct {
		err  error
		ends bool
	}{{syscall.EIO, true}, {syscall.ENOSPC, false}, {syscall.EMFILE, false}} {
		l := newLog(t.TempDir(), nil)
		l.place = func(string, []byte, fs.FileMode) error { return fmt.Errorf("sync directory: %w", tc.err) }
		if _, err := l.Append(discard("a")); err != nil {
			t.Errorf("%v: the row is durable, and Append says %v", tc.err, err)
		}
		if _, err := l.Append(discard("b")); (err != nil) != tc.ends {
			t.Errorf("%v: the next row: %v", tc.err, err)
		}
	}
}
