package dimse

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// An acceptor may ask, too: N-EVENT-REPORT goes against the stream of requests
// (PS3.4 §J.3.3).
// Other goroutines give such an errand to the association's goroutine, which
// alone reads and writes. It does one between two messages, never inside one,
// and goes on serving while it waits for the answer.
//
// To be woken it waits with Peek: what ends its wait has read nothing of a PDU,
// so nothing is lost, over TLS neither (a read that runs out of time leaves a
// TLS connection as it was).

// errand is one operation to be invoked.
type errand struct {
	class string
	begin func(Context) (command, *DataSet, error)
	done  chan outcome // holds one: the association's goroutine never waits for who asked
}

type outcome struct {
	rsp Response
	err error
}

// errands belong to an association; wire.mu guards all of it.
type errands struct {
	waiting bool // for a message, and nothing of it is there
	nudged  bool // whoever waits is to look around
	queue   []*errand
	asked   *errand // sent and not answered; the window is 1 (PS3.7 §D.3.3.3)
	askedID uint16
	deaf    bool  // the peer left one unanswered for too long
	none    bool  // of a Client: it invokes for itself, between its waits nobody is there to do any
	over    error // why none is done any more
}

const maxErrands = 64

// errWoken: the wait for a message was ended by nudge or by an errand.
var errWoken = errors.New("woken")

var errBusy = errors.New("the association was busy with something else")

var errOwn = errors.New("on an association of our own only its Client can ask")

// ErrUnanswered means that a request of ours has gone out on an association of a
// Server, and the peer has given no answer, or none that says anything; why stands
// beside it.
var ErrUnanswered = errors.New("the peer left a request of ours without answer")

var errDeaf = fmt.Errorf("%w: %w", ErrUnanswered, ErrTimeout)

// invoke gives an errand to the association's goroutine and waits for the
// answer. It must not be called on that goroutine.
func (a *Association) invoke(ctx context.Context, e *errand) (Response, error) {
	if err := a.order(e); err != nil {
		return Response{}, err
	}
	select {
	case o := <-e.done:
		return o.rsp, o.err
	case <-ctx.Done():
		return Response{}, fmt.Errorf("%w: %w", a.withdraw(e), ctx.Err())
	}
}

func (a *Association) order(e *errand) error {
	a.up.mu.Lock()
	defer a.up.mu.Unlock()
	switch x := &a.errands; {
	case x.over != nil:
		return x.over
	case x.none:
		return errOwn
	case x.deaf:
		return errDeaf
	case len(x.queue) == maxErrands:
		return fmt.Errorf("%d errands wait on this association already", maxErrands)
	}
	a.errands.queue = append(a.errands.queue, e)
	a.poke()
	return nil
}

// withdraw forgets an errand that nobody waits for any more, and says what has
// kept it. One that is out cannot be taken back: its answer will be ignored, and
// no other will follow it.
func (a *Association) withdraw(e *errand) error {
	a.up.mu.Lock()
	defer a.up.mu.Unlock()
	x := &a.errands
	if x.asked == e {
		x.deaf = true
		return errDeaf
	}
	x.queue = slices.DeleteFunc(x.queue, func(q *errand) bool { return q == e })
	return errBusy
}

// nudge makes who waits for a message look around.
func (a *Association) nudge() {
	a.up.mu.Lock()
	defer a.up.mu.Unlock()
	a.errands.nudged = true
	a.poke()
}

// poke ends the wait for a message if there is a reason. Called with wire.mu.
func (a *Association) poke() {
	x := &a.errands
	if x.waiting && a.up.drain == nil && (x.nudged || len(x.queue) > 0 && x.asked == nil) {
		a.up.drain = errWoken
		a.up.conn.SetReadDeadline(longAgo)
	}
}

// await waits for the first byte of a message and reads nothing. errWoken means
// that there is none yet, and something else to do.
func (a *Association) await() error {
	if a.up.data.pduLeft > 0 || a.held != nil {
		return nil
	}
	a.up.between()
	a.setWaiting(true)
	_, err := a.up.br.Peek(1)
	a.setWaiting(false)
	if err != nil && err != errWoken {
		err = a.up.lost(err)
	}
	return err
}

func (a *Association) setWaiting(waiting bool) {
	a.up.mu.Lock()
	defer a.up.mu.Unlock()
	a.errands.waiting = waiting
	if waiting {
		a.poke()
		return
	}
	a.errands.nudged = false
	if a.up.drain == errWoken {
		a.up.drain = nil
	}
}

// awaitServing does errands until a message comes.
func (a *Association) awaitServing() error {
	for {
		if e := a.nextErrand(); e != nil {
			if err := a.ask(e); err != nil {
				return err
			}
		}
		if err := a.await(); err != errWoken {
			return err
		}
	}
}

// nextErrand takes the next errand and gives it a message ID; nil when there is
// none, or one is still unanswered.
func (a *Association) nextErrand() *errand {
	a.up.mu.Lock()
	defer a.up.mu.Unlock()
	x := &a.errands
	if len(x.queue) == 0 || x.asked != nil {
		return nil
	}
	x.asked, x.queue = x.queue[0], x.queue[1:]
	x.askedID = a.nextMessageID()
	return x.asked
}

// ask sends the request of an errand. One that cannot be sent fails alone.
func (a *Association) ask(e *errand) error {
	presentation, err := a.contextOf(e.class)
	if err == nil {
		var rq command
		var d *DataSet
		if rq, d, err = e.begin(presentation); err == nil {
			rq.setUint16(tagMessageID, a.errands.askedID) // only this goroutine writes it
			return a.send(presentation.ID, rq, d)
		}
	}
	a.finishErrand(outcome{err: err})
	return nil
}

func (a *Association) contextOf(class string) (Context, error) {
	for _, c := range a.contexts {
		if c.AbstractSyntax == class {
			return c, nil
		}
	}
	return Context{}, fmt.Errorf("%w: SOP class %s", ErrNoContext, class)
}

// settle gives a response to the errand that waits for it, by message ID (PS3.7
// §9.3); ok is false when none does.
func (a *Association) settle(rsp command) (ok bool) {
	a.up.mu.Lock()
	ok = a.errands.asked != nil && a.errands.askedID == rsp.uint16(tagRespondedTo) &&
		rsp.uint16(tagCommandField) == nEventReportRQ|responseBit
	a.up.mu.Unlock()
	if ok {
		a.finishErrand(outcomeOf(rsp))
	}
	return ok
}

// outcomeOf: a response without status says nothing, and there is none that an
// operation goes on or was cancelled for one of one response (PS3.7 §10.1.1.1).
func outcomeOf(rsp command) outcome {
	status, ok := rsp.number(tagStatus)
	if !ok {
		return outcome{err: fmt.Errorf("%w: a response without status", ErrUnanswered)}
	}
	if s := Status(status); s.IsPending() || s.IsCancel() {
		return outcome{err: fmt.Errorf("%w: the response says %v", ErrUnanswered, s)}
	}
	return outcome{rsp: responseOf(rsp)}
}

func (a *Association) finishErrand(o outcome) {
	a.up.mu.Lock()
	defer a.up.mu.Unlock()
	x := &a.errands
	x.asked.done <- o
	x.asked, x.deaf = nil, false
}

// endErrands answers every errand with why the association is over.
func (a *Association) endErrands(why error) {
	if why == nil {
		why = ErrReleased
	}
	a.up.mu.Lock()
	defer a.up.mu.Unlock()
	x := &a.errands
	if x.asked != nil {
		x.asked.done <- outcome{err: unanswered(why)}
	}
	for _, e := range x.queue {
		e.done <- outcome{err: why}
	}
	x.over, x.queue, x.asked = why, nil, nil
}

// unanswered says of a request that was out why it has no answer. An orderly end
// says nothing about it: it may have crossed the request.
func unanswered(why error) error {
	if errors.Is(why, ErrReleased) || errors.Is(why, ErrServerClosed) {
		return why
	}
	return fmt.Errorf("%w: %w", ErrUnanswered, why)
}

// Over reports whether the association has ended; nothing can be invoked on it.
func (a *Association) Over() bool {
	a.up.mu.Lock()
	defer a.up.mu.Unlock()
	return a.errands.over != nil
}
