package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"edged/internal/synth"
)

// What a broken file system makes of one file, or of one folder, holds up nothing
// else: the daemon starts, tells of what is missing, keeps the rest, and receives.
func TestABadInodeHoldsNothingUp(t *testing.T) {
	t.Parallel()
	r := newRig(t, alone, "")
	r.startEdged()
	objects := synthetic(t, 31, synth.Bench(3, 20<<10))
	r.mustStore(r.associate("CT1", objects[0].need()), objects[:2]...)
	r.edged.stop()
	dir := r.path("edge/spool/objects")
	files, err := filepath.Glob(filepath.Join(dir, "*", "*.obj"))
	if err != nil || len(files) != 2 {
		t.Fatalf("files %v, %v", files, err)
	}
	ok(t, os.Rename(files[0], r.path("aside")))
	ok(t, os.MkdirAll(filepath.Join(files[0], "was a file"), 0o700))
	ok(t, os.WriteFile(filepath.Join(dir, "0000000000001"), []byte("was a folder"), 0o600))
	ok(t, os.Symlink("loop", filepath.Join(dir, "loop")))

	r.startEdged()
	kept := 0
	for _, o := range r.listed() {
		switch {
		case o.ID == objects[0].id() || o.ID == objects[1].id():
			if !o.Damaged && !o.Lost {
				kept++
			}
		case o.ID != noID:
			t.Errorf("listed %+v", o)
		}
	}
	if kept != 1 || len(r.listed()) != 2 {
		t.Errorf("%d objects are whole, want 1:\n%s", kept, r.mustSpool("ls"))
	}
	if st := r.status(); st.Spool.Damage.NoOtherCopy != 1 {
		t.Errorf("the page tells of %+v", st.Spool.Damage)
	}
	r.mustStore(r.associate("CT1", objects[0].need()), objects...) // also the damaged one, again
	out := r.path("out")
	for _, o := range objects {
		r.mustSpool("export", out, o.id())
		sameAsSent(t, filepath.Join(out, o.id()+".dcm"), o)
	}
	if said := r.edged.said.String(); strings.Contains(said, "spool stopped") {
		t.Error("the spool was stopped")
	}
}
