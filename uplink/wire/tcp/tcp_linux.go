package tcp

import (
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

func tune(c *net.TCPConn, idle time.Duration) (congestion string, err error) {
	err = control(c, func(fd int) error {
		// ENOENT: not there; EPERM: there, but not for everybody. The system's
		// own is used then.
		_ = unix.SetsockoptString(fd, unix.IPPROTO_TCP, unix.TCP_CONGESTION, BBR)
		congestion, err = unix.GetsockoptString(fd, unix.IPPROTO_TCP, unix.TCP_CONGESTION)
		return errors.Join(
			os.NewSyscallError("TCP_CONGESTION", err),
			set(fd, "TCP_NOTSENT_LOWAT", unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, LowWater),
			set(fd, "TCP_USER_TIMEOUT", unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(idle.Milliseconds())),
		)
	})
	return congestion, err
}

func setLowWater(c *net.TCPConn, bytes int) error {
	return control(c, func(fd int) error {
		return set(fd, "TCP_NOTSENT_LOWAT", unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, bytes)
	})
}

// setDSCP writes the upper six bits of the byte; the kernel keeps the ECN bits of
// a stream socket to itself (ip(7), IP_TOS; ipv6(7), RFC 3542 §6.5).
func setDSCP(c *net.TCPConn, dscp uint8) error {
	v4 := isIPv4(c)
	return control(c, func(fd int) error {
		if v4 {
			return set(fd, "IP_TOS", unix.IPPROTO_IP, unix.IP_TOS, int(dscp)<<2)
		}
		return set(fd, "IPV6_TCLASS", unix.IPPROTO_IPV6, unix.IPV6_TCLASS, int(dscp)<<2)
	})
}

func info(c *net.TCPConn) (s Stats, err error) {
	v4 := isIPv4(c)
	err = control(c, func(fd int) error {
		i, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
		if err != nil {
			return os.NewSyscallError("TCP_INFO", err)
		}
		s = Stats{
			RTT: micros(i.Rtt), MinRTT: micros(i.Min_rtt),
			Sent: uint64(i.Data_segs_out), Retransmitted: uint64(i.Total_retrans), Heard: uint64(i.Segs_in),
			BytesSent: i.Bytes_sent, BytesAcked: i.Bytes_acked, Delivery: i.Delivery_rate,
			Unsent: int(i.Notsent_bytes), MSS: int(i.Snd_mss), MTU: int(i.Pmtu),
		}
		if s.MinRTT == micros(^uint32(0)) { // nothing measured yet
			s.MinRTT = 0
		}
		if mtu, err := pathMTU(fd, v4); err == nil {
			s.MTU = mtu
		}
		s.Congestion, err = unix.GetsockoptString(fd, unix.IPPROTO_TCP, unix.TCP_CONGESTION)
		return os.NewSyscallError("TCP_CONGESTION", err)
	})
	return s, err
}

// pathMTU is what the route of a connected socket is known to carry (ip(7), IP_MTU).
func pathMTU(fd int, v4 bool) (int, error) {
	if v4 {
		return unix.GetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MTU)
	}
	return unix.GetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_MTU)
}

func micros(n uint32) time.Duration { return time.Duration(n) * time.Microsecond }

func set(fd int, name string, level, option, value int) error {
	return os.NewSyscallError(name, unix.SetsockoptInt(fd, level, option, value))
}

// control calls f with the descriptor of c, which stays open meanwhile.
func control(c *net.TCPConn, f func(fd int) error) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return fmt.Errorf("socket: %w", err)
	}
	var inner error
	if err := raw.Control(func(fd uintptr) { inner = f(int(fd)) }); err != nil {
		return fmt.Errorf("socket: %w", err)
	}
	return inner
}
