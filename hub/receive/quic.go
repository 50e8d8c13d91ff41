package receive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/quic-go/quic-go"
	"golang.org/x/time/rate"

	"edged/hub/objects"
	"edged/uplink/wire"
)

// quicConfig bounds what a connection may hold. The stream window is what may
// lie unread for one class; larger windows gained nothing on the lines measured. Each
// connection begins with little, which no budget counts. While its reader keeps up the
// windows double, each at most once in a round trip or so: on a line of 20 ms three times in the
// first tenth of a second. Each step of the connection's window is asked of
// s.windows, also one that a stream's has brought about; streams may have more than
// their connection then, and it is the connection's that counts (RFC 9000 §4.1).
func (s *Server) quicConfig() *quic.Config {
	return &quic.Config{
		Versions:                       []quic.Version{quic.Version1},
		MaxIdleTimeout:                 silences * s.c.IdleTimeout, // who is idle says so less often than each IdleTimeout; see deaf.go
		MaxIncomingStreams:             1,
		MaxIncomingUniStreams:          2 * wire.Classes,
		InitialStreamReceiveWindow:     256 << 10,
		MaxStreamReceiveWindow:         8 << 20,
		InitialConnectionReceiveWindow: 384 << 10,
		MaxConnectionReceiveWindow:     16 << 20,
		AllowConnectionWindowIncrease:  s.windows.grow,
	}
}

// suspicious makes clients prove their address (Retry, RFC 9000 §8.1.2) when
// more come than a fleet that returns after an outage would send: a round trip for
// them, nothing kept for who only pretends.
func suspicious() func(net.Addr) bool {
	normal := rate.NewLimiter(100, 200)
	return func(net.Addr) bool { return !normal.Allow() }
}

// Serve accepts appliances over QUIC on pc until ctx ends or the object store fails, and
// returns when all sessions have ended. It does not close pc.
func (s *Server) Serve(ctx context.Context, pc net.PacketConn) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	transport := &quic.Transport{Conn: pc, StatelessResetKey: (*quic.StatelessResetKey)(&s.c.ResetKey), VerifySourceAddress: suspicious()}
	defer transport.Close()
	listener, err := transport.Listen(s.tls, s.quicConfig())
	if err != nil {
		return fmt.Errorf("listen on %s: %w", pc.LocalAddr(), err)
	}
	defer listener.Close()
	var wg sync.WaitGroup
	defer s.commits.rest()
	defer wg.Wait()
	wg.Go(func() { s.sweep(ctx) })
	for {
		conn, err := listener.Accept(ctx)
		if err != nil {
			cancel(err)
			return s.ended(ctx, err)
		}
		wg.Go(func() {
			defer s.windows.ended(conn)
			err := s.session(ctx, &quicLink{conn: conn}, peer{carrierQUIC, conn.RemoteAddr().String(), conn.ConnectionState().TLS})
			if errors.Is(err, objects.ErrFailed) {
				cancel(err)
			}
		})
	}
}

// quicLink is a QUIC connection: the control stream, and data streams that carry
// Puts and Probes.
type quicLink struct {
	conn    *quic.Conn
	control *quic.Stream
	frames  *wire.Reader // of control

	writing sync.Mutex // held for each write to control
}

var _ link = (*quicLink)(nil)

func (l *quicLink) Hello(ctx context.Context) (wire.Frame, error) {
	stream, err := l.conn.AcceptStream(ctx)
	if err != nil {
		return nil, err
	}
	l.control, l.frames = stream, wire.NewReader(stream)
	stream.SetReadDeadline(time.Now().Add(helloWait))
	defer stream.SetReadDeadline(time.Time{})
	return l.frames.Next()
}

func (l *quicLink) Parts(n *session) []func(context.Context) error {
	return []func(context.Context) error{
		func(ctx context.Context) error { return l.readControl(ctx, n) },
		func(ctx context.Context) error { return l.acceptData(ctx, n) },
	}
}

// readControl takes what the appliance says until the connection ends.
func (l *quicLink) readControl(ctx context.Context, n *session) error {
	for {
		f, err := l.frames.Next()
		if err == io.EOF {
			return fmt.Errorf("%w: control stream closed", errProtocol)
		} else if err != nil {
			return err
		}
		if f.Type() == wire.TypeBye {
			continue // the code comes with the end of the connection
		}
		if err := n.control1(ctx, f); err != nil {
			return err
		}
	}
}

// acceptData serves each data stream until the connection ends.
func (l *quicLink) acceptData(ctx context.Context, n *session) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	for {
		stream, err := l.conn.AcceptUniStream(ctx)
		if err != nil {
			return err
		}
		wg.Go(func() {
			if err := readData(ctx, stream, n); err != nil {
				l.Close(code(err), reason(err))
			}
		})
	}
}

// readData takes Puts and Probes until the appliance closes the stream.
func readData(ctx context.Context, stream io.Reader, n *session) error {
	frames := wire.NewReader(stream)
	for {
		f, err := frames.Next()
		if err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		switch f := f.(type) {
		case *wire.PutFrame:
			err = inPieces(f, func(p piece) error { return n.put(ctx, p) })
		case *wire.ProbeFrame:
			err = n.probed(f)
		default:
			err = fmt.Errorf("%w: type %d on a data stream", errProtocol, f.Type())
		}
		if err != nil {
			return err
		}
	}
}

func (l *quicLink) Say(frames []byte) error {
	l.writing.Lock()
	defer l.writing.Unlock()
	l.control.SetWriteDeadline(time.Now().Add(writeWait))
	_, err := l.control.Write(frames)
	return err
}

func (l *quicLink) Close(code uint64, reason string) {
	l.conn.CloseWithError(quic.ApplicationErrorCode(code), reason)
}
