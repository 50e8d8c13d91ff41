package line

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// headerBytes is the size of struct virtio_net_hdr, in front of every packet:
//
//	flags u8 | gso type u8 | header length u16 | gso size u16 | checksum start u16 | checksum offset u16
const headerBytes = 10

// packet is an IPv4 packet behind its virtio header.
type packet []byte

// shape is what the line has to know of a packet.
type shape struct {
	ip       int // length of the IP header
	head     int // of IP and transport
	payload  int
	segment  int // payload of a segment; 0: the packet is one
	protocol byte
}

// look reads the headers; ok is false for what the line does not carry.
func (p packet) look() (s shape, ok bool) {
	if len(p) < headerBytes+20 || p[headerBytes]>>4 != 4 {
		return s, false
	}
	ip := p[headerBytes:]
	s.ip, s.protocol = int(ip[0]&15)*4, ip[9]
	s.payload = len(ip)
	if p[1]&^unix.VIRTIO_NET_HDR_GSO_ECN == unix.VIRTIO_NET_HDR_GSO_NONE {
		return s, true
	}
	s.segment = int(binary.NativeEndian.Uint16(p[4:]))
	switch {
	case s.protocol == unix.IPPROTO_TCP && len(ip) >= s.ip+20:
		s.head = s.ip + int(ip[s.ip+12]>>4)*4
	case s.protocol == unix.IPPROTO_UDP && len(ip) >= s.ip+8:
		s.head = s.ip + 8
	}
	s.payload = len(ip) - s.head
	return s, s.head > 0 && s.segment > 0 && s.payload > 0
}

// segments is how many packets it is on the line.
func (s shape) segments() int {
	if s.segment == 0 {
		return 1
	}
	return (s.payload + s.segment - 1) / s.segment
}

// size is the IP length of segment i.
func (s shape) size(i int) int {
	if s.segment == 0 {
		return s.payload
	}
	return s.head + min(s.segment, s.payload-i*s.segment)
}

// cut writes segments from to to (exclusive) of p into out as one packet, and
// returns its size. What the kernel would have written into the headers of such a
// packet is put there; the checksum of the payload is left to it.
func (p packet) cut(s shape, from, to int, out packet) int {
	at := from * s.segment
	n := min((to-from)*s.segment, s.payload-at)
	head := headerBytes + s.head
	copy(out, p[:head])
	copy(out[head:], p[head+at:head+at+n])
	ip := out[headerBytes:]
	binary.BigEndian.PutUint16(ip[2:], uint16(s.head+n))
	binary.BigEndian.PutUint16(ip[4:], binary.BigEndian.Uint16(ip[4:])+uint16(from))
	ip[10], ip[11] = 0, 0
	binary.BigEndian.PutUint16(ip[10:], ^fold(sum(ip[:s.ip])))
	transport := ip[s.ip:]
	pseudo := fold(sum(ip[12:20]) + uint32(s.protocol) + uint32(s.head-s.ip+n))
	if s.protocol == unix.IPPROTO_TCP {
		cutTCP(transport, at, from == 0, to == s.segments())
		binary.BigEndian.PutUint16(transport[16:], pseudo)
	} else {
		binary.BigEndian.PutUint16(transport[4:], uint16(8+n))
		binary.BigEndian.PutUint16(transport[6:], pseudo)
	}
	out[0] = unix.VIRTIO_NET_HDR_F_NEEDS_CSUM
	if n <= s.segment {
		out[1] = unix.VIRTIO_NET_HDR_GSO_NONE
		binary.NativeEndian.PutUint16(out[4:], 0)
	}
	return head + n
}

// cutTCP moves the sequence number; FIN and PSH belong to the last segment, CWR
// to the first.
func cutTCP(tcp []byte, at int, first, last bool) {
	const fin, psh, cwr = 0x01, 0x08, 0x80
	binary.BigEndian.PutUint32(tcp[4:], binary.BigEndian.Uint32(tcp[4:])+uint32(at))
	if !last {
		tcp[13] &^= fin | psh
	}
	if !first {
		tcp[13] &^= cwr
	}
}

// sum is the Internet checksum before folding (RFC 1071); b has an even length.
func sum(b []byte) (s uint32) {
	for ; len(b) >= 2; b = b[2:] {
		s += uint32(b[0])<<8 | uint32(b[1])
	}
	return s
}

func fold(s uint32) uint16 {
	for s>>16 != 0 {
		s = s&0xffff + s>>16
	}
	return uint16(s)
}
