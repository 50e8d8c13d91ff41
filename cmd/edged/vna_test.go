package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"edged/internal/archivelab"
	"edged/internal/synth"
)

// toArchive is a hub that hands over by C-STORE.
func toArchive(address string) string {
	return `destinations: [{name: vna, type: cstore, confirm: success, address: "` + address + `", ae_title: VNA, associations: 2}]` + "\n" + deliver
}

// everyKind are objects of every kind: synthetic ones in several transfer
// syntaxes, and real uncompressed ones if there are some.
func everyKind(t *testing.T) []object {
	all := synthetic(t, 7, synth.Small)
	root := realFolder
	if root == "" {
		root = filepath.Join("..", "..", "..", "shared", "dicom")
	}
	for _, n := range onePerUID(t, filepath.Join(root, "wg04", "*_UNC.dcm")) {
		o, _ := readFile(t, n)
		all = append(all, o)
	}
	return all
}

// Orthanc, a real archive, ends up with every object as it was sent, and its
// Success is what lets the appliance call it archived.
func TestOrthancAsVNA(t *testing.T) {
	t.Parallel()
	r := newRig(t, "", "")
	dicomAt, web := r.orthanc()
	r.rewrite("hubd.yaml", toArchive(dicomAt))
	r.up()
	objects := everyKind(t)
	r.storeAll(objects)
	r.await("everything to be archived", func() bool { return r.count("archived") == len(objects) })
	// Orthanc writes objects with sequences anew. What it makes of each when it
	// gets it straight from a modality is what it must make of it here.
	other := *r
	var direct string
	other.dicom, direct = r.orthanc()
	other.storeTo("VNA", objects)
	r.sameByUID(objects, held(t, web), held(t, direct))
}

// held are the files that Orthanc has.
func held(t *testing.T, web string) map[string]string {
	t.Helper()
	var list []string
	if err := json.Unmarshal(fetch(t, web+"/instances"), &list); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for i, id := range list {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%d.dcm", i)), fetch(t, web+"/instances/"+id+"/file"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return byUID(t, dir+"/*.dcm")
}

// DCMTK's storescp likewise, also when it was away for a while.
func TestStorescpAsVNA(t *testing.T) {
	t.Parallel()
	needs(t, "storescp")
	r := newRig(t, "", "")
	address, dir := testAddress(), t.TempDir()
	r.rewrite("hubd.yaml", toArchive(address))
	r.up()
	objects := everyKind(t)
	r.storeAll(objects)
	r.await("everything to be at the hub", func() bool { return r.count("at_hub") == len(objects) })
	stays(t, time.Second, "nothing is archived while the archive is away", func() bool { return r.count("archived") == 0 })
	r.storescpAt(address, dir, "--promiscuous")
	r.await("everything to be archived", func() bool { return r.count("archived") == len(objects) })
	r.sameByUID(objects, byUID(t, dir+"/*"), nil)
}

// sameByUID compares what an archive has with what was sent, after File Meta,
// which is the archive's own. Where an archive writes objects anew, direct is
// what it has of them when they did not come through us.
func (r *rig) sameByUID(sent []object, archived, direct map[string]string) {
	r.t.Helper()
	if len(archived) != len(sent) {
		r.t.Errorf("the archive has %d instances, %d were sent", len(archived), len(sent))
	}
	anew := 0
	for _, o := range sent {
		name, ok := archived[o.names.SOPInstance]
		if !ok {
			r.t.Errorf("%s in %s is not in the archive", o.names.SOPClass, o.names.TransferSyntax)
			continue
		}
		got, _ := readFile(r.t, name)
		if file, ok := direct[o.names.SOPInstance]; ok && !bytes.Equal(got.data, o.data) {
			anew++
			o, _ = readFile(r.t, file)
		}
		if got.names != o.names || !bytes.Equal(got.data, o.data) {
			r.t.Errorf("%s in %s: the archive has %d bytes in %s, %d were sent", o.names.SOPClass, o.names.TransferSyntax,
				len(got.data), got.names.TransferSyntax, len(o.data))
		}
	}
	if anew > len(sent)/4 {
		r.t.Errorf("%d of %d objects differ from what was sent", anew, len(sent))
	}
	r.t.Logf("%d instances in the archive, compared after File Meta; the archive itself wrote %d anew", len(archived), anew)
}

// orthanc starts an empty one.
func (r *rig) orthanc() (dicomAt, web string) {
	r.t.Helper()
	o := archivelab.NewOrthanc(r.t, "VNA", nil)
	return o.Address, o.URL("")
}

func fetch(t *testing.T, url string) []byte {
	t.Helper()
	c := http.Client{Timeout: 2 * time.Minute}
	rs, err := c.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer rs.Body.Close()
	b, err := io.ReadAll(rs.Body)
	if err != nil || rs.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s, %v", strings.TrimPrefix(url, "http://"), rs.Status, err)
	}
	return b
}
