package commitment

import (
	"context"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"edged/dimse"
	"edged/internal/ports"
)

// pynetdicom, as a modality that takes Implicit VR Little Endian alone, hears its
// report on the association on which it asked, and on a new one, from the title
// that it called.
func TestPynetdicomHearsItsReport(t *testing.T) {
	python := os.Getenv("EDGED_PYTHON")
	if python == "" {
		python = "python3"
	}
	if err := exec.Command(python, "-c", "import pynetdicom").Run(); err != nil {
		t.Skipf("%s with pynetdicom is not there (EDGED_PYTHON names one): %v", python, err)
	}
	for _, how := range []string{"same", "new"} {
		t.Run(how, func(t *testing.T) {
			listen := freePort(t)
			s := newShelf()
			e, err := New(Config{
				Store: s, Linger: 200 * time.Millisecond,
				Judge: func(context.Context, string, string, []dimse.Reference) []Verdict {
					return []Verdict{Committed, Failed(dimse.FailureClassConflict)}
				},
				Reach: func(string) (dimse.ClientConfig, bool) {
					return dimse.ClientConfig{Address: "127.0.0.1:" + listen, ImplementationClassUID: "2.25.1", ImplementationVersion: "TEST"}, how == "new"
				},
			})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- e.Run(ctx) }()
			defer func() { cancel(); <-ended }()
			out, err := exec.Command(python, "testdata/commitment_scu.py", serveOnLoopback(t, e), how, listen).CombinedOutput()
			want := "[(2, '2.25.100', ['2.25.1'], ['2.25.2'], '" + map[string]string{"same": "PYMOD", "new": "PACS1"}[how] + "', 'Implicit VR Little Endian')]"
			if err != nil || strings.TrimSpace(string(out)) != want {
				t.Fatalf("%v: %s, want %s", err, out, want)
			}
			for range 3000 { // the answer is on its way to the engine
				if s.len() == 0 {
					return
				}
				time.Sleep(20 * time.Millisecond)
			}
			t.Error("the transaction is still kept")
		})
	}
}

func serveOnLoopback(t *testing.T, e *Engine) (port string) {
	t.Helper()
	s, err := dimse.NewServer(dimse.ServerConfig{Handler: &device{}, Commitment: e, ImplementationClassUID: "2.25.1", ImplementationVersion: "TEST"})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(l) }()
	t.Cleanup(func() { s.Close(); <-ended })
	_, port, _ = net.SplitHostPort(l.Addr().String())
	return port
}

func freePort(t *testing.T) string {
	t.Helper()
	port, err := ports.Free()
	if err != nil {
		t.Fatal(err)
	}
	return strconv.Itoa(port)
}
