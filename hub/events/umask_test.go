package events

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
	"testing"
)

// unitMask runs a test with the UMask that the unit gives the hub.
func unitMask(t *testing.T) {
	t.Helper()
	unit, err := os.ReadFile("../../configs/hubd.service")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`(?m)^UMask=([0-7]+)$`).FindSubmatch(unit)
	if m == nil {
		t.Fatal("the unit has no UMask")
	}
	mask, err := strconv.ParseInt(string(m[1]), 8, 32)
	if err != nil {
		t.Fatal(err)
	}
	old := syscall.Umask(int(mask))
	t.Cleanup(func() { syscall.Umask(old) })
}

// Whoever the files are for is another user, of the directory's group; nobody else.
func TestFilesCanBeReadByTheGroupUnderTheUnitsUmask(t *testing.T) {
	unitMask(t)
	r := newRig(t)
	r.receive("one", "1.2.3", 1, header())
	r.archive()
	r.say("one", "1.2.3", 1, 1)
	dir, told := t.TempDir(), &memory{}
	r.run(r.config(NewFile("shelf", dir)))
	told.until(t, func() bool { m, _ := filepath.Glob(filepath.Join(dir, "*", "1.2.3-1.json")); return len(m) == 1 })
	found := 0
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if path == dir || err != nil {
			return err
		}
		st, err := os.Stat(path)
		if found++; err == nil && (st.Mode().Perm()&0o040 == 0 || st.Mode().Perm()&0o007 != 0) {
			t.Errorf("%s has mode %v", filepath.Base(path), st.Mode())
		}
		return err
	})
	if err != nil || found < 2 {
		t.Errorf("%d files and directories, %v", found, err)
	}
}
