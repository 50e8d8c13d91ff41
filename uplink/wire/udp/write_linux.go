package udp

import (
	"net"
	"sync"
	"sync/atomic"
)

// scratch is room for control messages of a datagram that are changed here:
// the caller's are the caller's.
var scratch = sync.Pool{New: func() any { return new([oobBytes]byte) }}

// WriteMsgUDP sends one datagram, or by GSO a train of them.
func (c *Conn) WriteMsgUDP(b, oob []byte, addr *net.UDPAddr) (n, oobn int, err error) {
	size := segmentSize(oob)
	if c.o.DSCP != 0 && len(oob) > 0 && len(oob) <= oobBytes {
		room := scratch.Get().(*[oobBytes]byte)
		defer scratch.Put(room)
		oob = room[:copy(room[:], oob)]
		markDSCP(oob, c.o.DSCP)
	}
	n, oobn, err = c.udp.WriteMsgUDP(b, oob, addr)
	return n, oobn, c.wrote(b, size, &n, err)
}

// WriteTo implements net.PacketConn.
func (c *Conn) WriteTo(b []byte, addr net.Addr) (n int, err error) {
	n, err = c.udp.WriteTo(b, addr)
	return n, c.wrote(b, 0, &n, err)
}

// wrote counts a write of b in datagrams of size and decides whether its error
// is told. A refused write is counted as lost once somebody has answered here: a
// link that comes back after ten seconds finds its connections, as it would if
// the datagrams had been lost one router later.
func (c *Conn) wrote(b []byte, size int, n *int, err error) error {
	datagrams := uint64(1)
	if size > 0 {
		datagrams = uint64((len(b) + size - 1) / size)
	}
	if err != nil && (c.received.Load() == 0 || !ofOneDatagram(err)) {
		return err
	}
	if err != nil {
		c.refused.Add(datagrams)
		*n = len(b)
		return nil
	}
	c.writes.Add(1)
	c.sent.Add(datagrams)
	if size > 0 {
		c.segment.Store(int64(size)) // the latest: the path may have changed
	} else {
		raise(&c.largest, len(b))
	}
	return nil
}

// raise keeps the largest value.
func raise(v *atomic.Int64, n int) {
	for {
		now := v.Load()
		if int64(n) <= now || v.CompareAndSwap(now, int64(n)) {
			return
		}
	}
}
