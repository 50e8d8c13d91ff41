package dimse

import (
	"slices"
	"time"
)

// giver carries the instances of a C-GET to the requestor, on its association.
type giver struct {
	o   *operation
	out *pdataWriter // of data sets: responses have a smaller one
}

// givenPDU bounds what we send in one PDU of a C-GET, and so the memory of it, and
// of a C-MOVE unless its destination is configured otherwise.
const givenPDU = 128 << 10

// carry sends one instance and waits for its response, which belongs to it by
// message ID (PS3.7 §9.3).
func (g *giver) carry(i Instance) Status {
	presentation, ok := g.contextFor(i)
	if !ok {
		return StatusSOPClassNotSupported
	}
	status, err := g.store(presentation, i)
	if err != nil {
		g.o.stop(err)
		return StatusCannotMove
	}
	return status
}

// contextFor finds a context in which the requestor takes such an instance as it
// is: of the class, in the transfer syntax, and in the role of an SCP (PS3.7
// §D.3.3.4; the default roles would have it the wrong way round).
func (g *giver) contextFor(i Instance) (Context, bool) {
	a := g.o.a
	if a.talk.Answer == nil || !slices.ContainsFunc(a.talk.Answer.User.Roles, func(r Role) bool { return r.SCP && r.SOPClassUID == i.SOPClassUID }) {
		return Context{}, false
	}
	n := slices.IndexFunc(a.contexts, func(c Context) bool {
		return c.AbstractSyntax == i.SOPClassUID && c.TransferSyntax == i.TransferSyntaxUID
	})
	if n < 0 {
		return Context{}, false
	}
	return a.contexts[n], true
}

// store is one sub-operation. An error means that the association is over: a
// source that fails in the middle, too, because a message of which a part is out
// cannot be taken back (PS3.8 Annex E).
func (g *giver) store(presentation Context, i Instance) (Status, error) {
	a := g.o.a
	data, err := i.Open(g.o.ctx)
	if err != nil {
		return StatusProcessingFailure, nil
	}
	defer data.Close()
	rq := StoreRequest{MessageID: a.nextMessageID(), SOPClassUID: i.SOPClassUID, SOPInstanceUID: i.SOPInstanceUID, Priority: g.o.query.Priority}
	if err := a.writeCommand(presentation.ID, rq.command()); err != nil {
		return 0, err
	}
	if _, err := a.writeData(g.out, presentation.ID, data); err != nil {
		return 0, err
	}
	return g.response(rq.MessageID)
}

// response waits for the response to a sub-operation, for a bounded time.
func (g *giver) response(id uint16) (Status, error) {
	u := g.o.a.up
	u.limit = time.Now().Add(subOperation)
	status, err := g.await(id)
	if err == nil {
		u.limit = time.Time{} // after an error it bounds the end of the association
	}
	return status, err
}

// await reads messages until the response is there. C-CANCEL may come before it;
// this one is still waited for.
func (g *giver) await(id uint16) (Status, error) {
	for range maxStrays {
		presentation, cmd, err := g.o.a.readMessage()
		if err != nil {
			return 0, err
		}
		if cmd.uint16(tagCommandField) == cStoreRQ|responseBit && cmd.uint16(tagRespondedTo) == id {
			return g.status(cmd)
		}
		if err := g.o.meanwhile(presentation, cmd); err == errCancelled {
			g.o.stop(err)
		} else if err != nil {
			return 0, err
		}
	}
	return 0, g.o.a.up.violation(abortUnexpectedParam, "requests instead of a response")
}

func (g *giver) status(rsp command) (Status, error) {
	if err := g.o.a.skipData(rsp); err != nil {
		return 0, err
	}
	n, ok := rsp.number(tagStatus)
	if !ok {
		return 0, g.o.a.up.violation(abortInvalidParameter, "a response without status")
	}
	return Status(n), nil
}

// decline answers at once what a peer asks while a C-GET is under way: it could
// not wait, because the responses of the sub-operations come behind it. The
// window of one operation that we negotiated forbids it (PS3.7 §D.3.3.3), so it
// is refused, as something that may work later.
func (o *operation) decline(presentation Context, cmd command) error {
	switch {
	case cmd.uint16(tagMessageID) == o.query.MessageID:
		return o.a.refuse(presentation, cmd, StatusDuplicateInvocation) // PS3.7 Annex C, 0210
	case cmd.uint16(tagCommandField) >= nEventReportRQ:
		return o.a.refuse(presentation, cmd, StatusResourceLimitation) // PS3.7 Annex C, 0213
	}
	return o.a.refuse(presentation, cmd, StatusOutOfResources)
}
