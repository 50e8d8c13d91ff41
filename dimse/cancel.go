package dimse

import (
	"context"
	"errors"
	"fmt"
	"time"

	"edged/dimse/dataset"
)

// operation is a C-FIND, C-MOVE or C-GET that a peer asked for and that is under
// way. Its responses go out on the goroutine of the association, which looks
// between them for what the peer says meanwhile: C-CANCEL above all (PS3.7
// §9.3.2.3).
type operation struct {
	a            *Association
	presentation Context
	rq           command
	query        Query
	looked       time.Time
	declines     bool          // of a C-GET: see decline
	keys         []dataset.Tag // that a C-FIND asks for
	failed       error         // of a C-FIND: why a match could not be sent

	ctx  context.Context // ends with the operation
	end  context.CancelCauseFunc
	over error // errCancelled, or why the association is over
}

// errCancelled is what found returns, and the cause of ctx, after a C-CANCEL.
var errCancelled = errors.New("cancelled by the peer")

// Looking costs lookFor when there is nothing to see, so it is done rarely; what
// is in the read buffer already is seen at once.
const (
	lookEvery = 100 * time.Millisecond
	lookFor   = time.Millisecond
)

// look takes what the peer has sent since the operation began, and returns why
// it must not go on.
func (o *operation) look() error {
	for o.over == nil {
		there, err := o.arriving()
		if err == nil && !there {
			return context.Cause(o.ctx)
		}
		if err == nil {
			err = o.take()
		}
		o.stop(err)
	}
	return o.over
}

// stop ends the operation, if err is a reason.
func (o *operation) stop(err error) {
	if err != nil && o.over == nil {
		o.over = err
		o.end(err)
	}
}

// arriving reports whether a message of the peer is there. While one is held we
// do not look: it is in the way of what comes behind it.
func (o *operation) arriving() (bool, error) {
	u := o.a.up
	switch {
	case o.a.held != nil:
		return false, nil
	case u.data.pduLeft > 0 || u.br.Buffered() > 0:
		return true, nil
	case time.Since(o.looked) < lookEvery:
		return false, nil
	}
	there, err := u.peek(lookFor)
	o.looked = time.Now()
	return there, err
}

// peek waits for a byte of a PDU for at most d and leaves it where it is, so that
// nothing is lost when the time is over.
func (u *upper) peek(d time.Duration) (bool, error) {
	u.between()
	patience := u.idle
	u.idle = d
	_, err := u.br.Peek(1)
	u.idle = patience
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, ErrTimeout):
		return false, nil
	}
	return false, u.lost(err)
}

// message is a command that was read; its data set may not have been.
type message struct {
	presentation Context
	cmd          command
}

// take reads a command and does what has to be done about it.
func (o *operation) take() error {
	presentation, cmd, err := o.a.readMessage()
	if err != nil {
		return err
	}
	return o.meanwhile(presentation, cmd)
}

// meanwhile: C-CANCEL ends the operation that it names. A response may be one that
// an errand waits for; to hold it would be to be deaf for the C-CANCEL behind it. A
// request breaks the window of one operation at a time that we negotiate (PS3.7
// §D.3.3.3). During a C-FIND or C-MOVE it is held, and served when that has ended:
// some peers send ahead (dimse/COMPAT.md).
func (o *operation) meanwhile(presentation Context, cmd command) error {
	field := cmd.uint16(tagCommandField)
	switch {
	case field == cCancelRQ:
		return o.cancel(cmd)
	case o.a.settle(cmd):
		return o.a.skipData(cmd)
	case field&responseBit != 0:
		return o.a.up.violation(abortUnexpectedParam, fmt.Sprintf("response %04XH to nothing", field))
	case o.declines:
		return o.decline(presentation, cmd)
	}
	o.a.held = &message{presentation, cmd}
	return nil
}

// cancel: a C-CANCEL that names another operation comes too late and means
// nothing (PS3.7 §9.3.2.3).
func (o *operation) cancel(cmd command) error {
	if err := o.a.skipData(cmd); err != nil {
		return err
	}
	if cmd.uint16(tagRespondedTo) == o.query.MessageID {
		return errCancelled
	}
	return nil
}

// finish sends the last response, if there is still somebody to take it.
func (o *operation) finish(answer Answer) error {
	switch {
	case o.over == errCancelled:
		answer.Status = StatusCancel
	case o.over != nil:
		return o.over
	case answer.Status.IsPending():
		answer.Status = StatusCannotUnderstand // nothing may be pending at the end
	}
	return o.respond(answer)
}

func (o *operation) respond(answer Answer) error {
	return o.a.reply(o.presentation.ID, o.rq, answer)
}
