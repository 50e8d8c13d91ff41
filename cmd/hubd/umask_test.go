package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"edged/internal/unitlab"
	"edged/uplink"
	"edged/uplink/uplinktest"
)

// The unit's mask lets the group read what is made for others, a directory that is an
// archive. What is the hub's own says so itself: rows, keys, images, dumps.
func TestUnderTheUnitsUmaskTheGroupReadsTheArchiveAndNothingElse(t *testing.T) {
	unitlab.Mask(t)
	s := newSite(t)
	s.start()
	source := uplinktest.NewSource()
	source.Add(0, 5000, 1)
	s.uplink(s.enrol(), source, func(*uplink.Uplink) bool { return source.Count(uplinktest.Archived) == 1 })
	dump, rescue := filepath.Join(s.dir, "dump"), filepath.Join(s.dir, "rescue")
	s.do("ledger", "backup", dump)
	s.do("recovery", "new", "--out", rescue)
	seen := map[string]bool{}
	own := func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		st, err := e.Info()
		if err != nil {
			return err
		}
		public := strings.HasPrefix(path, rescue) && strings.Contains(filepath.Base(path), "public")
		if seen[e.Name()] = true; st.Mode().Perm()&0o077 != 0 && !public {
			t.Errorf("%s has mode %v", path, st.Mode())
		}
		return nil
	}
	for _, root := range []string{filepath.Join(s.dir, "data"), dump, rescue} {
		if err := filepath.WalkDir(root, own); err != nil {
			t.Error(err)
		}
	}
	for _, name := range []string{"ledger.db", "ledger.db-wal", "ca.pem", "dump"} {
		if !seen[name] {
			t.Errorf("there is no %s: %v", name, seen)
		}
	}
	images, _ := filepath.Glob(filepath.Join(s.archive, "*", "*.dcm"))
	if len(images) != 1 {
		t.Fatalf("archived: %v", images)
	}
	for path, want := range map[string]fs.FileMode{images[0]: 0o640, filepath.Dir(images[0]): fs.ModeDir | 0o750, s.archive: fs.ModeDir | 0o750} {
		if st, err := os.Stat(path); err != nil || st.Mode() != want {
			t.Errorf("%s: %v %v, want %v", path, st.Mode(), err, want)
		}
	}
}
