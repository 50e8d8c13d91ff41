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
// storescp, with and without TCP_NODELAY at the sender. DCMTK sets it unless
// the environment says TCP_NODELAY=0.
func BenchmarkStorescu(b *testing.B) {
	dir := b.TempDir()
	const objects = 300
	for n := range objects {
		makeInstance(b, dir, n, 512<<10, ExplicitVRLE)
	}
	_, ours := serveTCP(b, ServerConfig{Handler: sink})
	theirs, _ := storescp(b, "--ignore")
	for _, c := range []struct{ name, port, nodelay string }{
		{"edged/nodelay", ours, "1"}, {"edged/nagle", ours, "0"}, {"storescp/nodelay", theirs, "1"}, {"storescp/nagle", theirs, "0"},
	} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				cmd := exec.CommandContext(b.Context(), tool(b, "storescu"), "+sd", "127.0.0.1", c.port, dir)
				cmd.Env = append(os.Environ(), "TCP_NODELAY="+c.nodelay)
				if out, err := cmd.CombinedOutput(); err != nil {
					b.Fatalf("%v\n%s", err, out)
				}
			}
			b.ReportMetric(float64(objects*b.N)/b.Elapsed().Seconds(), "objects/s")
		})
	}
}
