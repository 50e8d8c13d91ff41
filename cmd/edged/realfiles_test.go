package main

import (
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"testing"

	"edged/dimse"
	"edged/internal/dicom"
)

// deliver lets instances that share a UID all go to the archive: collections of
// test files have the same image in many transfer syntaxes.
const deliver = "conflict: deliver\n"

// realFiles are DICOM files of many makers below the folder that EDGED_DICOM_FILES
// names, or below one that lies beside the module.
func realFiles(t *testing.T) (root string, names []string) {
	t.Helper()
	if root = realFolder; root == "" {
		root = filepath.Join("..", "..", "..", "shared", "dicom")
	}
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			names = append(names, name)
		}
		return err
	})
	if err != nil || len(names) == 0 {
		t.Skipf("no real DICOM files: EDGED_DICOM_FILES names no folder with some (%v)", err)
	}
	return root, names
}

// readFile is a file as an instance: what its File Meta says and what follows,
// or, if nothing can be made of it, all of its bytes under names that it does
// not deserve. malformed says so.
func readFile(t *testing.T, name string) (o object, malformed bool) {
	t.Helper()
	f, err := dicom.OpenFile(name)
	if err == nil {
		defer f.Close()
		o.names = f.Names
		if o.data, err = io.ReadAll(f); err == nil && o.names.Check() == nil && o.names.TransferSyntax != "" {
			return o, false
		}
	}
	if o.data, err = os.ReadFile(name); err != nil {
		t.Fatal(err)
	}
	o.names = dicom.Names{TransferSyntax: explicitLE, SOPClass: ctClass, SOPInstance: "2.25." + fmt.Sprint(len(o.data)+1)}
	return o, true
}

// Files from real devices, whole ones and such that break careless readers, go
// the whole way and come out with every byte of their data sets (P3).
func TestInteropRealFiles(t *testing.T) {
	_, names := realFiles(t)
	r := newRig(t, "", deliver).up()
	var whole []string
	var objects []object
	seen := make(map[string]bool)
	for _, n := range names {
		o, malformed := readFile(t, n)
		if len(o.data) == 0 || seen[o.id()] {
			continue
		}
		seen[o.id()] = true
		objects = append(objects, o)
		if !malformed {
			whole = append(whole, n)
		}
	}
	r.storeAll(objects)
	before := residentBytes(t, r.edged.cmd.Process.Pid)
	r.must("edged", append([]string{"send", "--again", "--to", "EDGED@" + r.dicom}, whole...)...)
	r.mustArriveOnce(r.keep(objects...))
	if grown := residentBytes(t, r.edged.cmd.Process.Pid) - before; grown > 64<<20 { // the uplink has buffers of its own
		t.Errorf("memory grew by %d bytes while they came again and left", grown)
	} else {
		t.Logf("memory grew by %d KiB while they came again and left", grown>>10)
	}
	findings := make(map[string]int)
	for _, row := range r.rows() {
		for _, f := range row.Findings {
			findings[f]++
		}
	}
	r.must("edged", "spool", "verify", "-c", r.path("edged.yaml"))
	t.Logf("%d files, %d different instances identical in the archive, %d of them sent again by edged send; findings %v", len(names), len(objects), len(whole), findings)
}

// storeAll stores on as many associations as their presentation contexts need.
func (r *rig) storeAll(objects []object) { r.t.Helper(); r.storeTo("EDGED", objects) }

func (r *rig) storeTo(called string, objects []object) {
	r.t.Helper()
	for len(objects) > 0 {
		var needs []dimse.Need
		distinct := make(map[dimse.Need]bool)
		n := 0
		for ; n < len(objects) && len(distinct) < 120; n++ {
			if !distinct[objects[n].need()] {
				distinct[objects[n].need()] = true
				needs = append(needs, objects[n].need())
			}
		}
		c := r.associateWith(called, "FILES", needs...)
		for _, o := range objects[:n] {
			if !c.Accepts(o.need()) {
				r.t.Errorf("SOP class %s in %s is not accepted", o.names.SOPClass, o.names.TransferSyntax)
			}
		}
		r.mustStore(c, objects[:n]...)
		if err := c.Release(r.t.Context()); err != nil {
			r.t.Error(err)
		}
		objects = objects[n:]
	}
}

// The same through DCMTK's dcmsend, which writes some files anew on the way: what
// is archived is what storescp gets from the same sender.
func TestInteropDCMTKSender(t *testing.T) {
	needs(t, "dcmsend", "storescp")
	root, _ := realFiles(t)
	names := onePerUID(t, filepath.Join(root, "wg04", "*.dcm"), filepath.Join(root, "pydicom", "*.dcm"))
	if len(names) < 5 {
		t.Skipf("only %d files to send", len(names))
	}
	r := newRig(t, "", deliver).up()
	address, dir := r.storescp()
	for _, to := range []string{r.dicom, address} {
		host, port, _ := net.SplitHostPort(to)
		if said, code := run2(t, "dcmsend", append([]string{"--no-halt", "--no-uid-checks", "-aec", "EDGED", host, port}, names...)...); code != 0 {
			t.Logf("dcmsend to %s: exit %d, %s", to, code, said)
		}
	}
	truth := byUID(t, dir+"/*")
	r.await("everything to be archived", func() bool { n := len(r.rows()); return n > 0 && r.count("archived") == n })
	compared := 0
	files := r.archived()
	for uid, row := range r.rowsByUID() {
		f, err := dicom.OpenFile(truth[uid])
		if err != nil {
			t.Errorf("storescp has no %s: %v", uid, err)
			continue
		}
		f.Close()
		if f.TransferSyntax != row.TransferSyntax {
			continue // they have agreed on another one
		}
		compared++
		if same, err := sameDataSet(files[row.ID], truth[uid]); err != nil || !same {
			t.Errorf("object %s: identical %v, %v", row.ID, same, err)
		}
	}
	t.Logf("%d files, %d archived, %d identical to what storescp got", len(names), len(files), compared)
	if len(files) != len(truth) || compared < len(files)*3/4 {
		t.Errorf("%d archived, %d at storescp, %d compared", len(files), len(truth), compared)
	}
}

func onePerUID(t *testing.T, patterns ...string) (names []string) {
	seen := make(map[string]bool)
	for _, p := range patterns {
		all, err := filepath.Glob(p)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range all {
			if o, malformed := readFile(t, n); !malformed && !seen[o.names.SOPInstance] {
				seen[o.names.SOPInstance] = true
				names = append(names, n)
			}
		}
	}
	return names
}
