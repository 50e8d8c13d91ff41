package dimse

import (
	"cmp"
	"context"
	"errors"
	"io"
	"slices"
	"time"
)

// courier carries the instances of a C-MOVE to their destination, as they are:
// nothing is re-encoded, so each distinct pair of class and transfer syntax needs
// a presentation context, and more than 128 of them several associations, one
// after the other (PS3.8 §9.3.2.2).
type courier struct {
	o      *retrieval
	cfg    ClientConfig
	groups [][]Proposal // of one association each
	member map[Need]int // which of them

	client  *Client // nil: none is open
	group   int     // that it was opened for
	retried bool    // the one reconnect has been used up
}

// subOperation bounds how long a destination, or the requestor of a C-GET, may
// take over the response to one instance.
const subOperation = 2 * time.Minute

// newCourier sorts the instances, in place, by association.
func newCourier(o *retrieval, cfg ClientConfig, instances []Instance) *courier {
	orDefault(&cfg.Response, subOperation)
	orDefault(&cfg.MaxSend, givenPDU) // between two PDUs the requestor is looked after
	c := &courier{o: o, cfg: cfg, member: map[Need]int{}, group: -1}
	rest := make([]Need, 0, len(instances))
	for _, i := range instances {
		rest = append(rest, i.need())
	}
	for len(rest) > 0 {
		var proposals []Proposal
		proposals, rest = Propose(rest...)
		for _, p := range proposals {
			c.member[Need{p.AbstractSyntax, p.TransferSyntaxes[0]}] = len(c.groups)
		}
		c.groups = append(c.groups, proposals)
	}
	slices.SortStableFunc(instances, func(x, y Instance) int { return cmp.Compare(c.member[x.need()], c.member[y.need()]) })
	return c
}

func (i Instance) need() Need { return Need{i.SOPClassUID, i.TransferSyntaxUID} }

// carry sends one instance. When the association to the destination is lost it
// is opened once more, and the instance sent again; when that is lost, too, the
// rest fails: who asked may ask again.
func (c *courier) carry(i Instance) Status {
	for c.o.lost == nil {
		status, err := c.attempt(i)
		if err == nil {
			return status
		}
		if c.retried {
			c.o.lost = err
		}
		c.retried = true
	}
	return StatusCannotMove
}

// attempt sends one instance over the association for it. An error means that
// the association is lost.
func (c *courier) attempt(i Instance) (Status, error) {
	if err := c.reach(c.member[i.need()]); err != nil {
		c.o.lost = err
		return 0, err
	}
	if !c.client.Accepts(i.need()) {
		return StatusSOPClassNotSupported, nil
	}
	data, err := i.Open(c.o.ctx)
	if err != nil {
		return StatusProcessingFailure, nil
	}
	defer data.Close()
	source := &watchedReader{r: data, alive: c.o.alive}
	rsp, err := c.client.Store(c.o.ctx, c.request(i), source)
	if err == nil {
		return rsp.Status, nil
	}
	c.dismiss()
	if c.o.over != nil {
		return StatusCannotMove, nil
	}
	if source.err != nil { // ours to answer for, not the destination's
		return StatusProcessingFailure, nil
	}
	return 0, err
}

// request says on whose behalf: PS3.7 §9.1.1.1.7 and §9.1.1.1.8.
func (c *courier) request(i Instance) StoreRequest {
	return StoreRequest{
		SOPClassUID: i.SOPClassUID, SOPInstanceUID: i.SOPInstanceUID, TransferSyntaxUID: i.TransferSyntaxUID,
		Priority:       c.o.query.Priority,
		MoveOriginator: c.o.a.peer.Calling, MoveOriginatorID: c.o.query.MessageID,
	}
}

// reach opens the association for a group, if it is not the one that is open.
func (c *courier) reach(group int) (err error) {
	if c.client != nil && c.group == group {
		return nil
	}
	c.dismiss()
	cfg := c.cfg
	cfg.Contexts = c.groups[group]
	c.client, err = Dial(c.o.ctx, cfg)
	c.group = group
	return err
}

// dismiss releases what is open. It waits no longer than cfg.Associate.
func (c *courier) dismiss() {
	if c.client != nil {
		c.client.Release(context.WithoutCancel(c.o.ctx)) // all that mattered has been answered
	}
	c.client = nil
}

// watchedReader remembers the error of a source, so that it is told apart from
// an error of the association. It is read on the goroutine of the association that
// asked, piece by piece as the destination takes them: a time to look after that one.
type watchedReader struct {
	r     io.Reader
	alive func() error
	err   error
}

func (w *watchedReader) Read(p []byte) (int, error) {
	if err := w.alive(); err != nil {
		return 0, err
	}
	n, err := w.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		w.err = err
	}
	return n, err
}
