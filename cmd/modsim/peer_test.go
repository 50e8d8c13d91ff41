package main

import (
	"context"
	"errors"
	"io"
	"net"
	"os/exec"
	"strconv"
	"sync"
	"testing"
	"time"

	"edged/dimse"
	"edged/internal/dicom"
	"edged/internal/ports"
)

// archive is a real Storage SCP that keeps the digest of each whole instance.
type archive struct {
	mu      sync.Mutex
	whole   map[dicom.ID]int
	broken  int
	callers map[string]int
	stored  func(n int) // told how many there are, if not nil
}

func (a *archive) Echo(context.Context, *dimse.Association) dimse.Status { return dimse.StatusSuccess }

func (a *archive) Store(_ context.Context, as *dimse.Association, rq dimse.StoreRequest, data io.Reader) dimse.Status {
	h := dicom.Names{TransferSyntax: rq.TransferSyntaxUID, SOPClass: rq.SOPClassUID, SOPInstance: rq.SOPInstanceUID}.NewHash()
	_, err := io.Copy(h, data)
	a.mu.Lock()
	defer a.mu.Unlock()
	if err != nil {
		a.broken++
		return dimse.StatusProcessingFailure
	}
	a.whole[dicom.ID(h.Sum(nil))]++
	if a.stored != nil {
		a.stored(len(a.whole))
	}
	a.callers[as.Peer().Calling]++
	return dimse.StatusSuccess
}

// serve starts an archive with quick time-outs on a free port of the loopback.
func serve(t *testing.T) (*archive, string) {
	t.Helper()
	a := newArchive()
	_, address := a.listen(t, "127.0.0.1:0")
	return a, "ARCHIVIO@" + address
}

func newArchive() *archive {
	return &archive{whole: map[dicom.ID]int{}, callers: map[string]int{}}
}

// listen starts a server in front of the archive; it is closed with the test at the latest.
func (a *archive) listen(t *testing.T, address string) (*dimse.Server, string) {
	t.Helper()
	s, err := dimse.NewServer(dimse.ServerConfig{Handler: a, Titles: []string{"ARCHIVIO"},
		ImplementationClassUID: dicom.ImplementationClassUID, ImplementationVersion: dicom.ImplementationVersionName,
		ARTIM: time.Second, Stall: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := s.Serve(l); !errors.Is(err, dimse.ErrServerClosed) {
			t.Errorf("Serve: %v", err)
		}
	})
	t.Cleanup(func() { s.Close(); wg.Wait() })
	return s, l.Addr().String()
}

// storescpInto starts DCMTK's Storage SCP on a free port and returns its address.
func storescpInto(t *testing.T, dir string, args ...string) string {
	t.Helper()
	if _, err := exec.LookPath("storescp"); err != nil {
		t.Skip("storescp is not installed (Debian package dcmtk)")
	}
	port := freePort(t)
	c := exec.Command("storescp", append(args, "-od", dir, strconv.Itoa(port))...)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Process.Kill(); c.Wait() })
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	for range 1200 {
		conn, err := net.DialTimeout("tcp", address, time.Second)
		if err == nil {
			conn.Close()
			return "STORESCP@" + address
		}
		<-time.After(50 * time.Millisecond)
	}
	t.Fatal("storescp did not begin to listen within a minute")
	return ""
}

func freePort(t *testing.T) int {
	t.Helper()
	port, err := ports.Free()
	if err != nil {
		t.Fatal(err)
	}
	return port
}
