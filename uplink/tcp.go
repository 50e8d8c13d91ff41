package uplink

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"time"

	"edged/uplink/wire"
	"edged/uplink/wire/tcp"
)

const (
	byeWait    = time.Second // for the frame that is being written, for Bye, and for what the hub says last
	lingerWait = time.Second // for the hub to have read it
)

// maxCarried is what one connection carries at most: AES-GCM protects 2^24.5
// full records with one key (RFC 8446 §5.5), and crypto/tls makes no new ones.
const maxCarried = 1 << 24 * 16 << 10

// errCarried ends a lane in good order; a new one goes on where it stopped.
var errCarried = errors.New("the connection has carried 256 GiB, its keys have done their work")

// tcpCarrier is one TLS connection over TCP. All frames go through one byte
// stream; what is urgent passes what is not between two frames.
type tcpCarrier struct {
	conn    *tls.Conn
	socket  net.Conn // below conn
	control *heard

	turns   turns
	carried int64 // owned by who has the turn

	closing atomic.Bool
	closed  chan struct{}
}

func newTCPCarrier(conn *tls.Conn, socket net.Conn) *tcpCarrier {
	return &tcpCarrier{conn: conn, socket: socket, control: newHeard(conn), closed: make(chan struct{})}
}

func (c *tcpCarrier) Name() string { return carrierTCP }

func (c *tcpCarrier) RemoteAddr() net.Addr { return c.socket.RemoteAddr() }

func (c *tcpCarrier) Control() io.Reader { return c.control }

func (c *tcpCarrier) Say(frames []byte) error { return c.write(rankControl, frames) }

func (c *tcpCarrier) Open(_ context.Context, class uint8) (puts, error) {
	if class == wire.Urgent {
		return tcpPuts{c, rankUrgent}, nil
	}
	return tcpPuts{c, rankBulk}, nil
}

// tcpPuts is where the frames of one class go.
type tcpPuts struct {
	c    *tcpCarrier
	rank int
}

func (p tcpPuts) Put(frame []byte) error { return p.c.write(p.rank, frame) }

// write writes whole frames in its turn.
func (c *tcpCarrier) write(rank int, frames []byte) error {
	if err := c.turns.enter(rank); err != nil {
		return err
	}
	err := c.inTurn(frames)
	c.turns.leave()
	if err != nil {
		return c.lastWord(err)
	}
	return nil
}

func (c *tcpCarrier) inTurn(frames []byte) error {
	if c.carried += int64(len(frames)); c.carried > maxCarried {
		return errCarried
	}
	// Close sets a shorter one when the turns are over.
	if err := c.turns.going(func() { c.socket.SetWriteDeadline(time.Now().Add(writeWait)) }); err != nil {
		return err
	}
	_, err := c.conn.Write(frames)
	return err
}

// lastWord prefers what the hub said before it hung up to the broken pipe that
// the writer sees.
func (c *tcpCarrier) lastWord(err error) error {
	if errors.Is(err, errCarried) {
		return err
	}
	return cmp.Or(c.control.lastWord(byeWait), err)
}

// Close says Bye behind the frame under way, and waits a little for the hub to
// have read it: a socket closed with something unread in it resets the
// connection, and the other end loses what it has not read yet (RFC 2525 §2.17).
func (c *tcpCarrier) Close(code uint64, reason string) {
	if c.closing.Swap(true) {
		<-c.closed
		return
	}
	defer close(c.closed)
	defer c.socket.Close()
	defer time.AfterFunc(byeWait+lingerWait, func() { c.socket.Close() }).Stop()
	idle := c.turns.end(net.ErrClosed)
	c.socket.SetWriteDeadline(time.Now().Add(byeWait))
	c.socket.SetReadDeadline(time.Unix(1, 0))
	c.control.stop()
	<-idle
	bye, err := wire.Append(nil, &wire.Bye{Code: code, Reason: reason[:min(len(reason), maxReason)]})
	if err == nil {
		_, err = c.conn.Write(bye)
	}
	if err == nil && c.conn.CloseWrite() == nil {
		c.linger()
	}
}

// linger reads, below TLS, until the hub has closed its side too.
func (c *tcpCarrier) linger() {
	if s, ok := c.socket.(interface{ CloseWrite() error }); ok {
		s.CloseWrite()
	}
	c.socket.SetReadDeadline(time.Now().Add(lingerWait))
	io.Copy(io.Discard, io.LimitReader(c.socket, 1<<20))
}

// keep fits the kernel's queue to the line.
func (c *tcpCarrier) keep() {
	if s, ok := c.socket.(*net.TCPConn); ok {
		_ = tcp.Keep(s) // what was set before stays
	}
}

func (c *tcpCarrier) Stats() LineStats {
	s, ok := c.socket.(*net.TCPConn)
	if !ok {
		return LineStats{}
	}
	i, err := tcp.Info(s)
	if err != nil {
		return LineStats{}
	}
	return LineStats{RTT: i.RTT, MinRTT: i.MinRTT, Sent: i.Sent, Lost: i.Retransmitted, Heard: i.Heard, Delivered: i.BytesAcked, MTU: i.MTU, Congestion: i.Congestion}
}
