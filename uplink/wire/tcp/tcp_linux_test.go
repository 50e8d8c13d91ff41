package tcp

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// pair is a connection over loopback, both of its ends.
func pair(t *testing.T, network, addr string) (a, b *net.TCPConn) {
	t.Helper()
	l, err := net.Listen(network, addr)
	if err != nil {
		t.Skipf("no %s here: %v", network, err)
	}
	defer l.Close()
	c, err := (&net.Dialer{Timeout: 10 * time.Second}).DialContext(context.Background(), network, l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	a, b = c.(*net.TCPConn), s.(*net.TCPConn)
	t.Cleanup(func() { a.Close(); b.Close() })
	return a, b
}

func option(t *testing.T, c *net.TCPConn, level, name int) (v int) {
	t.Helper()
	err := control(c, func(fd int) (err error) {
		v, err = unix.GetsockoptInt(fd, level, name)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// What Tune promises is what the kernel has afterwards, at both ends.
func TestTheSocketIsAsTuneSays(t *testing.T) {
	a, b := pair(t, "tcp4", "127.0.0.1:0")
	for _, c := range []*net.TCPConn{a, b} {
		congestion, err := Tune(c, 20*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		offered, err := os.ReadFile("/proc/sys/net/ipv4/tcp_available_congestion_control")
		if err == nil && slices.Contains(strings.Fields(string(offered)), BBR) != (congestion == BBR) {
			t.Errorf("uses %s where the kernel offers %s", congestion, offered)
		}
		for _, w := range []struct {
			name          string
			level, option int
			want          int
		}{
			{"TCP_NODELAY", unix.IPPROTO_TCP, unix.TCP_NODELAY, 1},
			{"TCP_NOTSENT_LOWAT", unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, LowWater},
			{"TCP_USER_TIMEOUT", unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, 20_000},
			{"SO_KEEPALIVE", unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
			{"TCP_KEEPIDLE", unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, 5},
		} {
			if got := option(t, c, w.level, w.option); got != w.want {
				t.Errorf("%s is %d, not %d", w.name, got, w.want)
			}
		}
	}
}

// The DSCP stands in the upper six bits of the byte of either IP version.
func TestDSCPIsWritten(t *testing.T) {
	for network, o := range map[string]struct {
		addr          string
		level, option int
	}{
		"tcp4": {"127.0.0.1:0", unix.IPPROTO_IP, unix.IP_TOS},
		"tcp6": {"[::1]:0", unix.IPPROTO_IPV6, unix.IPV6_TCLASS},
	} {
		t.Run(network, func(t *testing.T) {
			a, _ := pair(t, network, o.addr)
			if err := SetDSCP(a, 10); err != nil {
				t.Fatal(err)
			}
			if got := option(t, a, o.level, o.option) >> 2; got != 10 {
				t.Errorf("the DSCP is %d", got)
			}
			if err := SetDSCP(a, 64); err == nil {
				t.Error("a DSCP of seven bits was taken")
			}
		})
	}
}

// A dual-stack listener sees IPv4 peers through mapped addresses; both calls
// reach the IPv4 header there too.
func TestMappedAddressesAreIPv4(t *testing.T) {
	l, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Skip(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	c, err := (&net.Dialer{Timeout: 10 * time.Second}).DialContext(t.Context(), "tcp4", net.JoinHostPort("127.0.0.1", port))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	s, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	tcp := s.(*net.TCPConn)
	if err := SetDSCP(tcp, 34); err != nil {
		t.Fatal(err)
	}
	if got := option(t, tcp, unix.IPPROTO_IP, unix.IP_TOS) >> 2; got != 34 {
		t.Errorf("the DSCP is %d", got)
	}
	if i, err := Info(tcp); err != nil || i.MTU < 576 {
		t.Errorf("path MTU %d: %v", i.MTU, err)
	}
}

// Info counts what was sent and knows the path.
func TestInfoCountsWhatWasSent(t *testing.T) {
	a, b := pair(t, "tcp4", "127.0.0.1:0")
	const n = 1 << 20
	done := make(chan error, 1)
	go func() {
		_, err := io.CopyN(io.Discard, b, n)
		done <- err
	}()
	if _, err := a.Write(make([]byte, n)); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	i, err := Info(a)
	if err != nil {
		t.Fatal(err)
	}
	if i.Sent == 0 || i.BytesSent < n || i.MSS < 536 || i.MTU < i.MSS || i.RTT <= 0 || i.RTT > time.Second || i.MinRTT > i.RTT || i.Congestion == "" {
		t.Errorf("info: %+v", i)
	}
}

// What waits unsent in the kernel is bounded although the send buffer is not
// full: that is what an urgent frame has before it.
func TestWhatWaitsInTheKernelIsSmall(t *testing.T) {
	a, _ := pair(t, "tcp4", "127.0.0.1:0") // nobody reads
	if _, err := Tune(a, 20*time.Second); err != nil {
		t.Fatal(err)
	}
	a.SetWriteDeadline(time.Now().Add(200 * time.Millisecond))
	if _, err := a.Write(make([]byte, 32<<20)); !os.IsTimeout(err) {
		t.Fatalf("nobody reads 32 MiB, and yet: %v", err)
	}
	i, err := Info(a)
	if err != nil {
		t.Fatal(err)
	}
	if i.Unsent > 2*LowWater {
		t.Errorf("%d bytes wait unsent", i.Unsent)
	}
	t.Logf("%d bytes wait unsent", i.Unsent)
}

// TestTheKernelsQueueFollowsTheLine: it holds some milliseconds of what is
// delivered, within its bounds.
func TestTheKernelsQueueFollowsTheLine(t *testing.T) {
	a, b := pair(t, "tcp4", "127.0.0.1:0")
	if _, err := Tune(a, 20*time.Second); err != nil {
		t.Fatal(err)
	}
	go io.Copy(io.Discard, b)
	if _, err := a.Write(make([]byte, 8<<20)); err != nil {
		t.Fatal(err)
	}
	if err := Keep(a); err != nil {
		t.Fatal(err)
	}
	i, err := Info(a)
	if err != nil || i.Delivery == 0 {
		t.Fatalf("%+v, %v", i, err)
	}
	var got int
	control(a, func(fd int) error {
		got, err = unix.GetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT)
		return err
	})
	if err != nil || got < leastWater || got > mostWater || got == LowWater {
		t.Errorf("%d bytes, %v, while %d a second are delivered", got, err, i.Delivery)
	}
}

// A peer whose window stays shut for as long as idle is given up: its kernel
// answers, but nobody there reads (RFC 5482 §3, tcp(7) TCP_USER_TIMEOUT).
func TestAPeerThatTakesNothingIsGivenUp(t *testing.T) {
	a, _ := pair(t, "tcp4", "127.0.0.1:0") // nobody reads
	if _, err := Tune(a, time.Second); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	a.SetWriteDeadline(began.Add(30 * time.Second))
	var err error
	for err == nil {
		_, err = a.Write(make([]byte, 1<<20))
	}
	if took := time.Since(began); !errors.Is(err, unix.ETIMEDOUT) || took < time.Second || took > 10*time.Second {
		t.Errorf("after %s: %v", took, err)
	}
	t.Logf("after %s", time.Since(began))
}
