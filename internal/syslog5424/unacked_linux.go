package syslog5424

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// unacknowledged is how many bytes the peer's TCP has not acknowledged: SIOCOUTQ of
// tcp(7). A connection that is none of the kernel's hands its bytes over as they are written.
func unacknowledged(conn net.Conn) (n int, err error) {
	c, ok := conn.(syscall.Conn)
	if !ok {
		return 0, nil
	}
	control, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	cerr := control.Control(func(fd uintptr) { n, err = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ) })
	if cerr != nil {
		return 0, cerr
	}
	return n, err
}
