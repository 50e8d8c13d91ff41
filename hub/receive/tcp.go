package receive

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"edged/uplink/wire"
	"edged/uplink/wire/tcp"
)

// byeWait bounds the farewell on a connection that is about to be closed.
const byeWait = time.Second

// silences is after how many idle timeouts without a byte an appliance behind a proxy
// is given up. It asks four times in each, see tcpLink.Read.
const silences = 3

// errSilent means that an appliance behind a proxy has ceased to ask.
var errSilent = errors.New("nothing was heard any more of an appliance that had asked whether the hub is there")

// tcpLink is a TLS connection over TCP: all frames on one byte stream each way.
type tcpLink struct {
	conn   *tls.Conn
	frames *wire.Reader // of Read

	patience time.Duration // with an appliance that asks
	asks     bool          // it has asked whether the hub is there; owned by who reads

	writing sync.Mutex // held for each write

	mu  sync.Mutex // guards bye, and that no deadline is set after that of Close
	bye *wire.Bye  // the last word, when it is decided
}

var _ link = (*tcpLink)(nil)

// ServeTCP serves one connection of an appliance, which has completed its handshake
// with TLS, until it or ctx ends, and closes it. It is called for each
// connection that a listener of the caller's has accepted, beside Serve.
func (s *Server) ServeTCP(ctx context.Context, conn *tls.Conn) error {
	l := &tcpLink{conn: conn, patience: silences * s.c.IdleTimeout}
	l.frames = wire.NewReader(l)
	defer l.farewell()
	st := conn.ConnectionState()
	if !st.HandshakeComplete || st.NegotiatedProtocol != wire.ALPN || st.Version < tls.VersionTLS13 || len(st.VerifiedChains) == 0 {
		l.Close(wire.ByeProtocol, "")
		return fmt.Errorf("%w: not a connection of %s with TLS 1.3 and a verified certificate", errProtocol, wire.ALPN)
	}
	if raw := socket(conn.NetConn()); raw != nil {
		if _, err := tcp.Tune(raw, s.c.IdleTimeout); err != nil {
			s.c.Logger.Debug("socket not tuned", "remote", raw.RemoteAddr().String(), "error", err)
		}
	}
	return s.session(ctx, l, peer{carrierTCP, conn.RemoteAddr().String(), st})
}

// socket is what lies below conn, nil when that is not TCP.
func socket(conn net.Conn) *net.TCPConn {
	for {
		if raw, ok := conn.(*net.TCPConn); ok {
			return raw
		}
		above, ok := conn.(interface{ NetConn() net.Conn })
		if !ok {
			return nil
		}
		conn = above.NetConn()
	}
}

func (l *tcpLink) Hello(ctx context.Context) (wire.Frame, error) {
	f, err := l.frames.Next() // until ctx ends: then greet closes
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return f, err
}

// Parts is one: it takes the stream apart. One who writes Puts and one who handles
// everything else in its order come when there is something for them. So decryption,
// disk and ledger wait for each other only when what lies between them is full.
func (l *tcpLink) Parts(n *session) []func(context.Context) error {
	return []func(context.Context) error{func(ctx context.Context) error {
		control, puts := newQueue(n.server.control), newPieces()
		defer control.drop()
		control.start = func() { n.start(func() error { return n.takeControl(ctx, control) }) }
		puts.start = func() { n.start(func() error { return n.takePuts(ctx, puts) }) }
		return l.read(ctx, n, control, puts)
	}}
}

// read takes the stream apart until it ends.
func (l *tcpLink) read(ctx context.Context, n *session, control *line[wire.Frame], puts *line[piece]) error {
	for {
		f, err := l.frames.Next()
		if err == io.EOF {
			err = io.ErrUnexpectedEOF // who is done says Bye
		}
		if err != nil {
			return err
		}
		switch f := f.(type) {
		case *wire.PutFrame:
			err = handOver(ctx, f, puts)
		case *wire.ProbeFrame:
			l.asks = l.asks || f.Number == 0
			err = n.probed(f)
		case *wire.Bye:
			if err = control.push(ctx, f); err == nil {
				<-ctx.Done() // what was said before it is handled first
			}
			return err
		default:
			err = control.push(ctx, f)
		}
		if err != nil {
			return err
		}
	}
}

// handOver gives the body of a Put to takePuts, all of it or what came.
func handOver(ctx context.Context, f *wire.PutFrame, puts *line[piece]) error {
	return inPieces(f, func(p piece) error {
		err := puts.push(ctx, p)
		if err != nil {
			p.free()
		}
		return err
	})
}

// takePuts writes what has come, to the last, also when the connection has ended.
func (n *session) takePuts(ctx context.Context, puts *line[piece]) error {
	for c, ok := puts.take(); ok; c, ok = puts.take() {
		if err := n.put(ctx, c); err != nil {
			for c, ok := puts.take(); ok; c, ok = puts.take() {
				c.free()
			}
			return err
		}
	}
	return nil
}

func (n *session) takeControl(ctx context.Context, control *line[wire.Frame]) error {
	for f, ok := control.take(); ok; f, ok = control.take() {
		err := context.Cause(ctx)
		if err == nil {
			err = n.control1(ctx, f)
		}
		if err != nil {
			control.drop()
			return err
		}
	}
	return nil
}

func (l *tcpLink) Say(frames []byte) error {
	l.writing.Lock()
	defer l.writing.Unlock()
	if !l.open(l.conn.SetWriteDeadline, writeWait) {
		return net.ErrClosed
	}
	_, err := l.conn.Write(frames)
	return err
}

// Read gives up an appliance behind a proxy that is silent for longer than patience:
// the kernel's keepalives are answered by the proxy, and as long as the session stands
// nobody else may use this identity. Such an appliance asks by Probe 0 when it hears
// nothing. One without a proxy says nothing for hours, so who never asked may be
// silent. Only the wait here counts, not what the hub's own disk or ledger takes, and
// each byte ends it, so that a slow line is no silence.
func (l *tcpLink) Read(b []byte) (int, error) {
	if !l.asks {
		return l.conn.Read(b)
	}
	if !l.open(l.conn.SetReadDeadline, l.patience) {
		return 0, net.ErrClosed
	}
	n, err := l.conn.Read(b)
	if errors.Is(err, os.ErrDeadlineExceeded) && l.open(nil, 0) {
		err = errSilent
	}
	return n, err
}

// open reports whether nobody has called Close, and sets a deadline if so.
func (l *tcpLink) open(set func(time.Time) error, wait time.Duration) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.bye == nil && set != nil {
		set(time.Now().Add(wait))
	}
	return l.bye == nil
}

// Close leaves the last word to farewell, and little time to whoever writes now.
func (l *tcpLink) Close(code uint64, reason string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.bye != nil {
		return
	}
	l.bye = &wire.Bye{Code: code, Reason: reason[:min(len(reason), 200)]}
	l.conn.SetWriteDeadline(time.Now().Add(byeWait))
	l.conn.SetReadDeadline(time.Unix(1, 0))
}

// farewell says Bye and closes. What the appliance still sends is read away for a
// moment: bytes unread at the close make the kernel send a reset, which may
// overtake the Bye (RFC 9293 §3.10.4).
func (l *tcpLink) farewell() {
	l.Close(wire.ByeDone, "")
	raw := l.conn.NetConn()
	defer raw.Close()
	b, err := wire.Append(nil, l.bye)
	if err != nil {
		return
	}
	l.conn.SetWriteDeadline(time.Now().Add(byeWait))
	if _, err := l.conn.Write(b); err != nil {
		return
	}
	l.conn.CloseWrite()
	if half, ok := raw.(interface{ CloseWrite() error }); ok {
		half.CloseWrite()
	}
	raw.SetReadDeadline(time.Now().Add(byeWait))
	io.Copy(io.Discard, raw)
}
