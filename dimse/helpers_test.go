package dimse

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	testUID     = "2.25.1"
	testVersion = "TEST"
	ctImage     = "1.2.840.10008.5.1.4.1.1.2"
	jpegLossy   = "1.2.840.10008.1.2.4.50"
)

// received is one instance as the handler saw it.
type received struct {
	rq   StoreRequest
	data []byte
	err  error
}

// keeper is a Handler that keeps everything in memory and answers status.
type keeper struct {
	mu     sync.Mutex
	got    []received
	status Status
}

func (k *keeper) Echo(context.Context, *Association) Status { return StatusSuccess }

func (k *keeper) Store(_ context.Context, _ *Association, rq StoreRequest, data io.Reader) Status {
	var b bytes.Buffer
	_, err := io.Copy(&b, data)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.got = append(k.got, received{rq, b.Bytes(), err})
	return k.status
}

func (k *keeper) all() []received {
	k.mu.Lock()
	defer k.mu.Unlock()
	return append([]received(nil), k.got...)
}

// handlerFunc is a Handler of one function.
type handlerFunc func(context.Context, *Association, StoreRequest, io.Reader) Status

func (handlerFunc) Echo(context.Context, *Association) Status { return StatusSuccess }

func (f handlerFunc) Store(ctx context.Context, a *Association, rq StoreRequest, data io.Reader) Status {
	return f(ctx, a, rq, data)
}

// watcher is an Observer that keeps what it was told.
type watcher struct {
	mu      sync.Mutex
	refused []Reject
	opened  int
	closed  []error
	counts  []Counts
}

func (w *watcher) Refused(_ Peer, r Reject, _ Negotiation) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.refused = append(w.refused, r)
}

func (w *watcher) Opened(*Association) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.opened++
}

func (w *watcher) Closed(a *Association, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = append(w.closed, err)
	w.counts = append(w.counts, a.Counts())
}

func (w *watcher) snapshot() (refused []Reject, opened int, closed []error, counts []Counts) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]Reject(nil), w.refused...), w.opened, append([]error(nil), w.closed...), append([]Counts(nil), w.counts...)
}

func newTestServer(t testing.TB, cfg ServerConfig) *Server {
	t.Helper()
	cfg.ImplementationClassUID, cfg.ImplementationVersion = testUID, testVersion
	s, err := NewServer(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// serveTCP runs a server on loopback until the test ends, and checks that
// Serve returns: nothing it started is left.
func serveTCP(t testing.TB, cfg ServerConfig) (s *Server, port string) {
	t.Helper()
	s = newTestServer(t, cfg)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(l) }()
	t.Cleanup(func() {
		s.Close()
		select {
		case err := <-ended:
			if err != ErrServerClosed {
				t.Errorf("Serve returned %v, want ErrServerClosed", err)
			}
		case <-time.After(time.Minute):
			t.Error("Serve has not returned a minute after Close")
		}
	})
	_, port, _ = net.SplitHostPort(l.Addr().String())
	return s, port
}

func testDial(t testing.TB, port string, contexts ...Proposal) *Client {
	t.Helper()
	cfg := clientConfig(port, contexts...)
	cfg.Associate, cfg.Response = time.Minute, time.Minute // of a real clock on a busy machine
	c, err := Dial(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func clientConfig(port string, contexts ...Proposal) ClientConfig {
	return ClientConfig{
		Address: "127.0.0.1:" + port, Called: "EDGED", Calling: "CT1", Contexts: contexts,
		ImplementationClassUID: testUID, ImplementationVersion: testVersion, Associate: 10 * time.Second, Response: 20 * time.Second,
	}
}

// tool finds a program of DCMTK or skips the test.
func tool(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("%s of DCMTK is not installed (package dcmtk)", name)
	}
	return path
}

// run runs a program for at most a minute and returns what it said.
func run(t testing.TB, name string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, tool(t, name), args...).CombinedOutput()
	return string(out), err
}

func mustRun(t testing.TB, name string, args ...string) string {
	t.Helper()
	out, err := run(t, name, args...)
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return out
}

// instance is a file that a test sends.
type instance struct {
	path string
	need Need
	uid  string
	data []byte // the data set
}

// makeInstance writes a Part 10 file with pixels of the given size, Explicit VR
// Little Endian or encapsulated under any other transfer syntax, in the form in
// which DCMTK sends it unchanged.
func makeInstance(t testing.TB, dir string, n, pixels int, ts string) instance {
	t.Helper()
	uid := fmt.Sprintf("2.25.4711.%d", n)
	var d []byte
	d = element2(d, 0x0008, 0x0016, "UI", ctImage)
	d = element2(d, 0x0008, 0x0018, "UI", uid)
	d = element2(d, 0x0008, 0x0060, "CS", "CT")
	d = element2(d, 0x0010, 0x0010, "PN", "TEST^SYNTHETIC")
	d = element2(d, 0x0010, 0x0020, "LO", "0001")
	d = element2(d, 0x0020, 0x000d, "UI", "2.25.4711")
	d = element2(d, 0x0020, 0x000e, "UI", "2.25.4711.0")
	d = element2(d, 0x0028, 0x0002, "US", "\x01\x00")
	d = element2(d, 0x0028, 0x0004, "CS", "MONOCHROME2")
	d = element2(d, 0x0028, 0x0010, "US", string(binary.LittleEndian.AppendUint16(nil, uint16(pixels/1024))))
	d = element2(d, 0x0028, 0x0011, "US", "\x00\x02")
	d = element2(d, 0x0028, 0x0100, "US", "\x10\x00")
	d = element2(d, 0x0028, 0x0101, "US", "\x10\x00")
	d = element2(d, 0x0028, 0x0102, "US", "\x0f\x00")
	d = element2(d, 0x0028, 0x0103, "US", "\x00\x00")
	d = appendPixels(d, n, pixels, ts)
	path := filepath.Join(dir, fmt.Sprintf("%d.dcm", n))
	if err := os.WriteFile(path, append(part10(uid, ts), d...), 0o600); err != nil {
		t.Fatal(err)
	}
	return instance{path, Need{ctImage, ts}, uid, d}
}

func appendPixels(d []byte, n, pixels int, ts string) []byte {
	pix := make([]byte, pixels)
	for i := range pix {
		pix[i] = byte(i*7 + n + i>>9)
	}
	if uncompressed(ts) {
		d = append(d, 0xe0, 0x7f, 0x10, 0, 'O', 'W', 0, 0)
		d = binary.LittleEndian.AppendUint32(d, uint32(pixels))
		return append(d, pix...)
	}
	d = append(d, 0xe0, 0x7f, 0x10, 0, 'O', 'B', 0, 0, 0xff, 0xff, 0xff, 0xff)
	d = append(d, 0xfe, 0xff, 0, 0xe0, 0, 0, 0, 0) // empty offset table
	d = append(d, 0xfe, 0xff, 0, 0xe0)
	d = binary.LittleEndian.AppendUint32(d, uint32(pixels))
	d = append(d, pix...)
	return append(d, 0xfe, 0xff, 0xdd, 0xe0, 0, 0, 0, 0)
}

func element2(d []byte, group, tag uint16, vr, v string) []byte {
	if len(v)%2 == 1 {
		if vr == "UI" {
			v += "\x00"
		} else {
			v += " "
		}
	}
	d = binary.LittleEndian.AppendUint16(d, group)
	d = binary.LittleEndian.AppendUint16(d, tag)
	d = append(d, vr...)
	d = binary.LittleEndian.AppendUint16(d, uint16(len(v)))
	return append(d, v...)
}

func part10(uid, ts string) []byte {
	var m []byte
	m = append(m, 2, 0, 1, 0, 'O', 'B', 0, 0, 2, 0, 0, 0, 0, 1)
	m = element2(m, 2, 2, "UI", ctImage)
	m = element2(m, 2, 3, "UI", uid)
	m = element2(m, 2, 0x10, "UI", ts)
	m = element2(m, 2, 0x12, "UI", testUID)
	b := append(make([]byte, 128), "DICM"...)
	b = append(b, 2, 0, 0, 0, 'U', 'L', 4, 0)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(m)))
	return append(b, m...)
}

// dataSetOf is what stands behind the File Meta of a file.
func dataSetOf(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil || len(b) < 144 {
		t.Fatalf("read %s: %v", path, err)
	}
	return b[144+int(binary.LittleEndian.Uint32(b[140:])):]
}
