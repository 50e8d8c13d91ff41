package main

import (
	"os"
	"path/filepath"
	"testing"

	"edged/internal/synth"
)

// P2: an appliance that was enrolled anew learns that what its former self brought
// to the hub is archived: the confirmations lie in that one's outbox, for nobody.
func TestEnrolledAnewNothingStaysAtTheHub(t *testing.T) {
	t.Parallel()
	r := newRig(t, "", "destinations: [{name: vna, type: dir, confirm: dir, path: $DIR/archive}]\n").up()
	objects := synthetic(t, 1, synth.Bench(4, 64<<10))
	r.mustStore(r.associate("CT1", objects[0].need()), objects...)
	r.await("the hub to have all", func() bool { return r.count("at_hub") == len(objects) })
	r.edged.stop()
	if err := os.Mkdir(r.path("archive"), 0o700); err != nil {
		t.Fatal(err)
	}
	r.await("the archive to have all", func() bool { return len(r.archived()) == len(objects) })
	cfg := Config{DataDir: r.path("edge")}
	if err := os.RemoveAll(filepath.Clean(cfg.identityDir())); err != nil {
		t.Fatal(err)
	}
	r.enroll()
	r.startEdged()
	r.mustArriveOnce(r.keep(objects...))
}
