package events

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"edged/internal/unitlab"
)

// Whoever the files are for is another user, of the directory's group; nobody else.
func TestFilesCanBeReadByTheGroupUnderTheUnitsUmask(t *testing.T) {
	unitlab.Mask(t)
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
