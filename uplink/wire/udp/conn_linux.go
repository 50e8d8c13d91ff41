package udp

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"
)

// Conn is a UDP socket for quic-go. All methods may be called from several goroutines.
type Conn struct {
	udp *net.UDPConn
	raw syscall.RawConn
	o   Options
	gro bool

	mu      sync.Mutex // guards what follows; held while a read waits
	pending *burst     // nil when everything read is handed out
	from    netip.AddrPort
	addr    *net.UDPAddr // of from

	received, reads, dropped atomic.Uint64
	sent, writes, refused    atomic.Uint64
	segment, largest         atomic.Int64
}

// Wrap takes c over. The caller closes it through the Conn and reads and writes
// nothing beside it.
func Wrap(c *net.UDPConn, o Options) (*Conn, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, err
	}
	conn := &Conn{udp: c, raw: raw, o: o}
	var setErr error
	if err := raw.Control(func(fd uintptr) { setErr = conn.setUp(int(fd)) }); err != nil {
		return nil, err
	}
	return conn, setErr
}

// setUp sets the options of the socket. What a kernel lacks or withholds of
// speed is left; a DSCP that was asked for and cannot be had is an error.
func (c *Conn) setUp(fd int) error {
	c.gro = !c.o.NoGRO && unix.SetsockoptInt(fd, unix.IPPROTO_UDP, unix.UDP_GRO, 1) == nil
	enlarge(fd, unix.SO_RCVBUF, unix.SO_RCVBUFFORCE, c.o.Buffer)
	enlarge(fd, unix.SO_SNDBUF, unix.SO_SNDBUFFORCE, c.o.Buffer)
	if c.o.DSCP == 0 {
		return nil
	}
	// An IPv4 socket has no traffic class, an IPv6-only one no TOS; most have both.
	err4 := unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_TOS, int(c.o.DSCP)<<2)
	err6 := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_TCLASS, int(c.o.DSCP)<<2)
	if err4 != nil && err6 != nil {
		return fmt.Errorf("udp: set DSCP %d: %w", c.o.DSCP, err4)
	}
	return nil
}

// enlarge asks for a buffer: first beyond net.core.rmem_max, which takes
// CAP_NET_ADMIN, then within it. A buffer that is larger already stays.
func enlarge(fd, option, force, n int) {
	if now, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, option); err == nil && now >= 2*n {
		return
	}
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, force, n) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, option, n) // Stats tells what was got
	}
}

// Stats returns what the socket is and has done so far.
func (c *Conn) Stats() Stats {
	s := Stats{
		GRO:      c.gro,
		Received: c.received.Load(), Reads: c.reads.Load(), Dropped: c.dropped.Load(),
		Sent: c.sent.Load(), Writes: c.writes.Load(), Refused: c.refused.Load(),
		Datagram: int(c.segment.Load()),
	}
	if s.Datagram == 0 {
		s.Datagram = int(c.largest.Load())
	}
	_ = c.raw.Control(func(fd uintptr) { // a closed socket has none
		_, err := unix.GetsockoptInt(int(fd), unix.IPPROTO_UDP, unix.UDP_SEGMENT)
		s.GSO = err == nil
		s.ReadBuffer, _ = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF)
		s.WriteBuffer, _ = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_SNDBUF)
	})
	return s
}

// ReadFrom implements net.PacketConn: one datagram, cut to b.
func (c *Conn) ReadFrom(b []byte) (int, net.Addr, error) {
	n, _, _, addr, err := c.ReadMsgUDP(b, nil)
	if err != nil {
		return 0, nil, err
	}
	return n, addr, nil
}

// ReadMsgUDP reads one datagram as net.UDPConn.ReadMsgUDP does.
func (c *Conn) ReadMsgUDP(b, oob []byte) (n, oobn, flags int, addr *net.UDPAddr, err error) {
	ms := []ipv4.Message{{Buffers: [][]byte{b}, OOB: oob}}
	if _, err := c.ReadBatch(ms, 0); err != nil {
		return 0, 0, 0, nil, err
	}
	return ms[0].N, ms[0].NN, ms[0].Flags, ms[0].Addr.(*net.UDPAddr), nil
}

// LocalAddr is the address that the socket is bound to.
func (c *Conn) LocalAddr() net.Addr { return c.udp.LocalAddr() }

// SyscallConn gives quic-go the socket for its own options.
func (c *Conn) SyscallConn() (syscall.RawConn, error) { return c.raw, nil }

// SetReadBuffer sets the kernel's buffer, as quic-go wants to be able to.
func (c *Conn) SetReadBuffer(n int) error { return c.udp.SetReadBuffer(n) }

// SetWriteBuffer is SetReadBuffer of the other way.
func (c *Conn) SetWriteBuffer(n int) error { return c.udp.SetWriteBuffer(n) }

// SetDeadline implements net.PacketConn.
func (c *Conn) SetDeadline(t time.Time) error { return c.udp.SetDeadline(t) }

// SetReadDeadline implements net.PacketConn.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.udp.SetReadDeadline(t) }

// SetWriteDeadline implements net.PacketConn.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.udp.SetWriteDeadline(t) }

// Close closes the socket and ends whoever reads.
func (c *Conn) Close() error { return c.udp.Close() }

// ofOneDatagram reports errors of the network that concern a datagram, not the
// socket: what ICMP told, a route that is away, a filter, a full queue.
func ofOneDatagram(err error) bool {
	for _, e := range []error{
		unix.ECONNREFUSED, unix.EHOSTUNREACH, unix.ENETUNREACH, unix.EHOSTDOWN, unix.ENETDOWN,
		unix.EPERM, unix.ENOBUFS, unix.ENOMEM, unix.EPROTO, unix.ENOPROTOOPT,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
