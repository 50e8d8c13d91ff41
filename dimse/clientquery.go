package dimse

import (
	"context"
	"fmt"
	"io"
	"time"

	"edged/dimse/dataset"
)

// The services of PS3.4 Annex C as their SCU.

// Find asks for what matches the identifier (C-FIND, PS3.7 §9.1.2) and gives
// each match to found, in the transfer syntax of the presentation context. When
// found returns an error the operation is cancelled, what is still under way is
// read past, and the error is returned unless it is ErrStop; the association
// lives. An identifier of more than MaxSmallDataSet bytes is such an error, too.
// How many matches there may be is up to the caller. A status that is not success
// is no error.
func (c *Client) Find(ctx context.Context, q Query, found func(DataSet) error) (Response, error) {
	i := &inquiry{c: c, ctx: ctx, pending: func(_ command, match DataSet) error {
		if len(match.Bytes) == 0 {
			return nil // a match without identifier says nothing
		}
		return found(match)
	}}
	last, _, err := i.run(cFindRQ, q)
	return responseOf(last), err
}

// Move asks the peer to send instances to q.Destination (C-MOVE, PS3.7 §9.1.4).
// progress is called with the counts of each pending response, of which there
// may be none; nil is fine. Errors are as those of Find.
func (c *Client) Move(ctx context.Context, q Query, progress func(SubOperations) error) (Retrieved, error) {
	i := &inquiry{c: c, ctx: ctx, pending: reporting(progress)}
	last, identifier, err := i.run(cMoveRQ, q)
	return retrieved(last, identifier), err
}

// Get asks for instances over this association (C-GET, PS3.7 §9.1.3): store
// takes each as a Handler does, streamed; its contexts and the SCP role for its
// class must have been proposed (ClientConfig.Contexts and Roles). store may
// still be called after progress has returned an error, until the peer has seen
// the C-CANCEL. Errors are as those of Find.
func (c *Client) Get(ctx context.Context, q Query, store func(context.Context, StoreRequest, io.Reader) Status, progress func(SubOperations) error) (Retrieved, error) {
	i := &inquiry{c: c, ctx: ctx, pending: reporting(progress)}
	i.store = func(rq StoreRequest, data io.Reader) Status { return store(ctx, rq, data) }
	last, identifier, err := i.run(cGetRQ, q)
	return retrieved(last, identifier), err
}

func reporting(progress func(SubOperations) error) func(command, DataSet) error {
	return func(rsp command, _ DataSet) error {
		if progress == nil {
			return nil
		}
		return progress(countsOf(rsp))
	}
}

func countsOf(c command) SubOperations {
	return SubOperations{int(c.uint16(tagRemaining)), int(c.uint16(tagCompleted)), int(c.uint16(tagFailed)), int(c.uint16(tagWarning))}
}

func responseOf(c command) Response {
	return Response{Status(c.uint16(tagStatus)), c.text(tagErrorComment), c.uint16(tagErrorID), c.uid(tagAffectedInstance)}
}

func retrieved(last command, identifier DataSet) Retrieved {
	r := Retrieved{Response: responseOf(last), SubOperations: countsOf(last)}
	if set, err := dataset.Parse(identifier.Bytes, identifier.TransferSyntaxUID); err == nil {
		r.FailedUIDs = set.Texts(failedUIDList) // a list that cannot be read is worth no more than none
	}
	return r
}

// inquiry is a C-FIND, C-MOVE or C-GET of ours that is under way.
type inquiry struct {
	c       *Client
	ctx     context.Context
	id      byte // of the presentation context
	rq      command
	pending func(rsp command, d DataSet) error   // takes each pending response
	store   func(StoreRequest, io.Reader) Status // takes sub-operations; nil: there are none
	stopped error                                // why C-CANCEL has been sent
	strays  int
}

// run asks, and waits for the last response. The error is what pending returned,
// but for ErrStop, or why the association is over.
func (i *inquiry) run(field uint16, q Query) (last command, d DataSet, err error) {
	presentation, identifier, err := i.c.fit(q)
	if err != nil {
		return nil, DataSet{}, err
	}
	i.id, i.rq = presentation.ID, q.command(field, i.c.nextMessageID())
	err = i.c.during(i.ctx, func() error {
		if err := i.c.send(i.id, i.rq, &identifier); err != nil {
			return err
		}
		if last, d, err = i.responses(); err == nil {
			i.c.up.limit = time.Time{} // after an error it bounds the end of the association
		}
		return err
	})
	if err == nil && i.stopped != ErrStop {
		err = i.stopped
	}
	return last, d, err
}

// during runs f, which talks to the peer; the end of ctx ends it.
func (c *Client) during(ctx context.Context, f func() error) error {
	if c.over != nil {
		return c.over
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	defer c.watch(ctx)()
	err := f()
	if err == ErrReleased {
		if answering := c.up.answerRelease(); answering != nil {
			err = answering
		}
	}
	if err != nil {
		c.end(err)
	}
	return err
}

// fit finds the context for a query. Its identifier goes out as it is where a
// context has its transfer syntax, otherwise in the syntax that the peer chose.
func (c *Client) fit(q Query) (Context, DataSet, error) {
	if presentation, ok := c.contextFor(q.SOPClassUID, q.Identifier.TransferSyntaxUID); ok && q.Identifier.TransferSyntaxUID != "" {
		return presentation, q.Identifier, nil
	}
	presentation, ok := c.contextFor(q.SOPClassUID, "")
	if !ok {
		return Context{}, DataSet{}, fmt.Errorf("%w: SOP class %s", ErrNoContext, q.SOPClassUID)
	}
	d, err := q.Identifier.in(presentation.TransferSyntax)
	return presentation, d, err
}

// in is the data set in another transfer syntax, or itself.
func (d DataSet) in(transferSyntax string) (DataSet, error) {
	if d.TransferSyntaxUID == transferSyntax {
		return d, nil
	}
	set, err := dataset.Parse(d.Bytes, d.TransferSyntaxUID)
	if err != nil {
		return DataSet{}, err
	}
	b, err := set.Append(nil, transferSyntax)
	return DataSet{transferSyntax, b}, err
}

// command is the request (PS3.7 Tables 9.3-3, 9.3-6, 9.3-9).
func (q Query) command(field, messageID uint16) command {
	var c command
	c.setUID(tagAffectedClass, q.SOPClassUID)
	c.setUint16(tagCommandField, field)
	c.setUint16(tagMessageID, messageID)
	c.setUint16(tagPriority, uint16(q.Priority))
	if field == cMoveRQ {
		c.setText(tagMoveDestination, q.Destination)
	}
	return c
}

// responses takes messages until the last response has come.
func (i *inquiry) responses() (last command, d DataSet, err error) {
	for {
		presentation, cmd, err := i.c.readMessage()
		if err != nil {
			return nil, DataSet{}, err
		}
		if cmd.uint16(tagCommandField)&responseBit == 0 {
			err = i.serve(presentation, cmd)
		} else if d, err = i.response(presentation, cmd); err == nil && !responseOf(cmd).Status.IsPending() {
			i.c.up.setBusy(false)
			return cmd, d, nil
		}
		if err != nil {
			return nil, DataSet{}, err
		}
		i.c.up.setBusy(false)
	}
}

// response takes one response with its identifier.
func (i *inquiry) response(presentation Context, cmd command) (d DataSet, err error) {
	rsp, err := i.c.checkResponse(i.rq, cmd)
	if err != nil {
		return d, err
	}
	status := StatusSuccess
	if cmd.carriesData() {
		if d, status, err = i.c.small(presentation, cmd); err != nil {
			return d, err
		}
	}
	if !rsp.Status.IsPending() || i.stopped != nil {
		return d, nil
	}
	if status != StatusSuccess {
		return d, i.stop(fmt.Errorf("an identifier of more than %d bytes", MaxSmallDataSet))
	}
	return d, i.stop(i.pending(cmd, d))
}

// stop sends C-CANCEL, if why is a reason; it has no response of its own (PS3.7
// §9.3.2.3). The operation ends with its last response as ever, and a peer that
// goes on and on is not listened to for longer than a response may take.
func (i *inquiry) stop(why error) error {
	if why == nil {
		return nil
	}
	i.stopped = why
	i.c.up.limit = time.Now().Add(i.c.cfg.Response)
	var c command
	c.setUint16(tagCommandField, cCancelRQ)
	c.setUint16(tagRespondedTo, i.rq.uint16(tagMessageID))
	return i.c.send(i.id, c, nil)
}

// serve takes a request of the peer: the sub-operations of a C-GET, and what it
// should not ask.
func (i *inquiry) serve(presentation Context, cmd command) error {
	if cmd.uint16(tagCommandField) == cStoreRQ && i.store != nil {
		return i.take(presentation, cmd)
	}
	if i.strays++; i.strays > maxStrays {
		return i.c.up.violation(abortUnexpectedParam, "requests instead of a response")
	}
	return i.c.serveStray(i.ctx, presentation, cmd, i.c.cfg.CommitmentSCU)
}

// take answers one sub-operation, as Server.store does.
func (i *inquiry) take(presentation Context, cmd command) error {
	a, rq := &i.c.Association, storeRequest(cmd, presentation)
	if rq.SOPClassUID == "" {
		rq.SOPClassUID = presentation.AbstractSyntax // dimse/COMPAT.md
	}
	status := checkStore(rq, presentation, cmd)
	if status == StatusSuccess {
		status = i.store(rq, &a.in)
	}
	rest, err := a.endData(cmd)
	a.counts.bytes.Add(a.in.bytes)
	if rest > 0 && !status.IsFailure() {
		status = StatusProcessingFailure // success without having read all of it
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
