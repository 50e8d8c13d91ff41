package dimse

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"time"
)

// ClientConfig is what Dial needs to know.
type ClientConfig struct {
	// Address is host:port. Required, unless DialContext does not need it.
	Address string
	// Called and Calling are AE titles, 1 to 16 bytes. Required.
	Called, Calling string
	// Contexts are proposed as they are, at most 128. An ID of 0 is numbered.
	// Propose makes them. If empty, Verification alone.
	Contexts []Proposal
	// TLS, if not nil, is used on the connection.
	TLS *tls.Config
	// DialContext opens the transport. If nil, a net.Dialer does.
	DialContext func(ctx context.Context, network, address string) (net.Conn, error)
	// Roles are proposed (PS3.7 §D.3.3.4). Without one for a class, the requestor
	// is its SCU.
	Roles []Role
	// Extended is proposed (PS3.7 §D.3.3.5). If empty, nothing is.
	Extended []Extended
	// CommitmentSCU takes reports that come while something else is waited for. If
	// nil, they are kept for AwaitCommitment.
	CommitmentSCU CommitmentSCU
	// Identity is offered (PS3.7 §D.3.3.7). If nil, none is.
	Identity *UserIdentity

	// ImplementationClassUID and ImplementationVersion name the program. Required.
	ImplementationClassUID string
	ImplementationVersion  string

	// MaxPDU is what we receive in one P-DATA-TF. If zero, 128 KiB.
	MaxPDU uint32
	// MaxSend is the most that we send in one, also to a peer that takes more.
	// If zero, 1 MiB.
	MaxSend uint32

	// Associate bounds each of connecting, negotiating, and a release. If zero, 30 s.
	Associate time.Duration
	// Response is how long a response may take. If zero, 10 min: an archive
	// that is busy answers late, and to abort means to send everything again.
	Response time.Duration
	// Stall and StallBytes are the least pace inside a message, of ours and of
	// the peer's: in each Stall of waiting for the peer StallBytes must move, and
	// a message that is shorter must be whole within one Stall. If zero, 60 s
	// and 64 KiB.
	Stall      time.Duration
	StallBytes int64
}

func (c *ClientConfig) setDefaults() {
	orDefault(&c.MaxPDU, defaultMaxPDU)
	orDefault(&c.MaxSend, 1<<20)
	orDefault(&c.Associate, 30*time.Second)
	orDefault(&c.Response, 10*time.Minute)
	orDefault(&c.Stall, 60*time.Second)
	orDefault(&c.StallBytes, defaultFloor)
	if c.DialContext == nil {
		c.DialContext = (&net.Dialer{}).DialContext
	}
	if len(c.Contexts) == 0 {
		c.Contexts = []Proposal{{AbstractSyntax: Verification, TransferSyntaxes: []string{ImplicitVRLE}}}
	}
	c.Contexts = numbered(c.Contexts)
}

// numbered copies proposals and gives odd identifiers to those without one.
func numbered(proposals []Proposal) []Proposal {
	out := append([]Proposal(nil), proposals...)
	for i := range out {
		if out[i].ID == 0 {
			out[i].ID = byte(2*i + 1)
		}
	}
	return out
}

func (c *ClientConfig) validate() error {
	switch {
	case !fits(c.Called, 16) || !fits(c.Calling, 16):
		return fmt.Errorf("AE titles %q and %q: want 1 to 16 bytes each", c.Called, c.Calling)
	case !fits(c.ImplementationClassUID, 64) || !fits(c.ImplementationVersion, 16):
		return errors.New("ImplementationClassUID or ImplementationVersion is missing or too long")
	case len(c.Contexts) > maxContexts:
		return fmt.Errorf("%d presentation contexts: at most %d can be proposed", len(c.Contexts), maxContexts)
	case c.MaxSend < 16:
		return errors.New("MaxSend must be at least 16 bytes")
	}
	for _, p := range c.Contexts {
		if len(p.AbstractSyntax) > 1024 || len(p.TransferSyntaxes) == 0 || len(p.TransferSyntaxes) > 40 {
			return fmt.Errorf("presentation context %d: want a UID and 1 to 40 transfer syntaxes", p.ID)
		}
		for _, ts := range p.TransferSyntaxes {
			if !fits(ts, 1024) {
				return fmt.Errorf("presentation context %d: transfer syntax of %d bytes", p.ID, len(ts))
			}
		}
	}
	return nil
}

// Need is what an instance asks of a presentation context.
type Need struct{ SOPClassUID, TransferSyntaxUID string }

// Propose makes one presentation context for each distinct need, so that the
// peer can only say yes or no to an instance as it is, never choose another
// encoding. What does not fit in one association is returned in rest.
func Propose(needs ...Need) (proposals []Proposal, rest []Need) {
	seen := map[Need]bool{}
	for _, n := range needs {
		if seen[n] {
			continue
		}
		seen[n] = true
		if len(proposals) == maxContexts {
			rest = append(rest, n)
			continue
		}
		proposals = append(proposals, Proposal{AbstractSyntax: n.SOPClassUID, TransferSyntaxes: []string{n.TransferSyntaxUID}})
	}
	return numbered(proposals), rest
}

// Client is an association that we requested. Its methods are for one goroutine
// at a time; to end one from outside, cancel its context. After an error other
// than ErrNoContext, and after a context ended in the middle, the association
// is over; Release and Abort are then harmless.
type Client struct {
	Association
	cfg  ClientConfig
	over error

	asked     string   // the transaction that the peer has taken and not answered yet
	earlier   string   // likewise of the request before, while another is under way
	requested bool     // there was one
	reports   []report // read, and for AwaitCommitment to answer
}

var clientIDs atomic.Uint64

// Dial connects, and negotiates an association. The error is a Reject when the
// peer refused it.
func Dial(ctx context.Context, cfg ClientConfig) (*Client, error) {
	cfg.setDefaults()
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("dial %s: %w", cfg.Address, err)
	}
	conn, err := cfg.connect(ctx)
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", cfg.Address, err)
	}
	c := &Client{cfg: cfg}
	c.errands.none = true
	c.up = newUpper(newWire(conn, cfg.Response, cfg.Stall), true, cfg.Associate, 1<<20)
	c.up.demand(cfg.Stall, cfg.StallBytes)
	c.id = clientIDs.Add(1)
	c.peer = Peer{Calling: cfg.Calling, Called: cfg.Called, Addr: conn.RemoteAddr()}
	done := c.watch(ctx)
	err = c.associate()
	done()
	if err != nil {
		c.end(err)
		return nil, fmt.Errorf("associate with %s at %s: %w", cfg.Called, cfg.Address, err)
	}
	return c, nil
}

func (c *ClientConfig) connect(ctx context.Context) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, c.Associate)
	defer cancel()
	conn, err := c.DialContext(ctx, "tcp", c.Address)
	if err != nil {
		return nil, err
	}
	tune(conn)
	if c.TLS == nil {
		return conn, nil
	}
	secure := tls.Client(conn, c.TLS)
	if err := secure.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, err
	}
	return secure, nil
}

func (c *Client) associate() error {
	u := c.up
	if err := u.step(evtAssociateRequest); err != nil {
		return err
	}
	u.limit = time.Now().Add(c.cfg.Associate)
	u.out = c.cfg.request().append(nil)
	if err := u.step(evtTransportOpen); err != nil {
		return err
	}
	p, err := u.next()
	if err != nil {
		return err
	}
	if p.kind == typeRJ {
		return p.reject
	}
	u.established(16 << 10)
	c.user, c.talk = p.ac.User.kept(), Negotiation{*c.cfg.request(), p.ac}.kept()
	c.contexts = agreed(c.cfg.Contexts, p.ac.Contexts)
	c.out = newPDataWriter(u, c.user.MaxPDU, c.cfg.MaxSend)
	return nil
}

func (c *ClientConfig) request() *AssociateRQ {
	return &AssociateRQ{
		ProtocolVersion:    protocolVersion,
		Called:             c.Called,
		Calling:            c.Calling,
		ApplicationContext: ApplicationContext,
		Contexts:           c.Contexts,
		User: UserInfo{
			MaxPDU:                 c.MaxPDU,
			ImplementationClassUID: c.ImplementationClassUID,
			ImplementationVersion:  c.ImplementationVersion,
			Roles:                  c.Roles,
			Extended:               c.Extended,
			Identity:               c.Identity,
		},
	}
}

// watch ends every wait when ctx ends. The returned function stops watching.
func (c *Client) watch(ctx context.Context) (stop func() bool) {
	return context.AfterFunc(ctx, func() { c.up.interrupt(context.Cause(ctx)) })
}

// end closes what is left of the association after err.
func (c *Client) end(err error) {
	c.over = err
	c.endErrands(err)
	c.up.finish()
}

// Response is what the peer answered.
type Response struct {
	Status      Status
	Comment     string // the peer's own words (0000,0902), often empty; they may name anything
	ErrorID     uint16 // (0000,0903), zero when absent
	InstanceUID string // the affected SOP instance, as of an N-CREATE that left its name to the peer
}

// Echo asks the peer for a sign of life (PS3.4 Annex A).
func (c *Client) Echo(ctx context.Context) (Response, error) {
	presentation, ok := c.contextFor(Verification, "")
	if !ok {
		return Response{}, fmt.Errorf("%w: Verification", ErrNoContext)
	}
	rq := command{}
	rq.setUID(tagAffectedClass, Verification)
	rq.setUint16(tagCommandField, cEchoRQ)
	rq.setUint16(tagMessageID, c.nextMessageID())
	rq.setUint16(tagDataSetType, noDataSet)
	return c.operate(ctx, presentation.ID, rq, nil)
}

// Store sends one instance, in the transfer syntax that it is in, and waits for
// the answer. A status that is not success is no error. If data fails in the
// middle, the association is aborted: a message cannot be taken back.
func (c *Client) Store(ctx context.Context, rq StoreRequest, data io.Reader) (Response, error) {
	presentation, ok := c.contextFor(rq.SOPClassUID, rq.TransferSyntaxUID)
	if !ok {
		return Response{}, fmt.Errorf("%w: SOP class %s in transfer syntax %s", ErrNoContext, rq.SOPClassUID, rq.TransferSyntaxUID)
	}
	rq.MessageID = c.nextMessageID()
	rsp, err := c.operate(ctx, presentation.ID, rq.command(), data)
	if err != nil || rsp.Status.IsFailure() {
		c.counts.failed.Add(1)
	} else {
		c.counts.stored.Add(1)
	}
	return rsp, err
}

// Accepts reports whether Store can send such an instance on this association.
func (c *Client) Accepts(n Need) bool {
	_, ok := c.contextFor(n.SOPClassUID, n.TransferSyntaxUID)
	return ok
}

// contextFor finds the context for a class in a transfer syntax; "" is any.
func (c *Client) contextFor(class, syntax string) (Context, bool) {
	for _, ctx := range c.contexts {
		if ctx.AbstractSyntax == class && (syntax == "" || ctx.TransferSyntax == syntax) {
			return ctx, true
		}
	}
	return Context{}, false
}

// operate sends a request with its data set, if any, and waits for the response.
func (c *Client) operate(ctx context.Context, id byte, rq command, data io.Reader) (Response, error) {
	if c.over != nil {
		return Response{}, c.over
	}
	if err := ctx.Err(); err != nil {
		return Response{}, err
	}
	defer c.watch(ctx)()
	rsp, err := c.exchange(ctx, id, rq, data)
	if err != nil {
		c.end(err)
	}
	return rsp, err
}

func (c *Client) exchange(ctx context.Context, id byte, rq command, data io.Reader) (Response, error) {
	if err := c.writeCommand(id, rq); err != nil {
		return Response{}, err
	}
	if data != nil {
		n, err := c.writeData(c.out, id, data)
		c.counts.bytes.Add(n)
		if err != nil {
			return Response{}, err
		}
	}
	rsp, err := c.response(ctx, rq)
	if err == ErrReleased {
		if err := c.up.answerRelease(); err != nil {
			return rsp, err
		}
	}
	return rsp, err
}

// writeData sends the data set, straight from data into the PDU.
func (a *Association) writeData(out *pdataWriter, id byte, data io.Reader) (int64, error) {
	out.begin(id, 0)
	n, err := out.ReadFrom(data)
	var sending *sendError
	if errors.As(err, &sending) {
		return n, sending.err
	}
	if err != nil {
		a.up.abort()
		return n, fmt.Errorf("read the instance: %w", err)
	}
	return n, out.Close()
}

// maxStrays bounds what a peer may ask of us while we wait for its answer.
const maxStrays = 16

// response waits for the answer to rq and serves what comes in between.
func (c *Client) response(ctx context.Context, rq command) (Response, error) {
	for range maxStrays {
		presentation, cmd, err := c.readMessage()
		if err != nil {
			return Response{}, err
		}
		if cmd.uint16(tagCommandField)&responseBit != 0 {
			err := c.skipData(cmd)
			c.up.setBusy(false)
			if err != nil {
				return Response{}, err
			}
			return c.checkResponse(rq, cmd)
		}
		if err := c.serveStray(ctx, presentation, cmd, c.cfg.CommitmentSCU); err != nil {
			return Response{}, err
		}
		c.up.setBusy(false)
	}
	return Response{}, c.up.violation(abortUnexpectedParam, "requests instead of a response")
}

// checkResponse: a response belongs to a request by the message ID (PS3.7 §9.3).
func (c *Client) checkResponse(rq, rsp command) (Response, error) {
	if rsp.uint16(tagCommandField) != rq.uint16(tagCommandField)|responseBit || rsp.uint16(tagRespondedTo) != rq.uint16(tagMessageID) {
		return Response{}, c.up.violation(abortUnexpectedParam, "a response to another request")
	}
	if _, ok := rsp.number(tagStatus); !ok {
		return Response{}, c.up.violation(abortInvalidParameter, "a response without status")
	}
	return responseOf(rsp), nil
}

// Release ends the association in order. It closes the connection whatever happens.
func (c *Client) Release(ctx context.Context) error {
	if c.over != nil {
		return nil
	}
	defer c.watch(ctx)()
	err := c.up.release()
	c.end(ErrReleased)
	if err != nil {
		return fmt.Errorf("release: %w", err)
	}
	return nil
}

// Abort ends the association at once.
func (c *Client) Abort() {
	if c.over != nil {
		return
	}
	c.up.abort()
	c.end(&AbortError{})
}
