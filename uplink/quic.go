package uplink

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
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
}

// dialQUIC opens a socket, connects and opens the control stream.
func (u *Uplink) dialQUIC(ctx context.Context, addr string) (carrier, error) {
	pc, to, err := u.c.Packets(ctx, addr)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", addr, err)
	}
	c := &quicCarrier{socket: pc, transport: &quic.Transport{Conn: pc}}
	if c.conn, err = c.transport.Dial(ctx, to, u.c.TLS, quicConfig(u.c.Idle)); err == nil {
		c.control, err = c.conn.OpenStreamSync(ctx)
	}
	if err != nil {
		c.Close(0, "")
		return nil, fmt.Errorf("connect to %s: %w", addr, err)
	}
	return c, nil
}

// quicConfig: the hub opens no streams and says little, so windows are small.
func quicConfig(idle time.Duration) *quic.Config {
	return &quic.Config{
		Versions:              []quic.Version{quic.Version1},
		MaxIdleTimeout:        idle,
		KeepAlivePeriod:       idle / 4,
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
	return LineStats{RTT: s.SmoothedRTT, MinRTT: s.MinRTT, Sent: s.PacketsSent, Lost: s.PacketsLost, Heard: s.PacketsReceived, MTU: c.mtu(), Congestion: "newreno"}
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

// cutOff reports whether a TCP connection was closed or reset without a word. The
// machine of a hub that was killed does so in its place (RFC 9293 §3.5.3), and so does
// whatever is on the way.
func cutOff(err error) bool { return errors.Is(err, errCut) || errors.Is(err, syscall.ECONNRESET) }
