package uplink

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"syscall"
	"time"

	"github.com/quic-go/quic-go"

	"edged/uplink/wire"
	"edged/uplink/wire/udp"
)

// quicCarrier is one QUIC connection with a socket of its own: the control stream,
// and a unidirectional stream for each class.
type quicCarrier struct {
	conn      *quic.Conn
	transport *quic.Transport
	socket    net.PacketConn
	control   *quic.Stream
	to        netip.Addr // it was dialled at
}

// dialQUIC connects and opens the control stream.
func (u *Uplink) dialQUIC(ctx context.Context, addr string) (carrier, error) {
	c, err := u.openQUIC(ctx, addr)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", addr, err)
	}
	return c, nil
}

// openQUIC tries the addresses of a hub in turn: that one is dead, as an IPv6 that
// leads nowhere, says nothing of UDP. The one that answered is the first of the next
// lane.
func (u *Uplink) openQUIC(ctx context.Context, addr string) (*quicCarrier, error) {
	if u.c.Packets != nil {
		pc, to, err := u.c.Packets(ctx, addr)
		if err != nil {
			return nil, err
		}
		return u.shakeQUIC(ctx, pc, to)
	}
	ips, port, err := u.resolve(ctx, addr)
	if err != nil {
		return nil, err
	}
	dial := func(ctx context.Context, ip netip.Addr) (*quicCarrier, error) {
		pc, err := udp.Listen(ctx, "udp", "", udp.Options{DSCP: u.c.DSCP}) // each lane has a socket of its own
		if err != nil {
			return nil, err
		}
		return u.shakeQUIC(ctx, pc, net.UDPAddrFromAddrPort(netip.AddrPortFrom(ip, port)))
	}
	c, err := race(ctx, ips, nextQUIC, dial, func(c *quicCarrier) { c.Close(0, "") })
	if err == nil {
		u.reached.Store(addr, c.to)
	}
	return c, err
}

// resolve finds the addresses of a hub and its port, the one that answered last first.
func (u *Uplink) resolve(ctx context.Context, hub string) ([]netip.Addr, uint16, error) {
	host, port, err := net.SplitHostPort(hub)
	if err != nil {
		return nil, 0, err
	}
	find := u.lookup
	if find == nil {
		find = net.DefaultResolver.LookupNetIP
	}
	ips, err := find(ctx, "ip", host)
	if err != nil {
		return nil, 0, err
	}
	number, err := net.DefaultResolver.LookupPort(ctx, "udp", port)
	if err != nil {
		return nil, 0, err
	}
	for i := range ips {
		ips[i] = ips[i].Unmap()
	}
	if last, known := u.reached.Load(hub); known {
		if i := slices.Index(ips, last.(netip.Addr)); i > 0 {
			ips = slices.Concat(ips[i:i+1], ips[:i], ips[i+1:])
		}
	}
	return alternate(ips), uint16(number), nil
}

// shakeQUIC connects from a socket, which it closes when that fails.
func (u *Uplink) shakeQUIC(ctx context.Context, pc net.PacketConn, to net.Addr) (c *quicCarrier, err error) {
	c = &quicCarrier{socket: pc, transport: &quic.Transport{Conn: pc}}
	if a, ok := to.(*net.UDPAddr); ok {
		c.to = a.AddrPort().Addr()
	}
	if c.conn, err = c.transport.Dial(ctx, to, u.c.TLS, quicConfig(u.c.Idle)); err == nil {
		c.control, err = c.conn.OpenStreamSync(ctx)
	}
	if err != nil {
		c.Close(0, "")
		return nil, err
	}
	return c, nil
}

// quicConfig: the hub opens no streams and says little, so windows are small.
//
// With an Idle of 20 s who has nothing to say says so every 25 s: firewalls and NATs
// forget a flow of UDP after 30 s, some later (RFC 9000 §10.1.2; RFC 4787 REQ-5 would
// have two minutes), more often than every 15 s nobody should (RFC 8085 §3.5), and the
// hub has thousands of them. Only the appliance does: what a NAT is to remember has to come from its
// inside (RFC 4787 REQ-6). A lost one is repeated within a round trip or few. The
// connection itself ends after a minute; that a path is dead while something waits for
// an answer is noticed earlier, see team.listen.
func quicConfig(idle time.Duration) *quic.Config {
	return &quic.Config{
		Versions:              []quic.Version{quic.Version1},
		MaxIdleTimeout:        3 * idle,
		KeepAlivePeriod:       idle + idle/4,
		MaxIncomingStreams:    -1,
		MaxIncomingUniStreams: -1,
	}
}

func (c *quicCarrier) Name() string { return carrierQUIC }

func (c *quicCarrier) RemoteAddr() net.Addr { return c.conn.RemoteAddr() }

func (c *quicCarrier) Control() io.Reader { return c.control }

// Say is called by one goroutine at a time.
func (c *quicCarrier) Say(frames []byte) error {
	c.control.SetWriteDeadline(time.Now().Add(writeWait))
	_, err := c.control.Write(frames)
	return err
}

func (c *quicCarrier) Open(ctx context.Context, class uint8) (puts, error) {
	stream, err := c.conn.OpenUniStreamSync(ctx)
	if err != nil {
		return nil, err
	}
	stream.SetPriority(urgency(class), true)
	return quicPuts{stream}, nil
}

// urgency gives urgent objects the line before all else (RFC 9218 §4.1); the
// others share it by turns, see gate.
func urgency(class uint8) int8 {
	if class == wire.Urgent {
		return 1
	}
	return 4
}

// quicPuts is the stream of one class.
type quicPuts struct{ stream *quic.SendStream }

func (p quicPuts) Put(frame []byte) error {
	p.stream.SetWriteDeadline(time.Now().Add(writeWait))
	_, err := p.stream.Write(frame)
	return err
}

// Close ends connection, transport and socket.
func (c *quicCarrier) Close(code uint64, reason string) {
	if c.conn != nil {
		c.conn.CloseWithError(quic.ApplicationErrorCode(code), reason)
	}
	c.transport.Close()
	c.socket.Close()
}

func (c *quicCarrier) Stats() LineStats {
	s := c.conn.ConnectionStats()
	return LineStats{RTT: s.SmoothedRTT, MinRTT: s.MinRTT, Sent: s.PacketsSent, Lost: s.PacketsLost, Heard: s.PacketsReceived, Delivered: s.BytesSent - min(s.BytesSent, s.BytesLost), MTU: c.mtu(), Congestion: "newreno"}
}

// mtu is the IP packet of the datagrams that quic-go knows the path to carry.
func (c *quicCarrier) mtu() int {
	socket, ok := c.socket.(*udp.Conn)
	if !ok {
		return 0
	}
	datagram := socket.Stats().Datagram
	if datagram == 0 {
		return 0
	}
	if overIPv6(c) {
		return datagram + ipv6Header + udpHeader
	}
	return datagram + ipv4Header + udpHeader
}

// hungUp reports whether the hub ended a connection by its own word: a code, Bye, or
// a reset that only its key makes (RFC 9000 §10.3).
func hungUp(err error) bool {
	var app *quic.ApplicationError
	var reset *quic.StatelessResetError
	var bye *byeError
	return errors.As(err, &app) && app.Remote || errors.As(err, &reset) || errors.As(err, &bye)
}

// leaving reports whether a node of the hub has sent its appliances to the others.
func leaving(err error) bool {
	var app *quic.ApplicationError
	var bye *byeError
	return errors.As(err, &app) && app.Remote && app.ErrorCode == quic.ApplicationErrorCode(wire.ByeLeaving) ||
		errors.As(err, &bye) && bye.Code == wire.ByeLeaving
}

// cutOff reports whether a TCP connection was closed or reset without a word. The
// machine of a hub that was killed does so in its place (RFC 9293 §3.5.3), and so does
// whatever is on the way.
func cutOff(err error) bool { return errors.Is(err, errCut) || errors.Is(err, syscall.ECONNRESET) }
