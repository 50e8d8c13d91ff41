package udp

import (
	"encoding/binary"
	"errors"

	"golang.org/x/sys/unix"
)

var errControl = errors.New("a control message is not what the kernel writes")

// next is unix.ParseOneSocketControlMessage for bytes that may be shorter than a header.
func next(oob []byte) (h unix.Cmsghdr, data, rest []byte, err error) {
	if len(oob) < unix.CmsgLen(0) {
		return h, nil, nil, errControl
	}
	return unix.ParseOneSocketControlMessage(oob)
}

// splitControl finds the size of the datagrams of a train, 0 when there is only
// one, and takes that message out of oob: who reads on need not know it.
//
//	struct cmsghdr {cmsg_len, cmsg_level, cmsg_type} | data | padding to a word
//	                          UDP         UDP_GRO      int
func splitControl(oob []byte) (size int, others []byte, err error) {
	at := 0
	for at < len(oob) {
		h, data, rest, err := next(oob[at:])
		if err != nil {
			return 0, nil, errControl
		}
		if h.Level != unix.IPPROTO_UDP || h.Type != unix.UDP_GRO {
			at = len(oob) - len(rest)
			continue
		}
		if len(data) != 4 {
			return 0, nil, errControl
		}
		if size = int(int32(binary.NativeEndian.Uint32(data))); size <= 0 {
			return 0, nil, errControl
		}
		oob = oob[:at+copy(oob[at:], rest)]
	}
	return size, oob, nil
}

// segmentSize is what quic-go asks the kernel to cut a write into, 0 if nothing.
func segmentSize(oob []byte) int {
	for len(oob) > 0 {
		h, data, rest, err := next(oob)
		if err != nil {
			return 0
		}
		if h.Level == unix.IPPROTO_UDP && h.Type == unix.UDP_SEGMENT && len(data) == 2 {
			return int(binary.NativeEndian.Uint16(data))
		}
		oob = rest
	}
	return 0
}

// markDSCP puts the DSCP beside the ECN bits in place: the upper six bits of
// the TOS byte, or of the traffic class, which is an int (RFC 2474 §3, RFC 3542 §6.5).
func markDSCP(oob []byte, dscp uint8) {
	for len(oob) > 0 {
		h, data, rest, err := next(oob)
		if err != nil {
			return
		}
		switch {
		case h.Level == unix.IPPROTO_IP && h.Type == unix.IP_TOS && len(data) == 1:
			data[0] |= dscp << 2
		case (h.Level == unix.IPPROTO_IP && h.Type == unix.IP_TOS || h.Level == unix.IPPROTO_IPV6 && h.Type == unix.IPV6_TCLASS) && len(data) == 4:
			binary.NativeEndian.PutUint32(data, binary.NativeEndian.Uint32(data)|uint32(dscp)<<2)
		}
		oob = rest
	}
}
