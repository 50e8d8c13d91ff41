package dimse

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

// ServerConfig is what a Server needs to know.
type ServerConfig struct {
	// Handler does the work. Required.
	Handler Handler
	// Titles are our AE titles. If empty, every called title is ours.
	Titles []string
	// Admit decides about a peer; see Policy.Admit. If nil, everybody is admitted.
	Admit func(Peer) *Reject
	// Accepts decides about an abstract syntax for a peer. If nil, Verification,
	// everything that IsStorage, and the services below that are not nil.
	Accepts func(p Peer, abstractSyntax string) bool
	// Commitment is the Storage Commitment SCP. If nil, the service is not offered.
	Commitment CommitmentSCP
	// CommitmentSCU takes reports that answer our own requests, on associations
	// that the peer opens in the SCP role. If nil, none are taken.
	CommitmentSCU CommitmentSCU
	// Steps is Modality Performed Procedure Step. If nil, it is not offered.
	Steps StepSCP
	// Query is query and retrieve. If nil, it is not offered.
	Query QuerySCP
	// Observer is told about associations. If nil, nobody is.
	Observer Observer
	// Log gets a line an association, without patient data. If nil, nothing is logged.
	Log *slog.Logger

	// ImplementationClassUID and ImplementationVersion name the program. Required.
	ImplementationClassUID string
	ImplementationVersion  string

	// MaxAssociations is how many may be established at a time; more are
	// rejected with RejectLocalLimit. If zero, 64.
	MaxAssociations int
	// MaxPerAddress and MaxPerTitle are how many of them one address, and one
	// calling AE title, may have; more are rejected with RejectLocalLimit. If
	// zero, as many as there are: behind a gateway all modalities have one
	// address, and some fleets one title.
	MaxPerAddress, MaxPerTitle int
	// MaxWaiting is how many connections may wait for their association. When
	// one more comes, one is closed: of the address that has the most waiting,
	// the one that waited longest. A modality asks at once. If zero, 512.
	MaxWaiting int
	// MaxPDU is what we receive in one P-DATA-TF. If zero, 128 KiB.
	MaxPDU uint32
	// MaxRequest is the longest A-ASSOCIATE-RQ that is read. If zero, 256 KiB.
	MaxRequest uint32
	// ReadBuffer is the memory of an association, in bytes. If zero, 128 KiB.
	ReadBuffer int
	// MaxSmallBytes is the memory of all associations together for data sets that
	// are not instances (identifiers, requests for commitment, procedure steps), from
	// their first byte to the answer. What finds no room is read past and refused
	// with a status that says so (0213, A700, A701). One such data set is at most
	// MaxSmallDataSet, 4 MiB, and takes 6 MiB while its buffer grows for the last
	// time; its first 64 KiB are not counted, so that an ordinary request never
	// meets this limit. If zero, 64 MiB: 64 associations then hold at most 68 MiB,
	// not 384. What a service makes of a data set is its own: read into a
	// dataset.Set, one of short elements takes up to 8 MiB more.
	MaxSmallBytes int64

	// ARTIM bounds the time from the connection until the peer has our answer,
	// the handshake of TLS included, and the wait for the peer to close after a
	// rejection or release. If zero, 30 s.
	ARTIM time.Duration
	// Idle is how long an association may wait between messages. If zero, 10 min.
	Idle time.Duration
	// Stall and StallBytes are the least pace inside a message, of the peer's
	// and of ours: in each Stall of waiting for the peer StallBytes must move,
	// and a message that is shorter must be whole within one Stall. The time
	// that a Handler takes does not count. If zero, 60 s and 64 KiB.
	Stall      time.Duration
	StallBytes int64
}

func orDefault[T comparable](v *T, fallback T) {
	var zero T
	if *v == zero {
		*v = fallback
	}
}

func (c *ServerConfig) setDefaults() {
	orDefault(&c.Log, slog.New(slog.DiscardHandler))
	orDefault(&c.MaxAssociations, 64)
	orDefault(&c.MaxWaiting, 512)
	orDefault(&c.MaxPDU, defaultMaxPDU)
	orDefault(&c.MaxRequest, 256<<10)
	orDefault(&c.ReadBuffer, 128<<10)
	orDefault(&c.MaxSmallBytes, 64<<20)
	orDefault(&c.ARTIM, 30*time.Second)
	orDefault(&c.Idle, 10*time.Minute)
	orDefault(&c.Stall, 60*time.Second)
	orDefault(&c.StallBytes, defaultFloor)
}

func (c *ServerConfig) validate() error {
	switch {
	case c.Handler == nil:
		return errors.New("dimse: Handler is missing")
	case !fits(c.ImplementationClassUID, 64):
		return errors.New("dimse: ImplementationClassUID must have 1 to 64 bytes")
	case !fits(c.ImplementationVersion, 16):
		return errors.New("dimse: ImplementationVersion must have 1 to 16 bytes")
	case min(c.MaxAssociations, c.MaxPerAddress, c.MaxPerTitle, c.MaxWaiting, c.ReadBuffer) < 0 || min(c.StallBytes, c.MaxSmallBytes) < 0:
		return errors.New("dimse: limits must not be negative")
	}
	return nil
}

// serves says which classes have a service behind them.
func (c *ServerConfig) serves(_ Peer, class string) bool {
	switch class {
	case StorageCommitmentPush:
		return c.Commitment != nil || c.CommitmentSCU != nil
	case PerformedProcedureStep:
		return c.Steps != nil
	case PatientRootFind, PatientRootMove, PatientRootGet, StudyRootFind, StudyRootMove, StudyRootGet:
		return c.Query != nil
	}
	return acceptsByDefault(Peer{}, class)
}

func fits(s string, most int) bool { return len(s) >= 1 && len(s) <= most }

// Server accepts associations.
type Server struct {
	cfg    ServerConfig
	policy Policy
	ids    atomic.Uint64
	small  memory

	mu        sync.Mutex // guards what follows
	closed    bool
	listeners map[net.Listener]struct{}
	live      map[*connection]struct{}
	crowd     crowd
	empty     chan struct{} // closed when the last connection is gone; made by Shutdown
}

// connection is one accepted transport connection.
type connection struct {
	id      uint64
	conn    net.Conn
	up      *upper
	cancel  context.CancelFunc
	address string
	entered bool   // guarded by Server.mu: holds one of MaxAssociations
	title   string // guarded by Server.mu: under this name
}

// NewServer makes a server. It starts nothing.
func NewServer(cfg ServerConfig) (*Server, error) {
	cfg.setDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	if cfg.Accepts == nil {
		cfg.Accepts = cfg.serves
	}
	s := &Server{
		cfg: cfg,
		policy: Policy{
			Titles: cfg.Titles, Admit: cfg.Admit, Accepts: cfg.Accepts, TakesReports: cfg.CommitmentSCU != nil, MaxPDU: cfg.MaxPDU,
			ImplementationClassUID: cfg.ImplementationClassUID, ImplementationVersion: cfg.ImplementationVersion,
		},
		crowd:     newCrowd(&cfg),
		listeners: map[net.Listener]struct{}{},
		live:      map[*connection]struct{}{},
	}
	s.small.left.Store(cfg.MaxSmallBytes)
	return s, nil
}

// Serve accepts connections from l, which may be a TLS listener, until Shutdown
// or Close, and returns ErrServerClosed when everything it started has ended.
// It closes l. It may be called for several listeners.
func (s *Server) Serve(l net.Listener) error {
	if !s.addListener(l) {
		l.Close()
		return ErrServerClosed
	}
	defer s.removeListener(l)
	var wg sync.WaitGroup
	defer wg.Wait()
	for {
		conn, err := s.accept(l)
		if err != nil {
			return err
		}
		if c := s.admitConnection(conn); c != nil {
			wg.Go(func() { s.run(c) })
		}
	}
}

// accept waits for a connection. Out of file descriptors is a state that
// passes; it waits a little longer each time.
func (s *Server) accept(l net.Listener) (net.Conn, error) {
	for delay := 5 * time.Millisecond; ; delay = min(2*delay, time.Second) {
		conn, err := l.Accept()
		if err == nil {
			return conn, nil
		}
		if s.isClosed() {
			return nil, ErrServerClosed
		}
		if ne, ok := err.(net.Error); !ok || !ne.Timeout() && !temporary(err) {
			return nil, err
		}
		s.cfg.Log.Warn("cannot accept a connection, either too many are open or the system is short of memory", "err", err)
		time.Sleep(delay)
	}
}

// temporary: the interface is deprecated for lack of meaning, except here
// (net/http does the same).
func temporary(err error) bool {
	t, ok := err.(interface{ Temporary() bool })
	return ok && t.Temporary()
}

// admitConnection takes a connection in; nil when the server is closed.
func (s *Server) admitConnection(conn net.Conn) *connection {
	tune(conn)
	u := newUpper(newWire(conn, s.cfg.Idle, s.cfg.Stall), false, s.cfg.ARTIM, s.cfg.MaxRequest)
	u.demand(s.cfg.Stall, s.cfg.StallBytes)
	c := &connection{id: s.ids.Add(1), conn: conn, up: u, address: addressOf(conn.RemoteAddr())}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		conn.Close()
		return nil
	}
	s.live[c] = struct{}{}
	s.wait(c)
	return c
}

// wait lets c wait, and whoever must go for it go.
func (s *Server) wait(c *connection) {
	if gone := s.crowd.wait(c); gone != nil {
		gone.up.interrupt(ErrTimeout)
	}
}

// tune sets what the kernel should do with the connection: send small answers
// at once (no RFC 896), and notice a peer that is gone (RFC 1122 §4.2.3.6).
func tune(conn net.Conn) {
	if t, ok := conn.(*tls.Conn); ok {
		conn = t.NetConn()
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		tcp.SetNoDelay(true)
		tcp.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: 30 * time.Second, Interval: 10 * time.Second, Count: 6})
	}
}

// run is the life of one connection.
func (s *Server) run(c *connection) {
	defer s.leave(c)
	defer c.up.finish()
	defer s.rescue(c)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	s.mu.Lock()
	c.cancel = cancel
	s.mu.Unlock()
	a, err := s.handshake(c)
	if err != nil {
		s.cfg.Log.Info("no association", "remote", c.conn.RemoteAddr(), "err", err)
		if o, ok := s.cfg.Observer.(StrangerObserver); ok {
			o.Strange(c.conn.RemoteAddr(), err)
		}
	}
	if a == nil {
		return
	}
	s.serveAssociation(ctx, a)
	s.giveBack(c)
}

// rescue keeps a panic in Admit or Observer to the connection where it happened.
func (s *Server) rescue(c *connection) {
	if v := recover(); v != nil {
		s.cfg.Log.Error("callback panicked, connection closed", "panic", v, "stack", string(debug.Stack()))
		c.up.abort()
	}
}

func (s *Server) serveAssociation(ctx context.Context, a *Association) {
	start := time.Now()
	if s.cfg.Observer != nil {
		s.cfg.Observer.Opened(a)
	}
	s.cfg.Log.Debug("association opened", "association", a.id, "calling", a.peer.Calling, "called", a.peer.Called, "negotiation", a.talk)
	err := s.serve(ctx, a)
	counts, took := a.Counts(), time.Since(start)
	s.cfg.Log.Info("association closed", "association", a.id, "calling", a.peer.Calling, "called", a.peer.Called, "remote", a.peer.Addr,
		"contexts", len(a.contexts), "proposed", a.Proposed(), "stored", counts.Stored, "failed", counts.Failed, "bytes", counts.Bytes,
		"duration", took, "ended", ending(err, took), "err", err)
	if s.cfg.Observer != nil {
		s.cfg.Observer.Closed(a, err)
	}
}

// enter takes one of MaxAssociations for a calling title; see crowd.
func (s *Server) enter(c *connection, title string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.crowd.enter(c, title)
}

// giveBack frees the slot of an association that is over. Its connection waits
// for the peer to close among those that are not established.
func (s *Server) giveBack(c *connection) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.crowd.giveBack(c)
	s.wait(c)
}

// leave forgets a connection that is closed.
func (s *Server) leave(c *connection) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.crowd.giveBack(c) // a callback panicked
	s.crowd.stopWaiting(c)
	delete(s.live, c)
	if len(s.live) == 0 && s.empty != nil {
		close(s.empty)
		s.empty = nil
	}
}

// Established is how many associations are established.
func (s *Server) Established() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.crowd.entered
}

// Shutdown stops accepting and lets every association finish the message that
// it is in; then it is aborted. When ctx ends first, the rest is closed as by
// Close and the error of ctx is returned. Objects that were answered are kept
// by who kept them; the peer sends the others again.
func (s *Server) Shutdown(ctx context.Context) error {
	empty := s.shut(func(c *connection) { c.up.interruptIdle(ErrServerClosed) })
	select {
	case <-empty:
		return nil
	case <-ctx.Done():
		s.Close()
		return ctx.Err()
	}
}

// Close stops accepting and aborts every association at once, also inside a
// message. It does not wait; Serve does.
func (s *Server) Close() error {
	s.shut(func(c *connection) {
		c.up.interrupt(ErrServerClosed)
		if c.cancel != nil {
			c.cancel()
		}
	})
	return nil
}

// shut closes the listeners, does end to every connection, and returns a
// channel that closes when the last one is gone.
func (s *Server) shut(end func(*connection)) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for l := range s.listeners {
		l.Close()
	}
	for c := range s.live {
		end(c)
	}
	empty := s.empty
	if empty == nil {
		empty = make(chan struct{})
		if len(s.live) == 0 {
			close(empty)
			return empty
		}
		s.empty = empty
	}
	return empty
}

func (s *Server) addListener(l net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.listeners[l] = struct{}{}
	}
	return !s.closed
}

func (s *Server) removeListener(l net.Listener) {
	l.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.listeners, l)
}

func (s *Server) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

func peerOf(conn net.Conn, rq *AssociateRQ) Peer {
	p := Peer{Calling: rq.Calling, Called: rq.Called, Addr: conn.RemoteAddr(), Identity: rq.User.Identity}
	if t, ok := conn.(*tls.Conn); ok {
		state := t.ConnectionState()
		p.TLS = &state
	}
	return p
}
