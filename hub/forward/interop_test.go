package forward

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// freePort is one that was free a moment ago.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
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
	text, err := os.ReadFile(path)
	if err != nil {
		b.Fatal(err)
	}
	for id, want := range b.data {
		if len(text) > len(want) && string(text[len(text)-len(want):]) == string(want) {
			b.sameDataSet(path, want)
			delete(b.data, id)
			return
		}
	}
	b.Errorf("%s: nobody sent this data set", path)
}

func TestOrthancGetsTheBytesThatCame(t *testing.T) {
	dicomPort, httpPort := freePort(t), freePort(t)
	dir := t.TempDir()
	config, err := json.Marshal(map[string]any{
		"DicomPort": dicomPort, "HttpPort": httpPort, "DicomAet": "ARCHIVE", "StorageDirectory": dir, "IndexDirectory": dir,
		"RemoteAccessAllowed": false, "AuthenticationEnabled": false, "DicomAlwaysAllowStore": true, "Plugins": []string{},
		"UnknownSopClassAccepted": true, "IngestTranscoding": "",
	})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "orthanc.json")
	if err := os.WriteFile(path, config, 0o600); err != nil {
		t.Fatal(err)
	}
	command(t, "Orthanc", path)
	b := newBench(t, "vna")
	b.receive(small()...)
	total := len(b.data)
	b.run(b.archived(total), cstore(fmt.Sprintf("127.0.0.1:%d", dicomPort)))
	base := fmt.Sprintf("http://127.0.0.1:%d/instances", httpPort)
	var ids []string
	if err := json.Unmarshal(fetch(t, base), &ids); err != nil || len(ids) != total {
		t.Fatalf("%d instances, want %d (%v)", len(ids), total, err)
	}
	for _, id := range ids {
		file := filepath.Join(dir, "fetched.dcm")
		if err := os.WriteFile(file, fetch(t, base+"/"+id+"/file"), 0o600); err != nil {
			t.Fatal(err)
		}
		b.oneOf(file)
	}
}

func fetch(t *testing.T, url string) []byte {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	rq, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
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
