package receive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"

	"edged/hub/objects"
	"edged/uplink/wire"
)

// Application error codes, see package uplink.
const (
	codeDone     quic.ApplicationErrorCode = 0
	codeProtocol quic.ApplicationErrorCode = 1
	codeBusy     quic.ApplicationErrorCode = 2
	codeInternal quic.ApplicationErrorCode = 3
	codeReplaced quic.ApplicationErrorCode = 4
)

// errProtocol means that the appliance broke the protocol.
var errProtocol = errors.New("protocol broken")

// errClone means that two data directories use one identity.
var errClone = errors.New("another data directory is connected with this identity: either the appliance was copied or its certificate was")

const (
	helloWait = 10 * time.Second // from the handshake to Hello
	writeWait = 30 * time.Second // for an appliance to take what it is told
)

// session is one connection of one appliance.
type session struct {
	server  *Server
	conn    *quic.Conn
	control *quic.Stream
	frames  *wire.Reader // of control
	device  string
	hello   *wire.Hello
	since   time.Time
	log     *slog.Logger
	bytes   atomic.Int64

	writing sync.Mutex // held for each write to control

	// telling orders what is said about one object: committers hold it
	// from the row to its Receipt, answers to offers from asking the rows on, push
	// while it reads the outbox and tells. So no Archived overtakes its Receipt,
	// and no Receipt follows the news that the object was lost since.
	telling sync.RWMutex

	mu     sync.Mutex // guards what follows
	offers map[uint64]*offer
	window [wire.Classes]inFlight

	complete chan *offer   // offers whose bytes are all there; room for all that may be in flight
	acked    chan struct{} // an acknowledgement came
	unacked  atomic.Int64  // entries of the outbox told and not acknowledged
}

// inFlight counts the offers without an end of one priority.
type inFlight struct {
	objects int
	bytes   int64
}

// session runs one connection to its end.
func (s *Server) session(ctx context.Context, conn *quic.Conn) error {
	device, err := s.c.Device(conn.ConnectionState().TLS)
	if err != nil { // revoked since the handshake
		return conn.CloseWithError(codeBusy, "not admitted")
	}
	n := &session{
		server: s, conn: conn, device: device, since: time.Now(),
		log:      s.c.Logger.With("device", device, "remote", conn.RemoteAddr().String()),
		offers:   map[uint64]*offer{},
		complete: make(chan *offer, wire.Classes*s.c.MaxObjects),
		acked:    make(chan struct{}, 1),
	}
	err = n.run(ctx)
	conn.CloseWithError(code(err), reason(err))
	n.releaseAll()
	n.log.Info("appliance disconnected", "bytes", n.bytes.Load(), "cause", err)
	return err
}

func code(err error) quic.ApplicationErrorCode {
	switch {
	case err == nil || errors.Is(err, context.Canceled):
		return codeDone
	case errors.Is(err, errProtocol) || errors.Is(err, wire.ErrMalformed):
		return codeProtocol
	case errors.Is(err, errClone) || errors.Is(err, errRevoked):
		return codeBusy
	}
	return codeInternal
}

// reason is what the appliance is told: its own mistakes, not our insides.
func reason(err error) string {
	if errors.Is(err, errProtocol) || errors.Is(err, wire.ErrMalformed) || errors.Is(err, errClone) {
		return err.Error()
	}
	return ""
}

// run greets and then serves until the first of its parts ends.
func (n *session) run(ctx context.Context) error {
	if err := n.greet(ctx); err != nil {
		return err
	}
	if err := n.server.admit(n); err != nil {
		return err
	}
	defer n.server.leave(n)
	if err := n.welcome(ctx); err != nil {
		return err
	}
	n.log.Info("appliance connected", "software", n.hello.Software)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := context.AfterFunc(ctx, func() {
		err := context.Cause(ctx)
		n.conn.CloseWithError(code(err), reason(err))
	})
	defer stop()
	var wg sync.WaitGroup
	// Two committers: while one records its batch the other flushes the next.
	for _, part := range []func(context.Context) error{n.readControl, n.acceptData, n.commit, n.commit, n.push, n.stayAdmitted} {
		wg.Go(func() { cancel(part(ctx)) })
	}
	wg.Wait()
	return context.Cause(ctx)
}

// admissionEvery is how often a connected appliance is asked for again: one that
// is revoked does not keep what it has until it hangs up (P11).
const admissionEvery = 3 * time.Second

// errRevoked means that the appliance may not be here any more.
var errRevoked = errors.New("not admitted any more")

// stayAdmitted ends when the appliance is no longer admitted.
func (n *session) stayAdmitted(ctx context.Context) error {
	tick := time.NewTicker(admissionEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
		if device, err := n.server.c.Device(n.conn.ConnectionState().TLS); err != nil || device != n.device {
			return fmt.Errorf("%w: %w", errRevoked, err)
		}
	}
}

// greet waits for the control stream and Hello.
func (n *session) greet(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, helloWait)
	defer cancel()
	stream, err := n.conn.AcceptStream(ctx)
	if err != nil {
		return err
	}
	n.control, n.frames = stream, wire.NewReader(stream)
	stream.SetReadDeadline(time.Now().Add(helloWait))
	f, err := n.frames.Next()
	if err != nil {
		return err
	}
	hello, ok := f.(*wire.Hello)
	if !ok || len(hello.Boot) > 64 || len(hello.DataDir) > 64 || !slices.Contains(hello.Versions, wire.Version) {
		return fmt.Errorf("%w: no usable hello", errProtocol)
	}
	n.hello = hello
	return stream.SetReadDeadline(time.Time{})
}

func (n *session) welcome(ctx context.Context) error {
	id, generation, err := n.server.c.Ledger.Identity(ctx)
	if err != nil {
		return fmt.Errorf("ledger identity: %w", err)
	}
	return n.send(&wire.Welcome{
		Version: wire.Version, Ledger: id, Generation: generation,
		MaxObjects: uint32(n.server.c.MaxObjects), MaxBytes: n.server.c.MaxBytes,
		Software: n.server.c.Software,
	})
}

// send writes frames to the control stream.
func (n *session) send(frames ...wire.Frame) (err error) {
	var b []byte
	for _, f := range frames {
		if b, err = wire.Append(b, f); err != nil {
			return err
		}
	}
	n.writing.Lock()
	defer n.writing.Unlock()
	n.control.SetWriteDeadline(time.Now().Add(writeWait))
	_, err = n.control.Write(b)
	return err
}

// admit enters n among the sessions. One data directory speaks for an
// appliance, in one life of it, on a bounded number of connections.
func (s *Server) admit(n *session) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var lanes []*session
	for old := range s.sessions {
		switch {
		case old.device != n.device:
		case !bytes.Equal(old.hello.DataDir, n.hello.DataDir):
			return errClone
		case !bytes.Equal(old.hello.Boot, n.hello.Boot):
			old.conn.CloseWithError(codeReplaced, "the appliance has started again")
		default:
			lanes = append(lanes, old)
		}
	}
	if len(lanes) >= s.c.MaxConnections {
		oldest := slices.MinFunc(lanes, func(a, b *session) int { return a.since.Compare(b.since) })
		oldest.conn.CloseWithError(codeReplaced, "too many connections")
	}
	s.sessions[n] = struct{}{}
	return nil
}

func (s *Server) leave(n *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.sessions, n)
}

// releaseAll keeps what has arrived of the open offers for another connection.
func (n *session) releaseAll() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, o := range n.offers {
		if o.claim != nil {
			o.claim.Release()
		}
	}
	clear(n.offers)
}

// failure tells whether an error of the store concerns only one object.
func failure(err error) (again, gone bool) {
	return errors.Is(err, objects.ErrFull), errors.Is(err, objects.ErrPreempted)
}
