package forward

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// says waits until the destination is shown as away with these words.
func (b *bench) says(words string) func() bool {
	return func() bool { return strings.Contains(b.forwarder.Status()[0].Error, words) }
}

// used is the ledger's word, as hubd passes it on.
func (b *bench) used() (bool, error) { return b.ledger.Used(b.Context(), "vna") }

// untouched: nothing was judged, nothing counts as archived beyond n, and nothing
// was written there.
func (b *bench) untouched(path string, n int) {
	b.Helper()
	if s := b.stats(); s.Archived != int64(n) || s.Backlog["vna"].Quarantined != 0 {
		b.Errorf("while it is away: %+v", s)
	}
	if found, err := os.ReadDir(path); len(found) > 0 {
		b.Errorf("in %s: %v %v", path, found, err)
	}
}

// A directory that is missing is waited for: it is not made, and no object is
// judged. Without create it may be a disk that is not mounted.
func TestAMissingDirIsAwayAndNotMade(t *testing.T) {
	b := newBench(t, "vna")
	b.receive(small()[:2]...)
	path := filepath.Join(t.TempDir(), "archive")
	d := NewDir(DirConfig{Name: "vna", Path: path, Used: b.used})
	b.run(b.says("is missing: is it mounted?"), d)
	b.untouched(path, 0)
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it was made: %v", err)
	}
	if err := os.Mkdir(path, 0o755); err != nil {
		t.Fatal(err)
	}
	b.run(b.archived(2), d)
	if f := b.forwarder.Status()[0]; f.Error != "" {
		t.Errorf("still away: %+v", f)
	}
}

// The disk was there and is not: what is below the mount point is not the
// archive, though it may be written to, and though create is set. Seen by a hub
// that starts, and by one that was running.
func TestWhatLiesBelowTheMountPointIsNeverTheArchive(t *testing.T) {
	for name, restart := range map[string]bool{"after a start": true, "while running": false} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, "vna")
			b.receive(small()[:2]...)
			path := filepath.Join(t.TempDir(), "archive")
			c := DirConfig{Name: "vna", Path: path, Create: true, Used: b.used}
			d := NewDir(c)
			b.run(b.archived(2), d)
			if err := errors.Join(os.Rename(path, path+".disk"), os.Mkdir(path, 0o755)); err != nil {
				t.Fatal(err)
			}
			if restart {
				d = NewDir(c)
			}
			b.receive(small()[2:4]...)
			b.run(b.says("is it mounted?"), d)
			b.untouched(path, 2)
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			b.run(b.says("is missing: is it mounted?"), d)
			b.untouched(path, 2)
			if err := os.Rename(path+".disk", path); err != nil {
				t.Fatal(err)
			}
			b.run(b.archived(4), d)
			if n := files(t, path); n != 4 {
				t.Errorf("%d files, want 4", n)
			}
		})
	}
}

// It is shown before the first object waits for it, and no longer than it lasts.
func TestADirThatIsAwayIsShownWithoutWork(t *testing.T) {
	b := newBench(t, "vna")
	path := filepath.Join(t.TempDir(), "archive")
	made := false
	b.run(func() bool {
		if !made && b.says("is it mounted?")() {
			made = true
			if err := os.Mkdir(path, 0o755); err != nil {
				t.Error(err)
			}
		}
		return made && b.forwarder.Status()[0].Error == ""
	}, NewDir(DirConfig{Name: "vna", Path: path, Used: b.used}))
}

// Some file systems give a directory a new number each time: it is found again
// while workers write there, and nothing of theirs is removed.
func TestADirFoundAgainIsNotSwept(t *testing.T) {
	d := newDir(t, t.TempDir())
	writing := filepath.Join(d.c.Path, incoming, "writing")
	if err := os.WriteFile(writing, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	d.place = nil
	if _, err := d.find(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(writing); err != nil {
		t.Error(err)
	}
}
