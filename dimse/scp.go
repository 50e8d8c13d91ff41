package dimse

import (
	"context"
	"fmt"
	"io"
	"runtime/debug"
)

// The acceptor's side of one association, from the first byte to the last, on
// one goroutine.

// Handler is what the services do. Its methods are called on the goroutine of
// the association, one at a time; ctx ends with the association or the server.
// A panic closes this association only.
type Handler interface {
	// Echo answers C-ECHO.
	Echo(ctx context.Context, a *Association) Status
	// Store takes one instance. data is its data set, as it comes over the
	// wire; it ends with io.EOF when all of it has come. With any other error
	// the instance is incomplete: nothing of it may remain, and the status is
	// not sent to anybody. What Store leaves unread is read past before the
	// status goes out; success for a data set not read to its end is turned
	// into a processing failure. Success means that the instance is kept. data
	// ends with the call.
	Store(ctx context.Context, a *Association, rq StoreRequest, data io.Reader) Status
}

// Observer is told about associations. Its methods are called on the goroutine
// of the connection and must be quick.
type Observer interface {
	// Refused: a peer was rejected, by Admit, by name, or by a limit. The
	// negotiation says what it proposed.
	Refused(Peer, Reject, Negotiation)
	// Opened: an association is established.
	Opened(*Association)
	// Closed: it is over; err is nil after an orderly release.
	Closed(a *Association, err error)
}

// handshake waits for A-ASSOCIATE-RQ and answers it. It returns nil and no
// error when the peer was rejected.
func (s *Server) handshake(c *connection) (*Association, error) {
	u := c.up
	if err := u.step(evtTransportIncoming); err != nil {
		return nil, err
	}
	p, err := u.next()
	if err != nil {
		return nil, err
	}
	peer := peerOf(c.conn, p.rq)
	ac, reject := Negotiate(p.rq, peer, s.policy)
	if reject == nil && !s.enter(c, peer.Calling) {
		reject = RejectLocalLimit.pointer()
	}
	if reject != nil {
		return nil, s.reject(u, peer, p.rq, *reject)
	}
	peer.Identity = nil // secrets are not kept once Admit has seen them
	a := &Association{up: u, id: c.id, peer: peer, talk: Negotiation{*p.rq, ac}.kept(), contexts: agreed(p.rq.Contexts, ac.Contexts)}
	a.user, a.share.of = p.rq.User.kept(), &s.small
	u.out = ac.append(nil)
	copy(u.out[headerSize+4:], p.titles) // identical to the request's, blanks and reserved bytes too (PS3.8 §9.3.3)
	if err := u.step(evtAccept); err != nil {
		return nil, err
	}
	u.out = nil
	u.established(s.cfg.ReadBuffer)
	a.out = newPDataWriter(u, a.user.MaxPDU, responsePDU)
	return a, nil
}

// responsePDU bounds what we send as acceptor: responses without data sets.
const responsePDU = 4 << 10

func (s *Server) reject(u *upper, peer Peer, rq *AssociateRQ, r Reject) error {
	s.cfg.Log.Info("association rejected", "calling", peer.Calling, "called", peer.Called, "remote", peer.Addr, "why", r.Error())
	s.cfg.Log.Debug("what was rejected", "calling", peer.Calling, "negotiation", Negotiation{Request: *rq}.kept())
	if s.cfg.Observer != nil {
		peer.Identity = nil
		s.cfg.Observer.Refused(peer, r, Negotiation{Request: *rq}.kept())
	}
	u.out = shortPDU(typeRJ, r.Result, r.Source, r.Reason)
	return u.step(evtReject)
}

// serve takes messages until the association ends. It returns nil after a
// release.
func (s *Server) serve(ctx context.Context, a *Association) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("handler panicked: %v", v)
			s.cfg.Log.Error("handler panicked, association closed", "association", a.id, "panic", v, "stack", string(debug.Stack()))
			a.up.abort()
		}
		a.share.giveAll()
		a.endErrands(err)
	}()
	for {
		err := s.serveMessage(ctx, a)
		a.share.giveAll()
		switch err {
		case nil:
		case ErrReleased: // also in the middle of an operation, which ends it
			return a.up.answerRelease()
		default:
			return err
		}
		a.up.setBusy(false)
	}
}

// serveMessage waits for a message, does our errands meanwhile, and serves it.
func (s *Server) serveMessage(ctx context.Context, a *Association) error {
	if err := a.awaitServing(); err != nil {
		return err
	}
	presentation, cmd, err := a.readMessage()
	if err != nil {
		return err
	}
	return s.dispatch(ctx, a, presentation, cmd)
}

// dispatch finds the service of a command field (PS3.7 §E.1). What there is none
// for is answered 0211, never with a hang-up (PS3.7 Annex C).
func (s *Server) dispatch(ctx context.Context, a *Association, presentation Context, cmd command) error {
	field, ok := cmd.number(tagCommandField)
	switch {
	case !ok:
		return a.up.violation(abortInvalidParameter, "command set without command field")
	case field == cStoreRQ:
		return s.store(ctx, a, presentation, cmd)
	case field == cEchoRQ:
		return s.echo(ctx, a, presentation, cmd)
	case field == cFindRQ && s.cfg.Query != nil:
		return s.find(ctx, a, presentation, cmd.clone())
	case field == cMoveRQ && s.cfg.Query != nil:
		return s.move(ctx, a, presentation, cmd.clone())
	case field == cGetRQ && s.cfg.Query != nil:
		return s.get(ctx, a, presentation, cmd.clone())
	case field == nActionRQ:
		return s.action(ctx, a, presentation, cmd)
	case field == nEventReportRQ:
		return s.event(ctx, a, presentation, cmd)
	case field == nCreateRQ:
		return s.create(ctx, a, presentation, cmd)
	case field == nSetRQ:
		return s.set(ctx, a, presentation, cmd)
	case field == cCancelRQ:
		return a.skipData(cmd) // nothing is under way; it has no response (PS3.7 §9.3.2.3)
	case a.settle(cmd):
		return a.skipData(cmd)
	case field&responseBit != 0:
		return a.up.violation(abortUnexpectedParam, fmt.Sprintf("response %04XH to nothing", field))
	}
	return a.refuse(presentation, cmd, StatusUnrecognizedOperation)
}

func (a *Association) skipData(cmd command) error {
	if !cmd.carriesData() {
		return nil
	}
	_, err := a.in.drain()
	return err
}

func (s *Server) echo(ctx context.Context, a *Association, presentation Context, cmd command) error {
	if err := a.skipData(cmd); err != nil {
		return err
	}
	status := StatusSOPClassNotSupported
	if presentation.AbstractSyntax == Verification {
		status = s.cfg.Handler.Echo(ctx, a)
	}
	return a.writeCommand(presentation.ID, response(cmd, status))
}

// store answers one C-STORE-RQ. The data set is always read to its end before
// the answer, whatever the handler did, so that the association survives (PS3.4
// §B.2.3 has statuses for it, A7xx among them, and no hang-up).
func (s *Server) store(ctx context.Context, a *Association, presentation Context, cmd command) error {
	rq := storeRequest(cmd, presentation)
	if rq.SOPClassUID == "" {
		rq.SOPClassUID = presentation.AbstractSyntax // dimse/COMPAT.md
	}
	status := checkStore(rq, presentation, cmd)
	if status == StatusSuccess {
		status = s.cfg.Handler.Store(ctx, a, rq, &a.in)
	}
	rest, err := a.endData(cmd)
	a.counts.bytes.Add(a.in.bytes)
	if rest > 0 && !status.IsFailure() {
		s.cfg.Log.Error("handler reported success without reading the whole data set", "association", a.id, "unread", rest)
		status = StatusProcessingFailure
	}
	if err != nil || status.IsFailure() {
		a.counts.failed.Add(1)
	} else {
		a.counts.stored.Add(1)
	}
	if err != nil {
		return err
	}
	return a.writeCommand(presentation.ID, storeResponse(cmd, rq, status))
}

// endData reads past what the handler left of the data set.
func (a *Association) endData(cmd command) (rest int64, err error) {
	if !cmd.carriesData() {
		return 0, nil
	}
	return a.in.drain()
}

// checkStore looks at the command alone (PS3.7 §9.1.1).
//
// Gap: a class that differs from the one of the context is let through, though the
// standard wants them equal: the bytes are worth more than the order
// (dimse/COMPAT.md).
func checkStore(rq StoreRequest, presentation Context, cmd command) Status {
	switch {
	case !cmd.carriesData():
		return StatusCannotUnderstand
	case rq.SOPInstanceUID == "":
		return StatusInvalidInstance
	case !IsStorage(presentation.AbstractSyntax), !IsStorage(rq.SOPClassUID):
		return StatusSOPClassNotSupported
	}
	return StatusSuccess
}

// storeResponse names the message that it answers, the class and the instance
// (PS3.7 §9.3.1.2).
func storeResponse(cmd command, rq StoreRequest, status Status) command {
	c := response(cmd, status)
	if rq.SOPInstanceUID != "" {
		c.setUID(tagAffectedInstance, rq.SOPInstanceUID)
	}
	return c
}
