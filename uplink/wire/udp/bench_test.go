//go:build linux

package udp

import (
	"context"
	"crypto/tls"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"golang.org/x/sys/unix"
)

// receiverKey in the environment makes this program the receiving end of a
// benchmark: a process of its own, so that its CPU time is known.
const receiverKey = "UDP_BENCH_RECEIVER"

func TestMain(m *testing.M) {
	if how := os.Getenv(receiverKey); how != "" {
		if err := receive(how); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// cell is one line of the table. Both ends are set up the same way.
type cell struct {
	name    string
	tcp     bool
	gro     bool
	gso     bool
	buffers int // 0: what is asked for by default; else cut to it
	lanes   int
}

var cells = []cell{
	{"plain TLS over TCP", true, false, false, 0, 1},
	{"neither GSO nor GRO", false, false, false, 0, 1},
	{"GSO (quic-go as it comes)", false, false, true, 0, 1},
	{"GRO", false, true, false, 0, 1},
	{"GSO, GRO", false, true, true, 0, 1},
	{"GSO, GRO, buffers of 208 KiB", false, true, true, 208 << 10, 1},
	{"GSO, 4 lanes", false, false, true, 0, 4},
	{"GSO, GRO, 4 lanes", false, true, true, 0, 4},
	{"GSO, GRO, 4 lanes, buffers of 208 KiB", false, true, true, 208 << 10, 4},
}

// BenchmarkQUIC measures what each part gains on loopback, a stream a lane, each
// side a process. With -benchtime 512x each line carries 512 MiB.
func BenchmarkQUIC(b *testing.B) {
	for _, c := range cells {
		b.Run(strings.ReplaceAll(c.name, " ", "_"), func(b *testing.B) {
			r, err := c.run(b, int64(b.N)<<20)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(r.rate, "Mbit/s")
			b.ReportMetric(r.sender, "sender-s/GB")
			b.ReportMetric(r.receiver, "receiver-s/GB")
			b.ReportMetric(r.lost, "lost-%")
			b.ReportMetric(0, "ns/op")
		})
	}
}

var table = flag.Int("table", 0, "MiB for each line of TestTable, five times")

// TestTable prints the median of five rounds, the lines in turn in each, as it
// stands in docs/performance.md:
//
//	go test ./uplink/wire/udp -run Table -table 512 -v -timeout 20m
func TestTable(t *testing.T) {
	if *table == 0 {
		t.Skip("asked for with -table")
	}
	all := make([][]result, len(cells))
	for range 5 {
		for i, c := range cells {
			r, err := c.run(t, int64(*table)<<20)
			if err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
			all[i] = append(all[i], r)
		}
	}
	var out strings.Builder
	out.WriteString("\n| socket | Mbit/s | of plain TLS | CPU s/GB, sender | CPU s/GB, receiver | lost |\n|---|---|---|---|---|---|\n")
	tls := median(all[0], func(r result) float64 { return r.rate })
	for i, c := range cells {
		of := func(value func(result) float64) float64 { return median(all[i], value) }
		rate := of(func(r result) float64 { return r.rate })
		fmt.Fprintf(&out, "| %s | %.0f | %.0f %% | %.2f | %.2f | %.2f %% |\n", c.name, rate, 100*rate/tls,
			of(func(r result) float64 { return r.sender }), of(func(r result) float64 { return r.receiver }), of(func(r result) float64 { return r.lost }))
	}
	t.Log(out.String())
}

func median(all []result, value func(result) float64) float64 {
	var v []float64
	for _, r := range all {
		v = append(v, value(r))
	}
	slices.Sort(v)
	return v[len(v)/2]
}

// result is what one run of a cell measured.
type result struct {
	rate             float64 // Mbit/s
	sender, receiver float64 // CPU seconds a GB
	lost             float64 // percent of the packets sent
}

func (c cell) how() string {
	return fmt.Sprintf("%v %v %d", c.tcp, c.gro, c.buffers)
}

func cpu() time.Duration {
	var r syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &r)
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

func (c cell) run(b testing.TB, size int64) (r result, err error) {
	os.Setenv("QUIC_GO_DISABLE_GSO", strconv.FormatBool(!c.gso))
	receiver := exec.Command(os.Args[0])
	receiver.Env = append(os.Environ(), receiverKey+"="+c.how())
	receiver.Stderr = os.Stderr
	in, err := receiver.StdinPipe()
	if err != nil {
		return r, err
	}
	out, err := receiver.StdoutPipe()
	if err != nil {
		return r, err
	}
	if err := receiver.Start(); err != nil {
		return r, err
	}
	defer receiver.Wait()
	defer in.Close()
	var address string
	if _, err := fmt.Fscan(out, &address); err != nil {
		return r, err
	}
	ctx, cancel := context.WithTimeout(b.Context(), 2*time.Minute)
	defer cancel()
	streams, lost, closeAll, err := c.dial(ctx, b, address)
	if err != nil {
		return r, err
	}
	defer closeAll()
	before, began := cpu(), time.Now()
	done := make(chan error, len(streams))
	for _, s := range streams {
		go func() { done <- send(s, size/int64(len(streams))) }()
	}
	for range streams {
		if err := <-done; err != nil {
			return r, err
		}
	}
	var got int64
	var theirs float64
	for got < size/int64(len(streams))*int64(len(streams)) { // each stream that ended: all bytes so far, CPU so far
		if _, err := fmt.Fscan(out, &got, &theirs); err != nil {
			return r, err
		}
	}
	r.rate = float64(size) * 8 / 1e6 / time.Since(began).Seconds()
	r.sender = (cpu() - before).Seconds() * 1e9 / float64(size)
	r.receiver = theirs * 1e9 / float64(size)
	r.lost = 100 * lost()
	return r, nil
}

func send(w io.WriteCloser, n int64) error {
	frame := make([]byte, 256<<10) // as Put frames
	for n > 0 {
		k := min(n, int64(len(frame)))
		if _, err := w.Write(frame[:k]); err != nil {
			return err
		}
		n -= k
	}
	return w.Close()
}

// dial opens what is sent on, a socket for each lane.
func (c cell) dial(ctx context.Context, b testing.TB, address string) (streams []io.WriteCloser, lost func() float64, closeAll func(), err error) {
	if c.tcp {
		conn, err := tls.Dial("tcp", address, clientTLS())
		return []io.WriteCloser{conn}, func() float64 { return 0 }, func() {}, err
	}
	hub, err := net.ResolveUDPAddr("udp", address)
	if err != nil {
		return nil, nil, nil, err
	}
	var closers []func()
	var conns []*quic.Conn
	for range c.lanes {
		pc, err := socket(ctx, c.gro)
		if err != nil {
			return nil, nil, nil, err
		}
		conn, closeLane := lane(ctx, b, pc, hub)
		cut(pc, c.buffers)
		stream, err := conn.OpenUniStreamSync(ctx)
		if err != nil {
			return nil, nil, nil, err
		}
		streams = append(streams, stream)
		conns = append(conns, conn)
		closers = append(closers, closeLane, func() { pc.Close() })
	}
	return streams, func() float64 { return lostShare(conns) }, func() {
		for _, f := range closers {
			f()
		}
	}, nil
}

func lostShare(conns []*quic.Conn) float64 {
	var lost, sent uint64
	for _, c := range conns {
		s := c.ConnectionStats()
		lost, sent = lost+s.PacketsLost, sent+s.PacketsSent
	}
	return float64(lost) / float64(sent)
}

// socket is ours, or the one that quic-go reads in batches without GRO.
func socket(ctx context.Context, gro bool) (net.PacketConn, error) {
	if gro {
		return Listen(ctx, "udp4", "127.0.0.1:0", Options{})
	}
	return net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
}

// cut makes the buffers small after quic-go has made them large.
func cut(pc net.PacketConn, n int) {
	raw, err := pc.(syscall.Conn).SyscallConn()
	if n == 0 || err != nil {
		return
	}
	raw.Control(func(fd uintptr) {
		unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, n)
		unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_SNDBUF, n)
	})
}

// receive is the other process. It prints where it listens, and for each stream
// that ended the bytes and the CPU seconds of all; it ends with its standard input.
func receive(how string) error {
	var tcp, gro bool
	var buffers int
	if _, err := fmt.Sscan(how, &tcp, &gro, &buffers); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	conf := &tls.Config{Certificates: []tls.Certificate{certificate(new(testing.B))}, NextProtos: []string{alpn}, MinVersion: tls.VersionTLS13}
	ended := make(chan int64)
	if tcp {
		l, err := tls.Listen("tcp4", "127.0.0.1:0", conf)
		if err != nil {
			return err
		}
		fmt.Println(l.Addr())
		go func() {
			if conn, err := l.Accept(); err == nil {
				ended <- drain(conn)
			}
		}()
	} else if err := receiveQUIC(ctx, conf, gro, buffers, ended); err != nil {
		return err
	}
	go func() { io.Copy(io.Discard, os.Stdin); cancel() }()
	var total int64
	before := cpu()
	for {
		select {
		case n := <-ended:
			total += n
			fmt.Println(total, (cpu() - before).Seconds())
		case <-ctx.Done():
			return nil
		}
	}
}

func receiveQUIC(ctx context.Context, conf *tls.Config, gro bool, buffers int, ended chan<- int64) error {
	pc, err := socket(ctx, gro)
	if err != nil {
		return err
	}
	l, err := (&quic.Transport{Conn: pc}).Listen(conf, windows)
	if err != nil {
		return err
	}
	cut(pc, buffers)
	fmt.Println(l.Addr())
	go func() {
		for {
			conn, err := l.Accept(ctx)
			if err != nil {
				return
			}
			go func() {
				if s, err := conn.AcceptUniStream(ctx); err == nil {
					ended <- drain(s)
				}
			}()
		}
	}()
	return nil
}

// drain reads to the end as the hub does, 256 KiB at a time.
func drain(r io.Reader) int64 {
	n, _ := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{r}, make([]byte, 256<<10))
	return n
}
