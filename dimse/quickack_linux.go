package dimse

import (
	"net"
	"syscall"
)

// quickAck returns a function that asks for an immediate acknowledgement. A
// sender that did not set TCP_NODELAY holds back the last short segment of an
// object until all before it is acknowledged (RFC 896), while the kernel delays
// that acknowledgement by up to 40 ms (RFC 1122 §4.2.3.2): 20 objects a second.
// The option does not last, so it is set before each read. tcp(7).
func quickAck(conn net.Conn) func() {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		if inner, is := conn.(interface{ NetConn() net.Conn }); is { // TLS
			tcp, ok = inner.NetConn().(*net.TCPConn)
		}
	}
	if !ok {
		return func() {}
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return func() {}
	}
	set := func(fd uintptr) { syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_QUICKACK, 1) }
	return func() { raw.Control(set) }
}
