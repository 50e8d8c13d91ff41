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
	seldom seldom // of the lines that are said by rarely
	bytes  atomic.Int64

	appliance *appliance
	end       context.CancelCauseFunc // ends the session, the first time
	doubted   bool                    // it was asked whether it is there; Server.mu guards it

	work   sync.WaitGroup // what start has started
	inHand sync.WaitGroup // offers that a committer has in hand

	mu     sync.Mutex // guards what follows
	offers map[uint64]*offer
	window [wire.Classes]inFlight
	echo   wire.Echo       // of the Probes so far
	over   bool            // nothing more is started
	said   []byte          // frames that talk is to say
	talks  bool            // it is there
	given  int64           // bytes given to say, ever
	told   int64           // and those that were taken
	taken  chan struct{}   // closed when told grows; nil: nobody waits
	round  *sync.WaitGroup // tickets since settled was called last

	echoing sync.Mutex          // held by who sends echo
	speaks  chan struct{}       // who tells the appliance's news has changed
	heard   atomic.Int64        // when the appliance said something last, since the server was made
	owed    atomic.Int64        // when it was told news first since then; 0: never
	acked   chan struct{}       // an acknowledgement came
	unacked atomic.Int64        // entries of the outbox told and not acknowledged
	page    page                // of push
	met     atomic.Pointer[met] // what Welcome has said; nil before
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
		round:  &sync.WaitGroup{},
		speaks: make(chan struct{}, 1),
		acked:  make(chan struct{}, 1),
	}
	n.tls = tls.ConnectionState{} // its certificates are not looked at any more
	ctx, n.end = context.WithCancelCause(ctx)
	defer n.end(nil)
	err = n.run(ctx)
	l.Close(code(err), reason(err))
	s.commits.withdraw(n)
	n.releaseAll()
	n.log.Info("appliance disconnected", "bytes", n.bytes.Load(), "left_out", n.seldom.rest(), "cause", err)
	return err
}

// code is the last word to the appliance, see package uplink.
func code(err error) uint64 {
	switch {
	case errors.Is(err, errLeaving) || errors.Is(err, errUnsure) || errors.Is(err, errAway) || errors.Is(err, errAnew):
		return wire.ByeLeaving
	case err == nil || errors.Is(err, context.Canceled) || errors.Is(err, errBye) || errors.Is(err, errSilent) || errors.Is(err, errDeaf):
		return wire.ByeDone
	case errors.Is(err, errProtocol) || errors.Is(err, wire.ErrMalformed):
		return wire.ByeProtocol
	case errors.Is(err, errClone) || errors.Is(err, errRevoked) || errors.Is(err, errCrowd) || errors.Is(err, errFull):
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
	stop := context.AfterFunc(ctx, func() {
		err := context.Cause(ctx)
		n.link.Close(code(err), reason(err))
	})
	defer stop()
	var reading sync.WaitGroup
	for _, part := range n.link.Parts(n) {
		reading.Go(func() { n.end(part(ctx)) })
	}
	n.end(n.push(ctx))
	reading.Wait()
	n.mu.Lock()
	n.over = true
	n.mu.Unlock()
	n.work.Wait()
	return context.Cause(ctx)
}

// start has part done beside the others, until it returns by itself; its error ends
// the session. Who is idle has no goroutines for what may come. When the session is
// over nothing is started.
func (n *session) start(part func() error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.startLocked(part)
}

// startLocked is start for who holds n.mu.
func (n *session) startLocked(part func() error) {
	if n.over {
		return
	}
	n.work.Go(func() {
		if err := part(); err != nil {
			n.end(err)
		}
	})
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

func (n *session) hears() { n.heard.Store(n.server.now()) }

// await counts the connections of a device that have not said Hello, which admit
// does not know yet, and reports whether there is room for them.
func (s *Server) await(device string, one int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.known(device)
	if one > 0 && a.greeting >= s.c.MaxConnections {
		return false
	}
	a.greeting += one
	s.forgets(a)
	return true
}

func (n *session) welcome(ctx context.Context) error {
	id, generation, err := n.server.c.Ledger.Identity(ctx)
	if err != nil {
		return fmt.Errorf("ledger identity: %w", err)
	}
	n.met.Store(&met{id, generation})
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
	a := s.known(n.device)
	if err := s.fits(a); err != nil {
		s.forgets(a)
		return err
	}
	if s.copied(a, n) {
		return errClone
	}
	var lanes []*session
	for old := range a.sessions {
		if bytes.Equal(old.hello.Boot, n.hello.Boot) {
			lanes = append(lanes, old)
		} else {
			old.link.Close(wire.ByeReplaced, "the appliance has started again")
		}
	}
	if len(lanes) >= s.c.MaxConnections {
		oldest := slices.MinFunc(lanes, func(a, b *session) int { return a.since.Compare(b.since) })
		oldest.link.Close(wire.ByeReplaced, "too many connections")
	}
	n.appliance = a
	a.sessions[n] = struct{}{}
	s.sessions[n] = struct{}{}
	s.here = s.here + 1 - min(len(a.sessions)-1, 1)
	s.watch()
	if a.speaker == nil {
		a.appoint(n)
	}
	return nil
}

// copied reports whether another data directory than that of n speaks for a now. s.mu is held.
func (s *Server) copied(a *appliance, n *session) (yes bool) {
	for old := range a.sessions {
		if !bytes.Equal(old.hello.DataDir, n.hello.DataDir) {
			s.doubt(old)
			yes = true
		}
	}
	return yes
}

// errFull means that this node has as many appliances or connections as it may.
var errFull = errors.New("too many appliances are connected to this node")

// fits reports whether one more connection of a is within the limits of the node. s.mu is held.
func (s *Server) fits(a *appliance) error {
	if len(a.sessions) == 0 && s.here >= s.c.MaxAppliances || len(a.sessions) > 0 && len(s.sessions) >= 2*s.c.MaxAppliances {
		return errFull
	}
	return nil
}

// appoint has n tell what is in the outbox. An appliance has as many connections as
// its line is worth; told on each of them, all news would travel as often.
// Server.mu is held.
func (a *appliance) appoint(n *session) {
	before := a.speaker
	a.speaker = n
	poke(n.speaks)
	if before != nil {
		poke(before.speaks)
	}
}

// isSpeaker reports whether n is the one of its appliance's connections that tells the news.
func (s *Server) isSpeaker(n *session) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return n.appliance.speaker == n
}

func (s *Server) leave(n *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := n.appliance
	delete(s.sessions, n)
	delete(a.sessions, n)
	if len(a.sessions) == 0 {
		s.here--
	}
	defer s.forgets(a)
	if a.speaker != n {
		return
	}
	a.speaker = nil
	if next := a.other(n); next != nil {
		a.appoint(next)
	}
}

// passOn has another connection of the appliance speak, and reports whether there
// is one.
func (s *Server) passOn(n *session) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := n.appliance.other(n)
	if next != nil {
		n.appliance.appoint(next)
	}
	return next != nil
}

// other is the connection, besides n, that said something last. Server.mu is held.
func (a *appliance) other(n *session) (next *session) {
	for other := range a.sessions {
		if other != n && (next == nil || other.heard.Load() > next.heard.Load()) {
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
		if o.counted {
			n.server.offers.give(1)
		}
	}
	clear(n.offers)
}

// failure tells whether an error of the store concerns only one object.
func failure(err error) (again, gone bool) {
	return errors.Is(err, objects.ErrFull), errors.Is(err, objects.ErrPreempted)
}
