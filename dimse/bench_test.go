package dimse

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"testing"
)

// sink reads everything and keeps nothing.
var sink = handlerFunc(func(_ context.Context, _ *Association, _ StoreRequest, data io.Reader) Status {
	if _, err := io.Copy(io.Discard, data); err != nil {
		return StatusProcessingFailure
	}
	return StatusSuccess
})

// BenchmarkStore sends 512 KiB objects from our client to our server, over
// loopback TCP: what DIMSE costs without a disk.
func BenchmarkStore(b *testing.B) {
	_, port := serveTCP(b, ServerConfig{Handler: sink})
	c := testDial(b, port, Proposal{AbstractSyntax: ctImage, TransferSyntaxes: []string{ExplicitVRLE}})
	data := make([]byte, 512<<10)
	rq := StoreRequest{SOPClassUID: ctImage, SOPInstanceUID: "2.25.9", TransferSyntaxUID: ExplicitVRLE}
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if rsp, err := c.Store(b.Context(), rq, bytes.NewReader(data)); err != nil || rsp.Status != StatusSuccess {
			b.Fatal(rsp, err)
		}
	}
	c.Release(b.Context())
}

// BenchmarkStorescu sends 300 objects of 512 KiB from DCMTK to our sink and to
// storescp, with and without TCP_NODELAY at the sender, and four senders at a
// time. DCMTK as Debian builds it sets the option only when the environment
// says TCP_NODELAY=1, which storescp gets in any case.
func BenchmarkStorescu(b *testing.B) {
	dir := b.TempDir()
	const objects = 300
	for n := range objects {
		makeInstance(b, dir, n, 512<<10, ExplicitVRLE)
	}
	_, ours := serveTCP(b, ServerConfig{Handler: sink})
	b.Setenv("TCP_NODELAY", "1")
	theirs, _ := storescp(b, "--ignore")
	for _, c := range []struct {
		name, port, nodelay string
		senders             int
	}{
		{"edged/nodelay", ours, "1", 1}, {"storescp/nodelay", theirs, "1", 1},
		{"edged/nagle", ours, "0", 1}, {"storescp/nagle", theirs, "0", 1},
		{"edged/four", ours, "1", 4},
	} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				storescuAtOnce(b, c.senders, c.port, c.nodelay, dir)
			}
			b.ReportMetric(float64(objects*c.senders*b.N)/b.Elapsed().Seconds(), "objects/s")
		})
	}
}

func storescuAtOnce(b *testing.B, senders int, port, nodelay, dir string) {
	var running []*exec.Cmd
	for range senders {
		cmd := exec.CommandContext(b.Context(), tool(b, "storescu"), "+sd", "127.0.0.1", port, dir)
		cmd.Env = append(os.Environ(), "TCP_NODELAY="+nodelay)
		if err := cmd.Start(); err != nil {
			b.Fatal(err)
		}
		running = append(running, cmd)
	}
	for _, cmd := range running {
		if err := cmd.Wait(); err != nil {
			b.Fatal(err)
		}
	}
}
