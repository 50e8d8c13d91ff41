package hubtest

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/quic-go/quic-go"

	"edged/uplink/wire"
)

// link is a connection: what the hub says is read from it.
type link interface {
	io.Reader
	say(b []byte) error              // frames but Put
	put(class uint8, b []byte) error // a Put
	close(code uint64)
}

const dialWait = 30 * time.Second

// connect dials by the carrier's name.
func connect(ctx context.Context, c *Config) (link, error) {
	ctx, cancel := context.WithTimeout(ctx, dialWait)
	defer cancel()
	switch c.Carrier {
	case "", "tcp":
		return dialTCP(ctx, c)
	case "quic":
		return dialQUIC(ctx, c)
	}
	return nil, fmt.Errorf("no carrier %q", c.Carrier)
}

// tcpLink is TLS over TCP.
type tcpLink struct {
	*tls.Conn
	writing sync.Mutex
}

func dialTCP(ctx context.Context, c *Config) (link, error) {
	conn, err := (&tls.Dialer{Config: c.TLS}).DialContext(ctx, "tcp", c.Hub)
	if err != nil {
		return nil, err
	}
	return &tcpLink{Conn: conn.(*tls.Conn)}, nil
}

func (l *tcpLink) say(b []byte) error {
	l.writing.Lock()
	defer l.writing.Unlock()
	_, err := l.Write(b)
	return err
}

func (l *tcpLink) put(_ uint8, b []byte) error { return l.say(b) }

func (l *tcpLink) close(code uint64) {
	if b, err := wire.Append(nil, &wire.Bye{Code: code}); err == nil {
		l.SetWriteDeadline(time.Now().Add(time.Second))
		_ = l.say(b) // it is a farewell
	}
	l.Conn.Close()
}

// quicLink has a control stream, and a data stream for each class in use.
type quicLink struct {
	*quic.Stream
	conn    *quic.Conn
	writing sync.Mutex
	lanes   [wire.Classes]lane
}

type lane struct {
	sync.Mutex
	stream *quic.SendStream
}

// Sockets are UDP sockets that many connections of a fleet share. The zero value
// makes one for each connection.
type Sockets struct {
	transports []*quic.Transport
	mu         sync.Mutex
	next       int
}

// NewSockets opens n.
func NewSockets(n int) (*Sockets, error) {
	s := &Sockets{}
	for range n {
		pc, err := net.ListenUDP("udp", nil)
		if err != nil {
			return nil, errors.Join(err, s.Close())
		}
		s.transports = append(s.transports, &quic.Transport{Conn: pc})
	}
	return s, nil
}

// Close closes them and every connection on them.
func (s *Sockets) Close() (err error) {
	for _, t := range s.transports {
		err = errors.Join(err, t.Close(), t.Conn.Close())
	}
	return err
}

func (s *Sockets) one() *quic.Transport {
	if s == nil || len(s.transports) == 0 {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next++
	return s.transports[s.next%len(s.transports)]
}

// quicConfig is how an appliance that is idle keeps its connection: package uplink
// does so after 25 seconds of silence.
func quicConfig(keepAlive time.Duration) *quic.Config {
	return &quic.Config{
		Versions: []quic.Version{quic.Version1}, MaxIdleTimeout: time.Minute, KeepAlivePeriod: keepAlive,
		MaxIncomingStreams: -1, MaxIncomingUniStreams: -1,
		InitialStreamReceiveWindow: 64 << 10, InitialConnectionReceiveWindow: 64 << 10,
	}
}

func dialQUIC(ctx context.Context, c *Config) (link, error) {
	var conn *quic.Conn
	addr, err := net.ResolveUDPAddr("udp", c.Hub)
	if err != nil {
		return nil, err
	}
	if t := c.Sockets.one(); t != nil {
		conn, err = t.Dial(ctx, addr, c.TLS, quicConfig(c.KeepAlive))
	} else {
		conn, err = quic.DialAddr(ctx, c.Hub, c.TLS, quicConfig(c.KeepAlive))
	}
	if err != nil {
		return nil, err
	}
	control, err := conn.OpenStreamSync(ctx)
	return &quicLink{Stream: control, conn: conn}, err
}

func (l *quicLink) say(b []byte) error {
	l.writing.Lock()
	defer l.writing.Unlock()
	_, err := l.Write(b)
	return err
}

func (l *quicLink) put(class uint8, b []byte) (err error) {
	lane := &l.lanes[class]
	lane.Lock()
	defer lane.Unlock()
	if lane.stream == nil {
		if lane.stream, err = l.conn.OpenUniStreamSync(context.Background()); err != nil {
			return err
		}
	}
	_, err = lane.stream.Write(b)
	return err
}

func (l *quicLink) close(code uint64) { l.conn.CloseWithError(quic.ApplicationErrorCode(code), "") }
