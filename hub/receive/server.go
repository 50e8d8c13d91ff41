package receive

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/quic-go/quic-go"
	"golang.org/x/time/rate"

	"edged/hub/objects"
	"edged/uplink/wire"
)

// Config says who may send and where it goes.
type Config struct {
	// TLS has the hub's certificate and ClientCAs. ALPN, TLS 1.3, the demand
	// for a client certificate and the absence of tickets are added here.
	TLS *tls.Config

	// Device names the appliance behind a verified certificate, or refuses it.
	// It is asked in every handshake; an error fails the handshake.
	Device func(tls.ConnectionState) (string, error)

	Ledger  Ledger
	Objects *objects.Store

	// Notice is told what an appliance says about studies and objects:
	// *wire.Study, *wire.Findings, *wire.Release. If nil, it is dropped.
	Notice func(ctx context.Context, device string, f wire.Frame) error

	MaxObjects     int           // offers in flight for each connection and priority. If zero, 512.
	MaxBytes       int64         // and their bytes. If zero, 256 MiB.
	MaxConnections int           // for each appliance. If zero, 34.
	BusyRetry      time.Duration // the pause asked for when there is no space. If zero, 5 s.
	Repeat         time.Duration // when unacknowledged news is told again. If zero, 1 min.
	PartialAge     time.Duration // when an unclaimed partial object is dropped. If zero, 7 days.
	IdleTimeout    time.Duration // of a connection. If zero, 20 s.
	Software       string        // named in Welcome

	// ResetKey lets appliances notice at once that the hub has started again
	// (stateless reset, RFC 9000 §10.3). If zero, the one that Objects keeps.
	ResetKey [32]byte

	Logger *slog.Logger // If nil, slog.Default.
}

// Server is the listening end.
type Server struct {
	c   Config
	tls *tls.Config

	mu       sync.Mutex // guards sessions
	sessions map[*session]struct{}
}

// New checks c and returns a server that does nothing yet.
func New(c Config) (*Server, error) {
	if c.TLS == nil || c.Device == nil || c.Ledger == nil || c.Objects == nil {
		return nil, errors.New("receive: TLS, Device, Ledger and Objects are needed")
	}
	c.MaxObjects = cmp.Or(c.MaxObjects, 512)
	c.MaxBytes = cmp.Or(c.MaxBytes, 256<<20)
	c.MaxConnections = cmp.Or(c.MaxConnections, 34)
	c.BusyRetry = cmp.Or(c.BusyRetry, 5*time.Second)
	c.Repeat = cmp.Or(c.Repeat, time.Minute)
	c.PartialAge = cmp.Or(c.PartialAge, 7*24*time.Hour)
	c.IdleTimeout = cmp.Or(c.IdleTimeout, 20*time.Second)
	c.Logger = cmp.Or(c.Logger, slog.Default())
	c.ResetKey = cmp.Or(c.ResetKey, c.Objects.ResetKey())
	return &Server{c: c, tls: serverTLS(c), sessions: map[*session]struct{}{}}, nil
}

// serverTLS adds what the protocol demands to the caller's certificate.
func serverTLS(c Config) *tls.Config {
	t := c.TLS.Clone()
	t.MinVersion = tls.VersionTLS13
	t.NextProtos = []string{wire.ALPN}
	t.ClientAuth = tls.RequireAndVerifyClientCert
	t.SessionTicketsDisabled = true
	t.GetConfigForClient = nil
	verify := t.VerifyConnection
	t.VerifyConnection = func(cs tls.ConnectionState) error {
		if verify != nil {
			if err := verify(cs); err != nil {
				return err
			}
		}
		_, err := c.Device(cs)
		return err
	}
	return t
}

// quicConfig bounds what a connection may hold. The stream window is what may
// lie unread for one class; larger windows gained nothing on the lines measured.
func quicConfig(idle time.Duration) *quic.Config {
	return &quic.Config{
		Versions:                       []quic.Version{quic.Version1},
		MaxIdleTimeout:                 idle,
		MaxIncomingStreams:             1,
		MaxIncomingUniStreams:          2 * wire.Classes,
		InitialStreamReceiveWindow:     2 << 20,
		MaxStreamReceiveWindow:         8 << 20,
		InitialConnectionReceiveWindow: 3 << 20,
		MaxConnectionReceiveWindow:     16 << 20,
	}
}

// suspicious makes clients prove their address (Retry, RFC 9000 §8.1.2) when
// more come than a fleet that returns after an outage would send: a round trip for
// them, nothing kept for who only pretends.
func suspicious() func(net.Addr) bool {
	normal := rate.NewLimiter(100, 200)
	return func(net.Addr) bool { return !normal.Allow() }
}

// Serve accepts appliances on pc until ctx ends or the object store fails, and
// returns when all sessions have ended. It does not close pc.
func (s *Server) Serve(ctx context.Context, pc net.PacketConn) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	transport := &quic.Transport{Conn: pc, StatelessResetKey: (*quic.StatelessResetKey)(&s.c.ResetKey), VerifySourceAddress: suspicious()}
	defer transport.Close()
	listener, err := transport.Listen(s.tls, quicConfig(s.c.IdleTimeout))
	if err != nil {
		return fmt.Errorf("listen on %s: %w", pc.LocalAddr(), err)
	}
	defer listener.Close()
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { s.sweep(ctx) })
	for {
		conn, err := listener.Accept(ctx)
		if err != nil {
			cancel(err)
			return s.ended(ctx, err)
		}
		wg.Go(func() {
			if err := s.session(ctx, conn); errors.Is(err, objects.ErrFailed) {
				cancel(err)
			}
		})
	}
}

// ended tells an end that was asked for from a failure.
func (s *Server) ended(ctx context.Context, err error) error {
	if failed := s.c.Objects.Failed(); failed != nil {
		return failed
	}
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil
	}
	return fmt.Errorf("accept: %w", err)
}

// sweep drops partial objects that nobody came back for.
func (s *Server) sweep(ctx context.Context) {
	tick := time.NewTicker(min(s.c.PartialAge, time.Hour))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if n := s.c.Objects.Expire(s.c.PartialAge); n > 0 {
				s.c.Logger.Info("partial objects expired", "objects", n)
			}
		}
	}
}

// Connection is one connected appliance, for status pages.
type Connection struct {
	Device string
	Remote string
	Since  time.Time
	Bytes  int64 // data set bytes received on it
}

// Connections lists who is connected.
func (s *Server) Connections() []Connection {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]Connection, 0, len(s.sessions))
	for n := range s.sessions {
		list = append(list, Connection{n.device, n.conn.RemoteAddr().String(), n.since, n.bytes.Load()})
	}
	return list
}
