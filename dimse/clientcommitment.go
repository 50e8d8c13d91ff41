package dimse

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Storage Commitment from the requestor's side of an association, as SCU and as
// SCP.

// RequestCommitment asks the peer for the safekeeping of instances (N-ACTION,
// PS3.4 §J.3.2). Success means that it has taken the request. Its report comes on
// this association (AwaitCommitment) or on one that the peer opens to a Server
// with CommitmentSCU.
func (c *Client) RequestCommitment(ctx context.Context, rq CommitmentRequest) (Response, error) {
	if !c.mayBe(StorageCommitmentPush, func(r Role) bool { return r.SCU }) {
		return Response{}, fmt.Errorf("%w: SCU of %s", ErrNoRole, StorageCommitmentPush)
	}
	had := c.requested
	c.earlier, c.asked, c.requested = c.asked, rq.TransactionUID, true // the report may overtake the response
	rsp, err := c.call(ctx, StorageCommitmentPush, func(p Context) (command, *DataSet, error) { return commitmentAction(p, rq) })
	if err != nil || rsp.Status.IsFailure() {
		c.asked, c.requested = c.earlier, had // what was taken before is outstanding still
	}
	c.earlier = ""
	return rsp, err
}

// ReportCommitment tells the peer what became of its request, on an association
// that we opened for that, with the SCP role proposed (PS3.4 §J.3.3.1.2).
func (c *Client) ReportCommitment(ctx context.Context, r CommitmentResult) (Response, error) {
	if !c.mayBe(StorageCommitmentPush, func(r Role) bool { return r.SCP }) {
		return Response{}, fmt.Errorf("%w: SCP of %s", ErrNoRole, StorageCommitmentPush)
	}
	return c.call(ctx, StorageCommitmentPush, func(p Context) (command, *DataSet, error) { return commitmentEvent(p, r) })
}

// mayBe reports whether the peer's answer leaves us a role. Without an answer the
// default roles hold (PS3.7 §D.3.3.4), but peers that take reports from a
// requestor do not all say so (dimse/COMPAT.md): only a no is a no.
func (c *Client) mayBe(class string, role func(Role) bool) bool {
	answer := c.talk.Answer.User.Roles
	i := slices.IndexFunc(answer, func(r Role) bool { return r.SOPClassUID == class })
	return i < 0 || role(answer[i])
}

// call invokes an operation of one request and one response.
func (c *Client) call(ctx context.Context, class string, begin func(Context) (command, *DataSet, error)) (rsp Response, err error) {
	presentation, err := c.contextOf(class)
	if err != nil {
		return rsp, err
	}
	rq, d, err := begin(presentation)
	if err != nil {
		return rsp, err
	}
	rq.setUint16(tagMessageID, c.nextMessageID())
	err = c.during(ctx, func() error {
		if err := c.send(presentation.ID, rq, d); err != nil {
			return err
		}
		rsp, err = c.response(ctx, rq)
		return err
	})
	return rsp, err
}

// AwaitCommitment takes reports on this association until the transaction of the
// last RequestCommitment has been answered and scu has taken the answer. It
// returns nil then, at once when that has happened before; ErrReleased when the
// peer leaves without; and the error of ctx when that ends first: the association
// lives then. How long a report may take is for ctx alone to say: it may take a
// day. Without a request it takes reports until ctx ends. scu may be nil
// if the configuration has one.
func (c *Client) AwaitCommitment(ctx context.Context, scu CommitmentSCU) error {
	if scu == nil {
		scu = c.cfg.CommitmentSCU
	}
	if c.over != nil || scu == nil {
		return cmp.Or(c.over, errNoSCU)
	}
	defer context.AfterFunc(ctx, c.nudge)()
	for !c.requested || c.asked != "" {
		err := c.awaitReport(ctx, scu)
		if err == ErrReleased {
			if answering := c.up.answerRelease(); answering != nil {
				err = answering
			}
		}
		if err != nil && err != ctx.Err() {
			c.end(err)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

var errNoSCU = errors.New("nobody to take the report of a commitment")

// awaitReport takes one report, or finds out that ctx has ended.
func (c *Client) awaitReport(ctx context.Context, scu CommitmentSCU) error {
	if len(c.reports) > 0 {
		r := c.reports[0]
		c.reports = c.reports[1:]
		return c.settleReport(ctx, r, scu)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := c.awaitLong(); err != nil {
		if err == errWoken {
			err = nil // why, the next round finds out
		}
		return err
	}
	presentation, cmd, err := c.readMessage()
	if err != nil {
		return err
	}
	defer c.up.setBusy(false)
	if cmd.uint16(tagCommandField)&responseBit != 0 {
		return c.up.violation(abortUnexpectedParam, "a response to nothing")
	}
	return c.serveStray(ctx, presentation, cmd, scu)
}

// awaitLong waits for a message until it is woken: Response bounds the waits for
// responses only.
func (c *Client) awaitLong() error {
	idle := c.up.idle
	c.up.idle = forever
	defer func() { c.up.idle = idle }()
	return c.await()
}

const forever = 100 * 365 * 24 * time.Hour

func (c *Client) settleReport(ctx context.Context, r report, scu CommitmentSCU) error {
	settled, err := c.answerReport(ctx, r, scu)
	if settled != "" && settled == c.asked {
		c.asked = ""
	}
	if settled == c.earlier {
		c.earlier = ""
	}
	return err
}

// maxReports bounds the reports that wait for AwaitCommitment.
const maxReports = 4

// serveStray serves a request of the peer on our own association: reports, to
// scu, or kept for AwaitCommitment when we have asked for some. There is no other
// service here.
func (c *Client) serveStray(ctx context.Context, presentation Context, cmd command, scu CommitmentSCU) error {
	if cmd.uint16(tagCommandField) != nEventReportRQ || scu == nil && c.asked == "" {
		return c.refuse(presentation, cmd, StatusUnrecognizedOperation)
	}
	r, err := c.readReport(presentation, cmd)
	switch {
	case err != nil:
		return err
	case scu != nil:
		return c.settleReport(ctx, r, scu)
	case len(c.reports) == maxReports:
		return c.reply(presentation.ID, r.cmd, Answer{Status: StatusResourceLimitation})
	}
	c.reports = append(c.reports, r)
	return nil
}
