package receive

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"edged/hub/objects"
	"edged/uplink/wire"
)

// errProtocol means that the appliance broke the protocol.
var errProtocol = errors.New("protocol broken")

// errClone means that two data directories use one identity.
var errClone = errors.New("another data directory is connected with this identity: either the appliance was copied or its certificate was")

// errBye means that the appliance ended a connection over TCP.
var errBye = errors.New("the appliance has ended the connection")

const (
	helloWait = 10 * time.Second // from the handshake to Hello
	writeWait = 30 * time.Second // for an appliance to take what it is told
)

// peer is what the handshake says about the other end.
type peer struct {
	carrier string
	remote  string
	tls     tls.ConnectionState
}

// session is one connection of one appliance.
type session struct {
	peer
	server *Server
	link   link
	device string
	hello  *wire.Hello
	since  time.Time
	log    *slog.Logger
	bytes  atomic.Int64

	// telling orders what is said about one object on this connection: committers
	// hold it from the row to its Receipt, answers to offers from asking the rows on,
	// push while it reads the outbox and tells. So no Archived overtakes its Receipt,
	// and no Receipt follows the news that the object was lost since. Where another
	// connection speaks that order is not kept: Archived says more than a Receipt
	// that comes late, and what is at the hub and not archived is offered again.
	telling sync.RWMutex

	mu       sync.Mutex // guards what follows
	offers   map[uint64]*offer
	window   [wire.Classes]inFlight
	complete []*offer  // their bytes are all there; at most those that may be in flight
	echo     wire.Echo // of the Probes so far

	echoing sync.Mutex    // held by who sends echo
	more    chan struct{} // complete has more
	speaks  chan struct{} // this connection is to tell the appliance's news
	heard   atomic.Int64  // when the appliance said something last, since the server was made
	acked   chan struct{} // an acknowledgement came
	unacked atomic.Int64  // entries of the outbox told and not acknowledged
	page    page          // of push
}

// inFlight counts the offers without an end of one priority.
type inFlight struct {
	objects int
	bytes   int64
}

// session runs one connection to its end.
func (s *Server) session(ctx context.Context, l link, p peer) error {
	device, err := s.c.Device(p.tls)
	if err != nil { // revoked since the handshake
		l.Close(wire.ByeBusy, "not admitted")
		return fmt.Errorf("%w: %w", errRevoked, err)
	}
	n := &session{
		peer: p, server: s, link: l, device: device, since: time.Now(),
		log:    s.c.Logger.With("device", device, "carrier", p.carrier, "remote", p.remote),
		offers: map[uint64]*offer{},
		more:   make(chan struct{}, 1),
		speaks: make(chan struct{}, 1),
		acked:  make(chan struct{}, 1),
	}
	err = n.run(ctx)
	l.Close(code(err), reason(err))
	n.releaseAll()
	n.log.Info("appliance disconnected", "bytes", n.bytes.Load(), "cause", err)
	return err
}

// code is the last word to the appliance, see package uplink.
func code(err error) uint64 {
	switch {
	case errors.Is(err, errLeaving) || errors.Is(err, errUnsure):
		return wire.ByeLeaving
	case err == nil || errors.Is(err, context.Canceled) || errors.Is(err, errBye) || errors.Is(err, errSilent):
		return wire.ByeDone
	case errors.Is(err, errProtocol) || errors.Is(err, wire.ErrMalformed):
		return wire.ByeProtocol
	case errors.Is(err, errClone) || errors.Is(err, errRevoked) || errors.Is(err, errCrowd):
		return wire.ByeBusy
	}
	return wire.ByeInternal
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
		n.link.Close(code(err), reason(err))
	})
	defer stop()
	var wg sync.WaitGroup
	// Two committers: while one records its batch the other flushes the next.
	for _, part := range append(n.link.Parts(n), n.commit, n.commit, n.push, n.stayAdmitted) {
		wg.Go(func() { cancel(part(ctx)) })
	}
	wg.Wait()
	return context.Cause(ctx)
}

// errCrowd means that an appliance opens connections and does not speak.
var errCrowd = errors.New("too many connections that have not said hello")

// greet waits for Hello.
func (n *session) greet(ctx context.Context) error {
	if !n.server.await(n.device, 1) {
		return errCrowd
	}
	defer n.server.await(n.device, -1)
	ctx, cancel := context.WithTimeout(ctx, helloWait)
	defer cancel()
	defer context.AfterFunc(ctx, func() { n.link.Close(wire.ByeDone, "") })()
	f, err := n.link.Hello(ctx)
	if err != nil {
		return err
	}
	hello, ok := f.(*wire.Hello)
	if !ok || len(hello.Boot) > 64 || len(hello.DataDir) > 64 || !slices.Contains(hello.Versions, wire.Version) {
		return fmt.Errorf("%w: no usable hello", errProtocol)
	}
	n.hello = hello
	n.hears()
	return nil
}

func (n *session) hears() { n.heard.Store(time.Since(n.server.began).Nanoseconds()) }

// await counts the connections of a device that have not said Hello, which admit
// does not know yet, and reports whether there is room for them.
func (s *Server) await(device string, one int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if one > 0 && s.greeting[device] >= s.c.MaxConnections {
		return false
	}
	if s.greeting[device] += one; s.greeting[device] == 0 {
		delete(s.greeting, device)
	}
	return true
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

// send says frames to the appliance.
func (n *session) send(frames ...wire.Frame) (err error) {
	var b []byte
	for _, f := range frames {
		if b, err = wire.Append(b, f); err != nil {
			return err
		}
	}
	return n.link.Say(b)
}

// admit enters n among the sessions. One data directory speaks for an
// appliance, in one life of it, on a bounded number of connections.
func (s *Server) admit(n *session) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.leaving {
		return errLeaving
	}
	var lanes []*session
	for old := range s.sessions {
		switch {
		case old.device != n.device:
		case !bytes.Equal(old.hello.DataDir, n.hello.DataDir):
			return errClone
		case !bytes.Equal(old.hello.Boot, n.hello.Boot):
			old.link.Close(wire.ByeReplaced, "the appliance has started again")
		default:
			lanes = append(lanes, old)
		}
	}
	if len(lanes) >= s.c.MaxConnections {
		oldest := slices.MinFunc(lanes, func(a, b *session) int { return a.since.Compare(b.since) })
		oldest.link.Close(wire.ByeReplaced, "too many connections")
	}
	s.sessions[n] = struct{}{}
	if s.speakers[n.device] == nil {
		s.appoint(n)
	}
	return nil
}

// appoint has n tell what is in the outbox. An appliance has as many connections as
// its line is worth; told on each of them, all news would travel as often.
// s.mu is held.
func (s *Server) appoint(n *session) {
	s.speakers[n.device] = n
	poke(n.speaks)
}

func (s *Server) leave(n *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.sessions, n)
	if s.speakers[n.device] != n {
		return
	}
	delete(s.speakers, n.device)
	if next := s.other(n); next != nil {
		s.appoint(next)
	}
}

// passOn has another connection of the appliance speak, and reports whether there
// is one.
func (s *Server) passOn(n *session) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := s.other(n)
	if next != nil {
		s.appoint(next)
	}
	return next != nil
}

// other is the connection of n's appliance, besides n, that said something last.
// s.mu is held.
func (s *Server) other(n *session) (next *session) {
	for other := range s.sessions {
		if other != n && other.device == n.device && (next == nil || other.heard.Load() > next.heard.Load()) {
			next = other
		}
	}
	return next
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
