package receive_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"edged/uplink"
	"edged/uplink/uplinktest"
	"edged/uplink/wire"
)

// cpu is what this process took so far, user and system.
func cpu() time.Duration {
	var r syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &r)
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// files lends objects from files, as the spool does: read, not hashed.
type fileSource struct {
	*uplinktest.Source
	dir string
}

func (f fileSource) Open(_ context.Context, o uplink.Object, offset int64) (io.ReadCloser, error) {
	file, err := os.Open(filepath.Join(f.dir, o.ID.String()))
	if err != nil {
		return nil, err
	}
	_, err = file.Seek(offset, io.SeekStart)
	return file, err
}

// BenchmarkToHubDurable carries objects from files to durable files at the hub
// over loopback, both ends in this process, against a plain Go TLS copy of the same
// bytes into one flushed file.
func BenchmarkToHubDurable(b *testing.B) {
	for _, carrier := range []string{"quic", "tcp"} {
		for _, c := range []struct{ n, size int }{{4000, 30 << 10}, {400, 512 << 10}, {8, 30 << 20}} {
			b.Run(fmt.Sprintf("%s/%dKiB", carrier, c.size>>10), func(b *testing.B) { benchUplink(b, carrier, c.n, c.size) })
		}
	}
	b.Run("tls/copy", func(b *testing.B) { benchTLS(b, 240<<20) })
}

func report(b *testing.B, bytes int64, began time.Time, before time.Duration) {
	total := float64(bytes) * float64(b.N)
	b.ReportMetric(total/1e6/time.Since(began).Seconds(), "MB/s")
	b.ReportMetric((cpu()-before).Seconds()*1e9/total, "cpu-s/GB")
	b.ReportMetric(0, "ns/op")
}

func benchUplink(b *testing.B, carrier string, n, size int) {
	w := newWorld(b)
	w.carrier = carrier
	w.start()
	dir := b.TempDir()
	var took, used time.Duration
	for i := range b.N {
		source := uplinktest.NewSource()
		for j := range n {
			it := source.Add(uint64(i*n+j), size, wire.Routine)
			if err := os.WriteFile(filepath.Join(dir, it.ID.String()), it.Data, 0o600); err != nil {
				b.Fatal(err)
			}
			it.Data = nil
		}
		began, before := time.Now(), cpu()
		_, stop := w.appliance("one", source, func(c *uplink.Config) { c.Source = fileSource{source, dir} })
		waitFor(b, source, uplinktest.Archived)
		took, used = took+time.Since(began), used+cpu()-before
		stop()
	}
	report(b, int64(n)*int64(size), time.Now().Add(-took), cpu()-used)
}

func benchTLS(b *testing.B, size int64) {
	ca := uplinktest.NewCA(b)
	listener, err := tls.Listen("tcp", "127.0.0.1:0", ca.Hub())
	if err != nil {
		b.Fatal(err)
	}
	defer listener.Close()
	from, to := filepath.Join(b.TempDir(), "from"), filepath.Join(b.TempDir(), "to")
	_, data := uplinktest.MakeObject(1, int(size), wire.Routine)
	if err := os.WriteFile(from, data, 0o600); err != nil {
		b.Fatal(err)
	}
	data = nil
	began, before := time.Now(), cpu()
	for range b.N {
		done := make(chan error, 1)
		go func() { done <- takeTLS(listener, to) }()
		conn, err := tls.Dial("tcp", listener.Addr().String(), ca.Appliance("one"))
		if err != nil {
			b.Fatal(err)
		}
		file, err := os.Open(from)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.CopyBuffer(struct{ io.Writer }{conn}, struct{ io.Reader }{file}, make([]byte, 256<<10)); err != nil {
			b.Fatal(err)
		}
		file.Close()
		conn.Close()
		if err := <-done; err != nil {
			b.Fatal(err)
		}
	}
	report(b, size, began, before)
}

func takeTLS(l net.Listener, to string) error {
	conn, err := l.Accept()
	if err != nil {
		return err
	}
	defer conn.Close()
	file, err := os.Create(to)
	if err != nil {
		return err
	}
	defer file.Close()
	if _, err := io.CopyBuffer(struct{ io.Writer }{file}, struct{ io.Reader }{conn}, make([]byte, 256<<10)); err != nil {
		return err
	}
	return file.Sync()
}
