package forward

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"edged/internal/archivelab"
	"edged/internal/dicom"
	"edged/internal/ports"
)

// freePort is one that was free a moment ago.
func freePort(t *testing.T) int {
	t.Helper()
	port, err := ports.Free()
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// command starts a program and ends it with the test.
func command(t *testing.T, name string, args ...string) {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("%s is not installed: %v", name, err)
	}
	c := exec.Command(path, args...)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Process.Kill()
		c.Wait()
	})
}

// storescp with --bit-preserving writes the data set as it comes over the wire.
func TestStorescpGetsTheBytesThatCame(t *testing.T) {
	out, port := t.TempDir(), freePort(t)
	command(t, "storescp", "--bit-preserving", "+xa", "--unique-filenames", "--output-directory", out, fmt.Sprint(port))
	b := newBench(t, "vna")
	b.receive(small()...)
	b.run(b.archived(len(b.data)), cstore(fmt.Sprintf("127.0.0.1:%d", port))) // storescp is slow to start: down, then up
	paths, err := filepath.Glob(filepath.Join(out, "*"))
	if err != nil || len(paths) != len(b.data) {
		t.Fatalf("%d files, want %d (%v)", len(paths), len(b.data), err)
	}
	for _, path := range paths {
		b.oneOf(path)
	}
}

// oneOf demands that the file's data set is one of those received, each once.
func (b *bench) oneOf(path string) {
	b.Helper()
	if !b.found(path) {
		b.Errorf("%s: nobody sent this data set", path)
	}
}

func (b *bench) found(path string) bool {
	b.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		b.Fatal(err)
	}
	for id, want := range b.data {
		if len(text) > len(want) && string(text[len(text)-len(want):]) == string(want) {
			b.sameDataSet(path, want)
			delete(b.data, id)
			return true
		}
	}
	return false
}

// normal is a file's data set as dcmconv writes it: Implicit VR Little Endian,
// all lengths explicit.
func normal(t *testing.T, path string) string {
	t.Helper()
	out := path + ".normal"
	if text, err := exec.Command("dcmconv", "+ti", "+e", path, out).CombinedOutput(); err != nil {
		t.Fatalf("dcmconv: %v %s", err, text)
	}
	f, err := os.Open(out)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r := bufio.NewReader(f)
	if _, _, err := dicom.ReadPreface(r); err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// rewritten takes what Orthanc has written anew itself (it decodes what it
// receives: sequences get other length forms, deflated data another compressor)
// and demands that the contents are those received.
func (b *bench) rewritten(path string) {
	b.Helper()
	got := normal(b.T, path)
	for id := range b.data {
		o, err := b.store.Open(id)
		if err != nil {
			b.Fatal(err)
		}
		ours := filepath.Join(b.TempDir(), "ours.dcm")
		text, err := io.ReadAll(io.NewSectionReader(o, 0, o.Size()))
		o.Close()
		if err == nil {
			err = os.WriteFile(ours, text, 0o600)
		}
		if err != nil {
			b.Fatal(err)
		}
		if normal(b.T, ours) == got {
			delete(b.data, id)
			return
		}
	}
	b.Errorf("%s: nobody sent these contents", path)
}

func TestOrthancGetsTheBytesThatCame(t *testing.T) {
	o := archivelab.NewOrthanc(t, "ARCHIVE", nil)
	b := newBench(t, "vna")
	b.receive(small()...)
	total := len(b.data)
	b.run(b.archived(total), cstore(o.Address))
	base := o.URL("/instances")
	var ids []string
	if err := json.Unmarshal(fetch(t, base), &ids); err != nil || len(ids) != total {
		t.Fatalf("%d instances, want %d (%v)", len(ids), total, err)
	}
	again := 0
	for _, id := range ids {
		file := filepath.Join(t.TempDir(), "fetched.dcm")
		if err := os.WriteFile(file, fetch(t, base+"/"+id+"/file"), 0o600); err != nil {
			t.Fatal(err)
		}
		if !b.found(file) {
			b.rewritten(file)
			again++
		}
	}
	if len(b.data) != 0 || again > 2 { // the two structured reports
		t.Errorf("of %d objects %d are missing, %d were rewritten by Orthanc", total, len(b.data), again)
	}
}

func fetch(t *testing.T, url string) []byte {
	t.Helper()
	return ask(t, http.MethodGet, url)
}

func remove(t *testing.T, url string) {
	t.Helper()
	ask(t, http.MethodDelete, url)
}

func ask(t *testing.T, method, url string) []byte {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	rq, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	rs, err := http.DefaultClient.Do(rq)
	if err != nil {
		t.Fatal(err)
	}
	defer rs.Body.Close()
	data, err := io.ReadAll(rs.Body)
	if err != nil || rs.StatusCode != http.StatusOK {
		t.Fatalf("%s: %d %v", url, rs.StatusCode, err)
	}
	return data
}
