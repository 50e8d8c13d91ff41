package udp

import (
	"encoding/binary"
	"net"
	"net/netip"
	"os"
	"strconv"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"
)

const (
	trains     = 4       // messages that one call reads
	trainBytes = 1 << 16 // nothing in UDP is larger
	oobBytes   = 256     // address, TOS, traffic class, GRO: 120 at most
	nameBytes  = unix.SizeofSockaddrInet6
	maxErrors  = 16 // in a row that are believed to concern single datagrams
)

// mmsghdr is struct mmsghdr of recvmmsg(2).
type mmsghdr struct {
	hdr unix.Msghdr
	n   uint32
}

// burst is what one call reads, and how far it is handed out.
type burst struct {
	msgs  [trains]mmsghdr
	iovs  [trains]unix.Iovec
	names [trains][nameBytes]byte
	oobs  [trains][oobBytes]byte
	bufs  [trains][trainBytes]byte

	n, at int // messages, and which is next
	rest  []byte
	size  int // of its datagrams
	oob   []byte
}

// bursts lends them to sockets that have something to read.
var bursts = sync.Pool{New: func() any { return new(burst) }}

// read is recvmmsg(2), which does not wait here.
func (b *burst) read(fd uintptr) (int, error) {
	for i := range b.msgs {
		b.iovs[i].Base = &b.bufs[i][0]
		b.iovs[i].SetLen(trainBytes)
		h := &b.msgs[i].hdr
		*h = unix.Msghdr{Name: &b.names[i][0], Namelen: nameBytes, Iov: &b.iovs[i], Control: &b.oobs[i][0]}
		h.SetIovlen(1)
		h.SetControllen(oobBytes)
		b.msgs[i].n = 0
	}
	for {
		n, _, errno := syscall.Syscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&b.msgs[0])), trains, unix.MSG_DONTWAIT, 0, 0)
		if errno == 0 {
			return int(n), nil
		} else if errno != unix.EINTR {
			return 0, errno
		}
	}
}

// ReadBatch hands out datagrams, one a message, and waits for the first. That
// it exists is how quic-go learns not to unwrap the socket.
func (c *Conn) ReadBatch(ms []ipv4.Message, _ int) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(ms) == 0 {
		return 0, nil
	}
	for c.pending == nil {
		if err := c.fill(); err != nil {
			return 0, err
		}
	}
	n := 0
	for n < len(ms) && c.pending != nil {
		c.hand(&ms[n])
		n++
	}
	c.received.Add(uint64(n))
	return n, nil
}

// fill reads. Without an error there may still be nothing, when all was dropped.
func (c *Conn) fill() error {
	b, n, err := c.wait()
	for i := 0; err != nil && i < maxErrors && ofOneDatagram(err); i++ {
		b, n, err = c.wait()
	}
	if err != nil {
		return err
	}
	c.reads.Add(1)
	b.n, b.at = n, -1
	c.pending = b
	c.advance()
	return nil
}

// wait reads when there is something, with a burst that it takes for as long.
func (c *Conn) wait() (b *burst, n int, err error) {
	var readErr error
	err = c.raw.Read(func(fd uintptr) bool {
		b = bursts.Get().(*burst)
		if n, readErr = b.read(fd); readErr == nil {
			return true
		}
		bursts.Put(b)
		return readErr != unix.EAGAIN
	})
	if err == nil && readErr != nil {
		err = &net.OpError{Op: "read", Net: "udp", Source: c.LocalAddr(), Err: os.NewSyscallError("recvmmsg", readErr)}
	}
	return b, n, err
}

// advance goes to the next whole message, or gives the burst back. c.mu is held.
func (c *Conn) advance() {
	b := c.pending
	for b.at++; b.at < b.n; b.at++ {
		m := &b.msgs[b.at]
		b.rest = b.bufs[b.at][:m.n]
		var err error
		b.size, b.oob, err = splitControl(b.oobs[b.at][:m.hdr.Controllen])
		if err == nil && m.hdr.Flags&(unix.MSG_TRUNC|unix.MSG_CTRUNC) == 0 && c.resolve(&b.names[b.at]) {
			return
		}
		c.dropped.Add(1)
	}
	b.rest, b.oob = nil, nil
	bursts.Put(b)
	c.pending = nil
}

// hand copies the next datagram into m. c.mu is held.
func (c *Conn) hand(m *ipv4.Message) {
	b := c.pending
	datagram := b.rest
	if b.size > 0 && b.size < len(datagram) {
		datagram = datagram[:b.size]
	}
	b.rest = b.rest[len(datagram):]
	m.Addr, m.Flags, m.N, m.NN = c.addr, 0, 0, 0
	for _, to := range m.Buffers {
		m.N += copy(to, datagram[m.N:])
	}
	if m.N < len(datagram) {
		m.Flags |= unix.MSG_TRUNC
	}
	if len(b.oob) <= len(m.OOB) {
		m.NN = copy(m.OOB, b.oob)
	} else { // a part of one would be taken for a broken socket
		m.Flags |= unix.MSG_CTRUNC
	}
	if len(b.rest) == 0 {
		c.advance()
	}
}

// resolve makes c.addr the sender of a message. Trains of one sender share it:
// quic-go reads addresses and keeps them, nobody writes them.
func (c *Conn) resolve(name *[nameBytes]byte) bool {
	from, ok := parseName(name)
	if !ok {
		return false
	}
	if c.addr == nil || from != c.from {
		c.from, c.addr = from, net.UDPAddrFromAddrPort(from)
	}
	return true
}

// parseName reads a struct sockaddr_in or sockaddr_in6. A mapped address becomes
// the IPv4 address that it is, as net does it.
func parseName(name *[nameBytes]byte) (netip.AddrPort, bool) {
	port := binary.BigEndian.Uint16(name[2:])
	switch binary.NativeEndian.Uint16(name[:]) {
	case unix.AF_INET:
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(name[4:8])), port), true
	case unix.AF_INET6:
		ip := netip.AddrFrom16([16]byte(name[8:24])).Unmap()
		if scope := binary.NativeEndian.Uint32(name[24:]); scope != 0 && ip.Is6() {
			ip = ip.WithZone(strconv.FormatUint(uint64(scope), 10))
		}
		return netip.AddrPortFrom(ip, port), true
	}
	return netip.AddrPort{}, false
}
