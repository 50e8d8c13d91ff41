package uplink

import "net"

// What the bytes of a frame become on the wire, as IP packets. What
// is below IP is the line's business, what is lost and sent again is not known
// when it is let out.
const (
	ipv4Header = 20 // RFC 791 §3.1, without options
	ipv6Header = 40 // RFC 8200 §3, without extension headers
	udpHeader  = 8  // RFC 768

	// A QUIC packet of quic-go: at most 1452 bytes behind UDP when the path takes
	// it; short header of 1 byte, 4 of connection ID and 2 of packet number (RFC 9000
	// §17.3.1), 16 of AEAD tag (RFC 9001 §5.3), and a STREAM frame of 1 byte type, 1
	// of stream ID and 8 of offset; the length is left out at the end of a packet
	// (RFC 9000 §19.8).
	quicPacket = 1452
	quicHead   = 1 + 4 + 2 + 16 + 1 + 1 + 8

	// A TCP segment behind an MTU of 1500: header of 20 bytes, 12 of options for
	// timestamps (RFC 9293 §3.1, RFC 7323 §3.2).
	tcpPacket = 1500
	tcpHeader = 20 + 12

	// A TLS 1.3 record: 5 bytes header, 1 content type, 16 AEAD tag, for up to 2^14
	// of content (RFC 8446 §5.1, §5.2).
	tlsRecord = 16384
	tlsHead   = 5 + 1 + 16
)

// overhead is wire bytes for each byte of a frame over IPv4: 1.043 over QUIC, 1.037
// over TLS and TCP.
func overhead(carrier string) float64 { return overheadBehind(ipv4Header, carrier) }

// overheadOf is the same for a connection as it is: over IPv6 1.057 and 1.052.
func overheadOf(c carrier) float64 {
	if overIPv6(c) {
		return overheadBehind(ipv6Header, c.Name())
	}
	return overhead(c.Name())
}

func overheadBehind(ipHeader int, carrier string) float64 {
	if carrier == carrierTCP {
		return tcpPacket / float64(tcpPacket-ipHeader-tcpHeader) * (tlsRecord + tlsHead) / tlsRecord
	}
	return float64(quicPacket+ipHeader+udpHeader) / (quicPacket - quicHead)
}

// framing is bytes of a carrier's packets, IP aside, for each byte of a frame.
func framing(carrier string) float64 {
	if carrier == carrierTCP {
		return float64(tlsRecord+tlsHead) / tlsRecord
	}
	return float64(quicPacket) / (quicPacket - quicHead)
}

// remote is a carrier that knows whom its packets go to: the hub, or the proxy.
type remote interface{ RemoteAddr() net.Addr }

var _, _ remote = (*quicCarrier)(nil), (*tcpCarrier)(nil)

// overIPv6 reports whether the packets of a connection are of IPv6. A socket for both
// writes the addresses of IPv4 as ::ffff:a.b.c.d (RFC 4291 §2.5.5.2).
func overIPv6(c carrier) bool {
	r, ok := c.(remote)
	if !ok {
		return false
	}
	var ip net.IP
	switch a := r.RemoteAddr().(type) {
	case *net.UDPAddr:
		ip = a.IP
	case *net.TCPAddr:
		ip = a.IP
	}
	return len(ip) > 0 && ip.To4() == nil
}
