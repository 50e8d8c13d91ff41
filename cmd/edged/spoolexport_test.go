package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"edged/internal/synth"
)

// An export with receipts is a folder that somebody can carry away and prove
// elsewhere, with ordinary tools.
func TestExportWithReceiptsProvesItself(t *testing.T) {
	t.Parallel()
	needs(t, "sha256sum")
	r := newRig(t, alone, "")
	r.startEdged()
	objects := synthetic(t, 21, synth.Bench(3, 100<<10))
	r.mustStore(r.associate("CT1", objects[0].need()), objects...)
	for _, when := range []string{"up", "down"} {
		if when == "down" {
			r.edged.stop()
		}
		out := r.path(when)
		said := r.mustSpool("export", "--receipts", out)
		if !strings.Contains(said, "3 objects written to "+out) {
			t.Errorf("%s: %s", when, said)
		}
		r.mustProve(out, objects)
	}
	// That patient data has left is recorded, both ways.
	events := r.events()
	if len(events) != 4 {
		t.Fatalf("events %+v, want two intents and two ends", events)
	}
	for i, e := range events {
		if e.Action != "spool export" || e.Export != r.path([]string{"up", "down"}[i/2]) || e.Who != whoami() || i%2 == 1 && e.Outcome != "done: 3 of 3 written" {
			t.Errorf("event %+v", e)
		}
	}
}

// mustProve checks an export as whoever gets it would.
func (r *rig) mustProve(dir string, objects []object) {
	r.t.Helper()
	if out, err := exec.Command("sh", "-c", "cd "+dir+" && grep -E '^[0-9a-f]{64}  ' RECEIPT.txt | sha256sum -c --strict").CombinedOutput(); err != nil {
		r.t.Errorf("sha256sum: %v\n%s", err, out)
	}
	var whole wholeReceipt
	readJSON(r.t, filepath.Join(dir, "receipts.json"), &whole)
	if whole.Count != len(objects) || len(whole.Files) != len(objects) {
		r.t.Errorf("receipts.json has %d files, %d listed, want %d", whole.Count, len(whole.Files), len(objects))
	}
	text, err := os.ReadFile(filepath.Join(dir, "RECEIPT.txt"))
	if err != nil || !strings.Contains(string(text), whole.SHA256) {
		r.t.Errorf("RECEIPT.txt: %v, without the digest %s:\n%s", err, whole.SHA256, text)
	}
	for _, o := range objects {
		sameAsSent(r.t, filepath.Join(dir, o.id()+".dcm"), o)
		var one receipt
		readJSON(r.t, filepath.Join(dir, o.id()+".json"), &one)
		if one.ID != o.id() || one.SOPInstanceUID != o.names.SOPInstance || one.Length != int64(len(o.data)) || one.Sender.AETitle != "CT1" ||
			one.Sender.Address != "127.0.0.1" || one.ReceivedAt.IsZero() || !one.ArchivedAt.IsZero() || one.State != "received" || one.Series == "" {
			r.t.Errorf("receipt %+v", one)
		}
	}
}

func readJSON(t *testing.T, name string, into any) {
	t.Helper()
	b, err := os.ReadFile(name)
	if err == nil {
		err = json.Unmarshal(b, into)
	}
	if err != nil {
		t.Errorf("%s: %v", name, err)
	}
}

// An export that was cut goes on: what is there is proved and left as it is; what
// is there and is something else is never overwritten, and the rest is written.
func TestExportGoesOnAndOverwritesNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t, alone, "")
	r.startEdged()
	objects := synthetic(t, 22, synth.Bench(4, 100<<10))
	r.mustStore(r.associate("CT1", objects[0].need()), objects...)
	out := r.path("out")
	r.mustSpool("export", "--receipts", out, objects[0].id())
	kept := filepath.Join(out, objects[0].id()+".dcm")
	before, err := os.Stat(kept)
	ok(t, err)
	strangers := map[string]string{objects[1].id(): "somebody's own file"}
	whole, err := os.ReadFile(kept)
	ok(t, err)
	strangers[objects[2].id()] = string(whole[:len(whole)-1]) // shorter, longer: both are other files
	for id, text := range strangers {
		ok(t, os.WriteFile(filepath.Join(out, id+".dcm"), []byte(text), 0o600))
	}
	ok(t, os.WriteFile(filepath.Join(out, objects[3].id()+".dcm.part"), []byte("left over by an export that was cut"), 0o600))

	said, code := r.spool("export", "--receipts", out)
	if code != 1 || strings.Count(said, "is there already and is not the same") != 2 || !strings.Contains(said, "2 objects written") {
		t.Errorf("exit %d, says %s", code, said)
	}
	after, err := os.Stat(kept)
	ok(t, err)
	if !after.ModTime().Equal(before.ModTime()) {
		t.Error("a file that was there was written again")
	}
	for id, text := range strangers {
		if b, _ := os.ReadFile(filepath.Join(out, id+".dcm")); string(b) != text {
			t.Errorf("%s was overwritten", id)
		}
	}
	sameAsSent(t, filepath.Join(out, objects[3].id()+".dcm"), objects[3])
	var first, second wholeReceipt
	readJSON(t, filepath.Join(out, "receipts.json"), &first)
	readJSON(t, filepath.Join(out, "receipts-2.json"), &second)
	if first.Count != 1 || second.Count != 2 {
		t.Errorf("receipts of %d and %d files, want 1 and 2", first.Count, second.Count)
	}
	if left, _ := filepath.Glob(filepath.Join(out, "*.part")); len(left) > 0 {
		t.Errorf("left over: %v", left)
	}
}

// A disk that is too small is told before anything is written; one that fills up
// meanwhile leaves whole files only, and the same command goes on.
func TestExportToASmallDisk(t *testing.T) {
	t.Parallel()
	r := newRig(t, alone, "")
	kind := "mkfs.vfat"
	if _, err := exec.LookPath(kind); err != nil {
		kind = "mkfs.ext4"
		t.Log("mkfs.vfat (dosfstools) is not installed: the stick has ext4")
	}
	stick := r.stick(kind, 12<<20)
	r.startEdged()
	objects := synthetic(t, 23, synth.Bench(6, 1<<20))
	r.mustStore(r.associate("CT1", objects[0].need()), objects...)
	ok(t, os.WriteFile(filepath.Join(stick, "FILLER"), make([]byte, 5<<20), 0o600))
	said, code := r.spool("export", "--receipts", stick)
	if code != 1 || !strings.Contains(said, "room for") || !strings.Contains(said, "larger disk") {
		t.Errorf("exit %d, says %s", code, said)
	}
	if names, _ := filepath.Glob(filepath.Join(stick, "*.*")); len(names) > 0 {
		t.Errorf("written all the same: %v", names)
	}
	ok(t, os.Remove(filepath.Join(stick, "FILLER")))
	r.mustSpool("export", "--receipts", stick)
	r.mustProve(stick, objects)
}

// A disk that fills up in the middle: errFull stands for it.
func TestExportThatFillsTheDiskLeavesWholeFilesOnly(t *testing.T) {
	r := newRig(t, alone, "")
	stick := r.stick("mkfs.ext4", 4<<20)
	content := bytes.Repeat([]byte("0123456789abcdef"), 64<<10)
	e := &exporter{in: one{content}, dir: stick, prove: true}
	var err error
	n := 0
	for ; err == nil && n < 9; n++ {
		_, err = e.object(t.Context(), objectRow{ID: strings.Repeat(string(rune('a'+n)), 64)})
	}
	if err == nil || n < 3 {
		t.Fatalf("%d files of 1 MiB on a disk of 4 MiB, %v", n, err)
	}
	names, _ := os.ReadDir(stick)
	for _, f := range names {
		if info, _ := f.Info(); !f.IsDir() && info.Size() != int64(len(content)) {
			t.Errorf("%s has %d bytes", f.Name(), info.Size())
		}
	}
}

// one is a spool in which every object has the same content.
type one struct{ content []byte }

func (o one) objects(context.Context, func(objectRow) error) error { return nil }
func (o one) studies(context.Context, func(studyRow) error) error  { return nil }
func (o one) raw(context.Context, objectRow, io.Writer) error      { return errors.New("no") }
func (o one) verify(context.Context, objectRow) error              { return nil }
func (o one) exported(context.Context, exportNote) (uint64, error) { return 0, errors.New("no") }
func (o one) Close() error                                         { return nil }
func (o one) file(_ context.Context, _ objectRow, w io.Writer) error {
	_, err := w.Write(o.content)
	return err
}

// stick mounts a small disk of its own.
func (r *rig) stick(mkfs string, size int64) string {
	r.t.Helper()
	needs(r.t, mkfs, "mount", "umount")
	if os.Getuid() != 0 {
		r.t.Skip("only root can mount a small file system")
	}
	image, at := r.path("stick.img"), r.path("stick")
	ok(r.t, os.WriteFile(image, nil, 0o600))
	ok(r.t, os.Truncate(image, size))
	if said, code := run2(r.t, mkfs, image); code != 0 {
		r.t.Skipf("%s: %s", mkfs, said)
	}
	ok(r.t, os.Mkdir(at, 0o700))
	if said, code := run2(r.t, "mount", "-o", "loop", image, at); code != 0 {
		r.t.Skipf("mount -o loop: %s", said)
	}
	r.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if said, err := exec.CommandContext(ctx, "umount", at).CombinedOutput(); err != nil {
			r.t.Errorf("umount: %v, %s", err, said)
		}
	})
	return at
}

// A copy that the disk gives back with other bytes is no copy: what is read back
// is compared, not counted.
func TestACopyThatIsReadBackWrongIsTold(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "x"))
	ok(t, err)
	defer f.Close()
	if _, err := f.WriteString("what the disk made of it"); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte("what was written to a it"))
	err = readBack(f, exported{file: "x", bytes: 24, sha256: hex.EncodeToString(sum[:])})
	if err == nil || !strings.Contains(err.Error(), "read back with other bytes") {
		t.Errorf("%v", err)
	}
}

// A study is not complete while a modality that sent some of it is connected, and what
// comes late is a change, no error. With and without the daemon, the studies show their
// series and counts; with it, also what is still missing.
func TestDisaster21NoStudyIsCompleteWhileItArrives(t *testing.T) {
	t.Parallel()
	r := newRig(t, `dicom: {listen: "$DICOM", devices: [{ae_title: CT1, quiet: 1s}]}`+"\n"+alone, "")
	r.startEdged()
	objects := synthetic(t, 24, synth.Bench(4, 20<<10))
	c := r.associate("CT1", objects[0].need())
	r.mustStore(c, objects...)
	studies := func() (all []studyRow) {
		for _, line := range strings.Split(r.mustSpool("studies", "--json"), "\n") {
			var s studyRow
			if json.Unmarshal([]byte(line), &s) == nil && s.Objects > 0 {
				all = append(all, s)
			}
		}
		return all
	}
	if all := studies(); len(all) != 1 || all[0].Objects != 4 || len(all[0].Series) == 0 || all[0].Complete || all[0].Open != 1 {
		t.Errorf("while the modality is connected: %+v", all)
	}
	if said := r.mustSpool("studies"); !strings.Contains(said, "the modality is still connected") {
		t.Errorf("says %s", said)
	}
	ok(t, c.Release(t.Context()))
	r.await("the study to be complete", func() bool { all := studies(); return len(all) == 1 && all[0].Complete && all[0].Revision == 1 })
	var page struct{ Studies []struct{ Complete bool } }
	if err := json.Unmarshal([]byte(r.page0("/api/v1/studies")), &page); err != nil || len(page.Studies) != 1 || !page.Studies[0].Complete {
		t.Errorf("the page says %+v, %v", page, err)
	}

	// One more, on an association that dies: changed, and complete once more.
	late := synthetic(t, 24, synth.Bench(5, 20<<10))[4]
	dies := r.associate("CT1", late.need())
	r.mustStore(dies, late)
	dies.Abort()
	r.await("the study to be complete again", func() bool { all := studies(); return len(all) == 1 && all[0].Complete && all[0].Revision == 2 })

	r.edged.stop()
	if all := studies(); len(all) != 1 || all[0].Objects != 5 || len(all[0].Series) == 0 || all[0].Known {
		t.Errorf("down: %+v", all)
	}
}
