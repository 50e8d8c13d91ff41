package udp

import (
	"cmp"
	"context"
	"fmt"
	"net"
)

// Options are how a socket is set up. The zero value is right for the hub.
type Options struct {
	DSCP   uint8 // 0 to 63, of everything sent (RFC 2474 §3).
	Buffer int   // bytes to ask the kernel for, each way. If zero, 7 MiB as quic-go does.
	NoGRO  bool  // leaves UDP_GRO off, to measure it.
}

func (o Options) withDefaults() (Options, error) {
	if o.DSCP > 63 {
		return o, fmt.Errorf("udp: DSCP %d is not 0 to 63", o.DSCP)
	}
	o.Buffer = cmp.Or(o.Buffer, 7<<20)
	return o, nil
}

// Stats is what a socket is and has done. A train is what one call carries by
// GRO or GSO.
type Stats struct {
	GRO, GSO                bool // what the kernel offers for this socket
	ReadBuffer, WriteBuffer int  // bytes that the kernel gave, its own overhead included

	Received, Reads uint64 // datagrams handed out, calls that brought them
	Dropped         uint64 // messages that were not whole
	Sent, Writes    uint64 // datagrams, calls
	Refused         uint64 // datagrams that the network did not take, counted as lost

	// Datagram is the largest payload that the path carries as far as quic-go
	// knows: what its trains consist of. Without GSO, the largest one sent,
	// which may have been a probe.
	Datagram int
}

// Listen opens a socket. Network is "udp", "udp4" or "udp6".
func Listen(ctx context.Context, network, addr string, o Options) (*Conn, error) {
	var lc net.ListenConfig
	pc, err := lc.ListenPacket(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	c, err := Wrap(pc.(*net.UDPConn), o)
	if err != nil {
		pc.Close()
	}
	return c, err
}
