package tcp

import (
	"fmt"
	"net"
	"time"
)

// How many bytes may wait unsent in the kernel: at first, and later between least
// and most, see Keep. What is urgent waits behind them. Less than the line takes
// until the process has woken makes every sample of BBR's an application-limited
// one: it stays in its start-up, sends at 2.9 times the rate of the line for ever
// and loses a tenth of it (measured at 1 Gbit/s with 128 KiB).
const (
	LowWater   = 1 << 20
	leastWater = 128 << 10
	mostWater  = 4 << 20
	waterTime  = 20 * time.Millisecond // of what the line takes
)

// Keep fits what may wait unsent to what the connection delivers; it is to be
// called a few times a second.
func Keep(c *net.TCPConn) error {
	s, err := info(c)
	if err != nil || s.Delivery == 0 {
		return err
	}
	want := int(float64(s.Delivery) * waterTime.Seconds())
	return setLowWater(c, min(max(want, leastWater), mostWater))
}

// BBR is the congestion control that is wanted (draft-ietf-ccwg-bbr).
const BBR = "bbr"

// Stats is what the kernel knows of a connection (tcp(7), TCP_INFO). Counts are
// since it was made.
type Stats struct {
	RTT, MinRTT   time.Duration // smoothed, and the least of a while
	Sent          uint64        // segments with data, those sent again among them
	Retransmitted uint64        // segments sent again
	Heard         uint64        // segments received, with data or not
	BytesSent     uint64        // of payload, sent again or not
	BytesAcked    uint64        // taken by the peer's kernel
	Delivery      uint64        // bytes a second, as the kernel last measured; zero: not yet
	Unsent        int           // bytes that wait in the kernel, at most about LowWater
	MSS           int           // bytes of payload in a segment to the peer (RFC 9293 §3.7.1)
	MTU           int           // of the path, as far as known (RFC 1191, RFC 8201)
	Congestion    string        // name of the congestion control
}

// Tune makes c fit to carry the uplink and names its congestion control. An
// error says what could not be set; c works none the less. Idle is at least 1 s.
//
//	TCP_CONGESTION      bbr, where there is
//	TCP_NOTSENT_LOWAT   LowWater
//	TCP_NODELAY         a frame is not held back for a fuller segment (RFC 9293 §3.7.4)
//	keepalive           a probe after idle/4 of silence, then each idle/8 (RFC 9293 §3.8.4)
//	TCP_USER_TIMEOUT    idle: also for the probes, and for those of a shut window (RFC 5482)
func Tune(c *net.TCPConn, idle time.Duration) (congestion string, err error) {
	idle = max(idle, time.Second)
	if err := c.SetNoDelay(true); err != nil {
		return "", fmt.Errorf("TCP_NODELAY: %w", err)
	}
	// The system counts in seconds; probes that end a connection elsewhere than
	// on Linux, where TCP_USER_TIMEOUT does, are six.
	probes := net.KeepAliveConfig{Enable: true, Idle: max(idle/4, time.Second), Interval: max(idle/8, time.Second), Count: 6}
	if err := c.SetKeepAliveConfig(probes); err != nil {
		return "", fmt.Errorf("keepalive: %w", err)
	}
	return tune(c, idle)
}

// SetDSCP marks what c sends (RFC 2474), 0 to 63. The ECN bits stay the kernel's.
func SetDSCP(c *net.TCPConn, dscp uint8) error {
	if dscp > 63 {
		return fmt.Errorf("a DSCP is 0 to 63, not %d", dscp)
	}
	return setDSCP(c, dscp)
}

// Info asks the kernel. The error wraps errors.ErrUnsupported where it does not say.
func Info(c *net.TCPConn) (Stats, error) { return info(c) }

// isIPv4 tells which header c's segments have: a socket of IPv6 speaks IPv4
// with a mapped address (RFC 4291 §2.5.5.2).
func isIPv4(c *net.TCPConn) bool {
	a, ok := c.RemoteAddr().(*net.TCPAddr)
	return ok && a.IP.To4() != nil
}
