//go:build linux

package udp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"
)

func listen(t testing.TB, network, addr string, o Options) *Conn {
	t.Helper()
	c, err := Listen(context.Background(), network, addr, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(20 * time.Second)) // no test waits for ever
	return c
}

// batch is what quic-go reads into: eight messages of 1452 bytes.
func batch() []ipv4.Message {
	ms := make([]ipv4.Message, 8)
	for i := range ms {
		ms[i] = ipv4.Message{Buffers: [][]byte{make([]byte, 1452)}, OOB: make([]byte, 128)}
	}
	return ms
}

func to(c *Conn) *net.UDPAddr { return c.LocalAddr().(*net.UDPAddr) }

// segments is the control message by which quic-go asks for GSO.
func segments(size uint16) []byte {
	return control(unix.IPPROTO_UDP, unix.UDP_SEGMENT, []byte{byte(size), byte(size >> 8)})
}

// control is one control message as the kernel pads it. The tests run on
// little-endian machines.
func control(level, kind int32, data []byte) []byte {
	b := make([]byte, unix.CmsgSpace(len(data)))
	n := unix.CmsgLen(len(data))
	b[0], b[1] = byte(n), byte(n>>8)
	at := unix.CmsgLen(0) - 8
	b[at], b[at+4] = byte(level), byte(kind)
	copy(b[unix.CmsgLen(0):], data)
	return b
}

func bytesOf(seed, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*7 + i/256 + seed)
	}
	return b
}

func needGRO(t *testing.T, c *Conn) {
	t.Helper()
	if s := c.Stats(); !s.GRO || !s.GSO {
		t.Skipf("this kernel has GRO %v, GSO %v", s.GRO, s.GSO)
	}
}

// A train comes out as the datagrams that went in, whatever their size and
// however short the last one is.
func TestATrainIsSplitWhereItWasJoined(t *testing.T) {
	for _, c := range []struct{ size, total int }{{1452, 20 * 1024}, {1280, 1280 * 3}, {1, 9}, {500, 501}, {1200, 1200}, {1400, 17}, {900, 900 * 60}} {
		t.Run(fmt.Sprintf("%d by %d", c.total, c.size), func(t *testing.T) {
			in, out := listen(t, "udp4", "127.0.0.1:0", Options{}), listen(t, "udp4", "127.0.0.1:0", Options{})
			needGRO(t, in)
			sent := bytesOf(1, c.total)
			if n, _, err := out.WriteMsgUDP(sent, segments(uint16(c.size)), to(in)); n != c.total || err != nil {
				t.Fatalf("wrote %d: %v", n, err)
			}
			var got []byte
			ms := batch()
			for len(got) < c.total {
				n, err := in.ReadBatch(ms, 0)
				if err != nil {
					t.Fatal(err)
				}
				for _, m := range ms[:n] {
					if want := min(c.size, c.total-len(got)); m.N != want || m.Flags != 0 {
						t.Fatalf("a datagram of %d bytes, flags %x, want %d", m.N, m.Flags, want)
					}
					if m.Addr.String() != out.LocalAddr().String() {
						t.Fatalf("from %v, want %v", m.Addr, out.LocalAddr())
					}
					got = append(got, m.Buffers[0][:m.N]...)
				}
			}
			if !bytes.Equal(got, sent) {
				t.Fatal("the bytes differ")
			}
			datagrams := uint64((c.total + c.size - 1) / c.size)
			if s := in.Stats(); s.Received != datagrams || datagrams > 1 && s.Reads >= datagrams || s.Dropped != 0 {
				t.Errorf("received %d of %d in %d calls, %d dropped", s.Received, datagrams, s.Reads, s.Dropped)
			}
			if s := out.Stats(); s.Sent != datagrams || s.Writes != 1 || s.Datagram != c.size {
				t.Errorf("sent %d of %d in %d writes, datagram %d", s.Sent, datagrams, s.Writes, s.Datagram)
			}
		})
	}
}

// Without GRO, as on an old kernel, the same comes out.
func TestWithoutGROTheSameComesOut(t *testing.T) {
	in, out := listen(t, "udp4", "127.0.0.1:0", Options{NoGRO: true}), listen(t, "udp4", "127.0.0.1:0", Options{})
	sent := bytesOf(2, 10*1200+5)
	if _, _, err := out.WriteMsgUDP(sent, segments(1200), to(in)); err != nil {
		t.Skipf("no GSO: %v", err)
	}
	var got []byte
	for len(got) < len(sent) {
		b := make([]byte, 2000)
		n, from, err := in.ReadFrom(b)
		if err != nil || n != min(1200, len(sent)-len(got)) || from.String() != out.LocalAddr().String() {
			t.Fatalf("%d bytes from %v: %v", n, from, err)
		}
		got = append(got, b[:n]...)
	}
	if !bytes.Equal(got, sent) || in.Stats().GRO {
		t.Fatal("the bytes differ, or GRO is on")
	}
}

// Empty datagrams are datagrams; one larger than the reader's buffer is cut and says so.
func TestEmptyAndCutDatagrams(t *testing.T) {
	in, out := listen(t, "udp4", "127.0.0.1:0", Options{}), listen(t, "udp4", "127.0.0.1:0", Options{})
	for _, n := range []int{0, 3000, 65507} {
		if _, err := out.WriteTo(bytesOf(0, n), to(in)); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 1500)
		got, _, flags, _, err := in.ReadMsgUDP(b, nil)
		if cut := flags&unix.MSG_TRUNC != 0; err != nil || got != min(n, len(b)) || cut != (n > len(b)) || !bytes.Equal(b[:got], bytesOf(0, n)[:got]) {
			t.Errorf("%d bytes: got %d, cut %v, %v", n, got, cut, err)
		}
	}
}

// The ECN bits of every datagram of a train are its own, and the DSCP stands
// beside them, with and without a control message, for both families (RFC 3168 §5).
func TestECNBitsSurviveAndDSCPStandsBesideThem(t *testing.T) {
	const dscp = 34
	v4 := func(tos byte) []byte { return control(unix.IPPROTO_IP, unix.IP_TOS, []byte{tos}) }
	v6 := func(class byte) []byte {
		return control(unix.IPPROTO_IPV6, unix.IPV6_TCLASS, []byte{class, 0, 0, 0})
	}
	for _, c := range []struct {
		name, network, from, to string
		ecn                     byte
		oob                     []byte
		dscp                    uint8
	}{
		{"IPv4", "udp4", "127.0.0.1:0", "127.0.0.1:0", 2, v4(2), dscp},
		{"IPv4, none asked for", "udp4", "127.0.0.1:0", "127.0.0.1:0", 1, v4(1), 0},
		{"IPv4, no control message", "udp4", "127.0.0.1:0", "127.0.0.1:0", 0, nil, dscp},
		{"IPv4, GSO", "udp4", "127.0.0.1:0", "127.0.0.1:0", 3, append(segments(100), v4(3)...), dscp},
		{"IPv6", "udp6", "[::1]:0", "[::1]:0", 1, v6(1), dscp},
		{"IPv6, no control message", "udp6", "[::1]:0", "[::1]:0", 0, nil, dscp},
		{"IPv6, GSO", "udp6", "[::1]:0", "[::1]:0", 2, append(segments(100), v6(2)...), dscp},
		{"mapped", "udp", ":0", "127.0.0.1:0", 1, append(segments(100), v4(1)...), dscp},
		{"mapped, no control message", "udp", ":0", "127.0.0.1:0", 0, nil, dscp},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := listenOrSkip(t, "udp", c.to, Options{})
			raw, _ := in.SyscallConn()
			raw.Control(func(fd uintptr) { // as quic-go does
				unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_RECVTOS, 1)
				unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_RECVTCLASS, 1)
			})
			out := listenOrSkip(t, c.network, c.from, Options{DSCP: c.dscp})
			before := bytes.Clone(c.oob)
			if _, _, err := out.WriteMsgUDP(bytesOf(1, 250), c.oob, to(in)); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(before, c.oob) {
				t.Error("the caller's control messages were changed")
			}
			ms := batch()
			for total := 0; total < 250; {
				n, err := in.ReadBatch(ms, 0)
				if err != nil {
					t.Fatal(err)
				}
				for _, m := range ms[:n] {
					total += m.N
					if got, want := trafficClass(t, m.OOB[:m.NN]), c.dscp<<2|c.ecn; got != want {
						t.Errorf("TOS %08b, want %08b", got, want)
					}
				}
			}
		})
	}
	if _, err := Listen(context.Background(), "udp4", "127.0.0.1:0", Options{DSCP: 64}); err == nil {
		t.Error("a DSCP of 64 was taken")
	}
}

func listenOrSkip(t *testing.T, network, addr string, o Options) *Conn {
	t.Helper()
	c, err := Listen(context.Background(), network, addr, o)
	if err != nil && network != "udp4" {
		t.Skipf("%s %s: %v", network, addr, err)
	} else if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(20 * time.Second))
	return c
}

// trafficClass reads what the kernel says, and that nothing else is said.
func trafficClass(t *testing.T, oob []byte) (class byte) {
	t.Helper()
	all, err := unix.ParseSocketControlMessage(oob)
	if err != nil || len(all) != 1 {
		t.Fatalf("%d control messages: %v", len(all), err)
	}
	return all[0].Data[0]
}

// Trains of many senders keep their addresses and their order each.
func TestEachDatagramHasItsOwnSender(t *testing.T) {
	in := listen(t, "udp", ":0", Options{})
	const senders, rounds, size, each = 20, 30, 700, 5
	port := to(in).Port
	var wg sync.WaitGroup
	want := map[string]byte{}
	var all []*Conn
	for i := range senders {
		c := listen(t, "udp4", "127.0.0.1:0", Options{})
		want[c.LocalAddr().String()] = byte(i)
		all = append(all, c)
	}
	for i, c := range all {
		wg.Go(func() {
			for r := range rounds {
				train := bytes.Repeat([]byte{byte(i)}, size*each)
				for k := range each {
					train[k*size+1] = byte(r*each + k)
				}
				if _, _, err := c.WriteMsgUDP(train, segments(size), &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	next := map[string]byte{}
	ms := batch()
	for got := 0; got < senders*rounds*each; {
		n, err := in.ReadBatch(ms, 0)
		if err != nil {
			t.Fatalf("after %d: %v", got, err)
		}
		for _, m := range ms[:n] {
			from := m.Addr.String()
			if i, ok := want[from]; !ok || m.N != size || m.Buffers[0][0] != i || m.Buffers[0][2] != i || m.Buffers[0][1] != next[from] {
				t.Fatalf("from %s: %d bytes, %v, want sender %d number %d", from, m.N, m.Buffers[0][:3], i, next[from])
			}
			next[from]++
		}
		got += n
	}
	wg.Wait()
}

func TestCloseAndDeadlinesEndAWaitingRead(t *testing.T) {
	c := listen(t, "udp4", "127.0.0.1:0", Options{})
	c.SetReadDeadline(time.Now())
	if _, err := c.ReadBatch(batch(), 0); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("deadline: %v", err)
	}
	var timeout net.Error
	if _, _, err := c.ReadFrom(make([]byte, 1)); !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Fatalf("deadline: %v", err)
	}
	c.SetReadDeadline(time.Time{})
	done := make(chan error)
	go func() {
		_, err := c.ReadBatch(batch(), 0)
		done <- err
	}()
	c.Close()
	if err := <-done; !errors.Is(err, net.ErrClosed) {
		t.Fatalf("close: %v", err)
	}
	if _, _, err := c.ReadFrom(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Fatalf("read after close: %v", err)
	}
	if _, _, err := c.WriteMsgUDP([]byte{1}, nil, &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 9}); !errors.Is(err, net.ErrClosed) {
		t.Fatalf("write after close: %v", err)
	}
}

// What ICMP tells of a peer that is gone (only a connected socket hears it) is
// no reason to stop: the next datagram is read.
func TestAnErrorOfOneDatagramEndsNothing(t *testing.T) {
	gone := listen(t, "udp4", "127.0.0.1:0", Options{})
	address := to(gone)
	gone.Close()
	plain, err := net.DialUDP("udp4", nil, address)
	if err != nil {
		t.Fatal(err)
	}
	c, err := Wrap(plain, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := plain.Write([]byte{1}); err != nil {
		t.Fatal(err)
	}
	again, err := net.ListenUDP("udp4", address) // the port is back
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if _, err := again.WriteTo([]byte("here"), c.LocalAddr()); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 10)
	if n, _, err := c.ReadFrom(b); err != nil || string(b[:n]) != "here" {
		t.Fatalf("%q: %v", b[:n], err)
	}
}

// A write that the network refuses is told until somebody has answered, and is a
// lost datagram from then on. What concerns the socket is always told.
func TestARefusedWriteIsALostDatagramOnceThePeerWasHeard(t *testing.T) {
	c, peer := listen(t, "udp4", "127.0.0.1:0", Options{}), listen(t, "udp4", "127.0.0.1:0", Options{})
	refused := &net.OpError{Op: "write", Err: os.NewSyscallError("sendmsg", unix.ENETUNREACH)}
	n := 0
	if err := c.wrote(make([]byte, 2500), 1000, &n, refused); !errors.Is(err, unix.ENETUNREACH) {
		t.Fatalf("before anything came: %v", err)
	}
	if _, err := peer.WriteTo([]byte{1}, to(c)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.ReadFrom(make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	if err := c.wrote(make([]byte, 2500), 1000, &n, refused); err != nil || n != 2500 || c.Stats().Refused != 3 {
		t.Fatalf("%d written, %d refused: %v", n, c.Stats().Refused, err)
	}
	for _, e := range []unix.Errno{unix.EMSGSIZE, unix.EIO, unix.EBADF, unix.EINVAL} { // quic-go decides
		if err := c.wrote(nil, 0, &n, os.NewSyscallError("sendmsg", e)); !errors.Is(err, e) {
			t.Errorf("%v became %v", e, err)
		}
	}
}

func TestBuffersAreAskedForAndTold(t *testing.T) {
	s := listen(t, "udp4", "127.0.0.1:0", Options{Buffer: 100 << 10}).Stats()
	if s.ReadBuffer < 200<<10 || s.WriteBuffer < 200<<10 { // the kernel doubles it
		t.Errorf("got %d and %d bytes", s.ReadBuffer, s.WriteBuffer)
	}
	s = listen(t, "udp4", "127.0.0.1:0", Options{}).Stats()
	t.Logf("asked for 7 MiB, got %d KiB to read and %d KiB to write", s.ReadBuffer>>10, s.WriteBuffer>>10)
}

func TestAddressesOfBothFamilies(t *testing.T) {
	name := func(b ...byte) (n [nameBytes]byte) { copy(n[:], b); return n }
	mapped := append([]byte{10, 0, 0x01, 0xbb, 0, 0, 0, 0}, netip.MustParseAddr("::ffff:10.0.0.5").AsSlice()...)
	local := append(append([]byte{10, 0, 0, 7, 0, 0, 0, 0}, netip.MustParseAddr("fe80::1").AsSlice()...), 3, 0, 0, 0)
	for _, c := range []struct {
		name [nameBytes]byte
		want string
	}{
		{name(2, 0, 0x1f, 0x90, 192, 168, 1, 9), "192.168.1.9:8080"},
		{name(mapped...), "10.0.0.5:443"},
		{name(local...), "[fe80::1%3]:7"},
		{name(1, 0), "invalid AddrPort"},
	} {
		if got, ok := parseName(&c.name); got.String() != c.want || ok != got.IsValid() {
			t.Errorf("%v, %v, want %s", got, ok, c.want)
		}
	}
}
