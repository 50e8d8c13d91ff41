package receive

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"time"

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

	// Revoked lists the devices, as Device names them, that may not be here any
	// more: who is connected is sent away. It is asked once for all connections, every
	// other second. If nil, an appliance stays as long as it is connected.
	Revoked func(context.Context) ([]string, error)

	Ledger  Ledger
	Objects *objects.Store

	// Notice is told what an appliance says about studies and objects:
	// *wire.Study, *wire.Findings, *wire.Release. What a Study says is durable when
	// Notice returns nil: it is acknowledged then. If nil, all of it is dropped.
	Notice func(ctx context.Context, device string, f wire.Frame) error

	MaxObjects     int           // offers in flight for each connection and priority. If zero, 512.
	MaxBytes       int64         // and their bytes. If zero, 256 MiB.
	MaxConnections int           // for each appliance. If zero, 34.
	MaxAppliances  int           // connected at once, with at most twice as many connections. If zero, 10,000.
	Rate           int64         // bytes a second of one appliance, urgent ones counted and never held up. If zero, no limit.
	BusyRetry      time.Duration // the pause asked for when there is no space. If zero, 5 s.
	Repeat         time.Duration // when unacknowledged news is told again. If zero, 1 min.
	PartialAge     time.Duration // when an unclaimed partial object is dropped. If zero, 7 days.
	IdleTimeout    time.Duration // silence that ends a connection over TCP, three times that one over QUIC or behind a proxy. If zero, 20 s.
	Software       string        // named in Welcome

	// ResetKey lets appliances notice at once that the hub has started again
	// (stateless reset, RFC 9000 §10.3). If zero, the one that Objects keeps.
	ResetKey [32]byte

	Logger *slog.Logger // If nil, slog.Default.
}

// Server is the listening end.
type Server struct {
	c     Config
	tls   *tls.Config
	began time.Time

	admission admission

	commits commits
	writing *turns   // pieces that are being hashed and written
	asking  *turns   // pages of offers that are being looked up
	control *budget  // of control frames that wait
	offers  *budget  // of offers without an end
	windows *windows // of connections over QUIC
	scarce  scarce   // lines of the log about single objects

	mu         sync.Mutex // guards what follows
	sessions   map[*session]struct{}
	appliances map[string]*appliance // by device, those with a connection
	here       int                   // of them, with a session
	looks      *time.Timer           // of look; nil while nobody is there
	leaving    bool                  // between Leave and Return
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
	c.MaxAppliances = cmp.Or(c.MaxAppliances, 10_000)
	c.Repeat = cmp.Or(c.Repeat, time.Minute)
	c.PartialAge = cmp.Or(c.PartialAge, 7*24*time.Hour)
	c.IdleTimeout = cmp.Or(c.IdleTimeout, 20*time.Second)
	c.Logger = cmp.Or(c.Logger, slog.Default())
	c.Ledger = reached{c.Ledger}
	c.ResetKey = cmp.Or(c.ResetKey, c.Objects.ResetKey())
	s := &Server{
		c: c, tls: serverTLS(c), began: time.Now(), admission: admission{ask: c.Revoked},
		writing: newTurns(2 * runtime.GOMAXPROCS(0)), asking: newTurns(lookups),
		control: newBudget(maxControl), offers: newBudget(maxOffers), windows: newWindows(quicWindows),
		sessions: map[*session]struct{}{}, appliances: map[string]*appliance{},
	}
	s.commits.server = s
	s.commits.ended.L = &s.commits.mu
	return s, nil
}

// lookups are pages of offers for which the ledger is asked at the same time.
const lookups = 4

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

// TLS is what ServeTCP demands of a connection's handshake: ALPN "edged/1", TLS 1.3
// without tickets, and a client certificate that Config.Device accepts.
func (s *Server) TLS() *tls.Config { return s.tls }

// Connection is one connected appliance, for status pages.
type Connection struct {
	Device  string
	Carrier string // "quic" or "tcp"
	Remote  string
	Since   time.Time
	Bytes   int64 // data set bytes received on it
}

// Connections lists who is connected.
func (s *Server) Connections() []Connection {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]Connection, 0, len(s.sessions))
	for n := range s.sessions {
		list = append(list, Connection{n.device, n.carrier, n.remote, n.since, n.bytes.Load()})
	}
	return list
}
