package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"edged/dimse"
	"edged/internal/dicom"
)

// hostileFiles are those that are made here, and what a folder of real files has
// of that kind.
func hostileFiles(t *testing.T) (names []string) {
	t.Helper()
	names, _ = filepath.Glob(filepath.Join("..", "..", "testdata", "hostile", "*.dcm"))
	if len(names) < 20 {
		t.Fatalf("only %d hostile files: go run ./internal/tools/hostile", len(names))
	}
	root := realFolder
	if root == "" {
		root = filepath.Join("..", "..", "..", "shared", "dicom")
	}
	for _, pattern := range []string{"fuzz/*/*", "malformed/*"} {
		more, _ := filepath.Glob(filepath.Join(root, filepath.FromSlash(pattern)))
		names = append(names, more...)
	}
	return names
}

// Each file that breaks careless readers is stored as it is, or refused with a
// status; sent again and again it makes no more of it, takes no memory, and whoever
// comes after it is served (P3, P4, P9).
func TestHostileFilesAreStoredAsTheyAreOrRefused(t *testing.T) {
	t.Parallel()
	var objects []object
	seen := make(map[string]bool)
	bytesInAll := 0
	names := hostileFiles(t)
	for _, n := range names {
		if info, err := os.Stat(n); err != nil || info.IsDir() {
			continue
		}
		if o, _ := readFile(t, n); len(o.data) > 0 && !seen[o.id()] {
			seen[o.id()] = true
			objects = append(objects, o)
			bytesInAll += len(o.data)
		}
	}
	r := newRig(t, alone, "")
	r.startEdged()
	kept, refused := r.offerAll(objects)
	before := residentBytes(t, r.edged.cmd.Process.Pid)
	const again = 4
	for range again {
		if k, _ := r.offerAll(objects); len(k) != len(kept) {
			t.Errorf("%d were stored at first, %d when they came again", len(kept), len(k))
		}
	}
	grown := residentBytes(t, r.edged.cmd.Process.Pid) - before
	t.Logf("%d files, %d different, %d KiB: %d stored, refused %v; memory grew by %d KiB while they came %d times more", len(names), len(objects), bytesInAll>>10, len(kept), refused, grown>>10, again)
	if grown > 24<<20 {
		t.Errorf("memory grew by %d bytes", grown)
	}
	r.mustEcho("AFTER")
	if said := r.edged.said.String(); strings.Contains(said, "panic") {
		t.Error("something panicked")
	}
	r.must("edged", "spool", "verify", "-c", r.path("edged.yaml"))
	out := r.exported()
	for _, o := range kept { // whole files: a data set that begins like File Meta is only told apart from it by its place
		if b, err := os.ReadFile(out[o.id()]); err != nil || !bytes.Equal(b, append(dicom.Preface(o.names), o.data...)) {
			t.Errorf("object %s: %d bytes in the file of %d of data, %v", o.id(), len(b), len(o.data), err)
		}
	}
	if len(out) != len(kept) {
		t.Errorf("%d files for %d objects", len(out), len(kept))
	}
}

// offerAll sends objects, on as many associations as their contexts need, and says
// which were stored; every one is answered.
func (r *rig) offerAll(objects []object) (kept []object, refused map[string]int) {
	r.t.Helper()
	refused = make(map[string]int)
	for len(objects) > 0 {
		var needs []dimse.Need
		n := 0
		for ; n < len(objects) && len(needs) < 100; n++ {
			needs = append(needs, objects[n].need()) // Propose takes each once
		}
		c := r.associate("HOSTILE", needs...)
		for _, o := range objects[:n] {
			rsp, err := c.Store(r.t.Context(), o.request(), bytes.NewReader(o.data))
			switch {
			case err != nil:
				r.t.Fatalf("%s in %s: %v", o.names.SOPInstance, o.names.TransferSyntax, err)
			case rsp.Status.IsSuccess():
				kept = append(kept, o)
			default:
				refused[rsp.Status.String()]++
			}
		}
		ok(r.t, c.Release(r.t.Context()))
		objects = objects[n:]
	}
	return kept, refused
}
