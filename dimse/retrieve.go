package dimse

import (
	"cmp"
	"context"
	"slices"
	"time"

	"edged/dimse/dataset"
)

// C-MOVE and C-GET as their SCP: an operation whose work is sub-operations, one
// C-STORE for each instance (PS3.4 §C.4.2, §C.4.3).

// move answers a C-MOVE-RQ (PS3.7 §9.1.4, §9.3.4): the instances go to another
// application entity, over associations of our own.
func (s *Server) move(ctx context.Context, a *Association, presentation Context, cmd command) error {
	o, err := begin(ctx, a, presentation, cmd)
	if o == nil {
		return err
	}
	defer o.end(nil)
	cfg, answer := s.cfg.Query.Destination(o.ctx, a, o.query.Destination)
	if answer.Status != StatusSuccess {
		return o.refused(answer)
	}
	instances, answer := s.cfg.Query.Select(o.ctx, a, o.query)
	if answer.Status != StatusSuccess {
		return o.refused(answer)
	}
	instances = slices.Clone(instances)
	r := newRetrieval(o, len(instances))
	c := newCourier(r, cfg, instances)
	defer c.dismiss()
	r.begun()
	return s.retrieve(r, instances, c.carry)
}

// get answers a C-GET-RQ (PS3.7 §9.1.3, §9.3.3): the instances go to the peer,
// on the association that it opened.
func (s *Server) get(ctx context.Context, a *Association, presentation Context, cmd command) error {
	o, err := begin(ctx, a, presentation, cmd)
	if o == nil {
		return err
	}
	defer o.end(nil)
	o.declines = true
	instances, answer := s.cfg.Query.Select(o.ctx, a, o.query)
	if answer.Status != StatusSuccess {
		return o.refused(answer)
	}
	g := &giver{o: o, out: newPDataWriter(a.up, a.user.MaxPDU, givenPDU)}
	return s.retrieve(newRetrieval(o, len(instances)), instances, g.carry)
}

// refused is the only response to a retrieve that does not begin.
func (o *operation) refused(answer Answer) error {
	answer.DataSet = nil
	return o.finish(answer)
}

// retrieval counts the sub-operations of a C-MOVE or C-GET.
type retrieval struct {
	*operation
	counts SubOperations
	failed []string // SOP Instance UIDs
	lost   error    // why the destination of a C-MOVE is sent no more
	told   time.Time
}

func newRetrieval(o *operation, n int) *retrieval {
	return &retrieval{operation: o, counts: SubOperations{Remaining: n}, told: time.Now()}
}

// progressEvery is how often a requestor hears how far we are.
const progressEvery = time.Second

// retrieve performs the sub-operations, one after the other; one that fails does
// not stop the others.
func (s *Server) retrieve(r *retrieval, instances []Instance, carry func(Instance) Status) error {
	o := r.operation
	for _, i := range instances {
		if r.look() != nil {
			break
		}
		status := carry(i)
		if r.over == errCancelled && status == StatusCannotMove {
			break // cut off: it remains
		}
		r.count(i, status)
		r.tell()
	}
	err := r.last()
	s.cfg.Log.Info("retrieve ended", "association", o.a.id, "calling", o.a.peer.Calling, "destination", o.query.Destination,
		"completed", r.counts.Completed, "failed", r.counts.Failed, "warning", r.counts.Warning, "remaining", r.counts.Remaining, "err", cmp.Or(o.over, r.lost))
	return err
}

func (r *retrieval) count(i Instance, status Status) {
	r.counts.Remaining--
	switch {
	case status == StatusSuccess:
		r.counts.Completed++
	case status.IsWarning():
		r.counts.Warning++
	default:
		r.counts.Failed++
		if i.SOPInstanceUID != "" { // one that can be counted and not named
			r.failed = append(r.failed, i.SOPInstanceUID)
		}
	}
}

// begun tells how many there are to be, before the destination has been reached.
//
// Gap: nothing is told, and no C-CANCEL heard, while QuerySCP.Select searches, while
// the destination is connected to (ClientConfig.Associate, twice: a minute), while it
// takes one PDU (givenPDU at the least pace: two minutes), and while it answers
// (subOperation: two minutes). So with the defaults a destination can keep us silent
// for some five minutes on end. To do better would take another goroutine.
func (r *retrieval) begun() {
	if r.counts.Remaining > 0 {
		r.stop(r.report(StatusPending, nil))
	}
}

// alive looks and tells in the middle of a sub-operation that takes long, and says
// why it must end. A short one is not cut off: its end is near.
func (r *retrieval) alive() error {
	if r.over == nil && time.Since(r.told) < progressEvery {
		return nil
	}
	if err := r.look(); err != nil {
		return err
	}
	r.tell()
	return r.over
}

// tell sends a pending response, now and then.
func (r *retrieval) tell() {
	if r.over == nil && time.Since(r.told) >= progressEvery {
		r.told = time.Now()
		r.stop(r.report(StatusPending, nil))
	}
}

// last sends the response that ends it, with the instances that failed (PS3.4
// §C.4.2.1.4.2).
func (r *retrieval) last() error {
	status := r.counts.status()
	switch {
	case r.over == errCancelled:
		status = StatusCancel
	case r.over != nil:
		return r.over
	}
	d, err := uidList(failedUIDList, r.failed, r.presentation.TransferSyntax)
	if err != nil {
		return err
	}
	return r.report(status, d)
}

// status is the outcome in PS3.4 Tables C.4-2 and C.4-3.
func (c SubOperations) status() Status {
	switch {
	case c.Remaining > 0: // the server ends
		return StatusCannotMove
	case c.Failed == 0 && c.Warning == 0:
		return StatusSuccess
	case c.Completed == 0 && c.Warning == 0:
		return StatusCannotMove
	}
	return StatusCoercion // B000 is here: one or more failures or warnings
}

// report sends a response with the counts. What remains is told while something
// may (PS3.7 §9.1.3.1.6, §9.1.4.1.7).
func (r *retrieval) report(status Status, d *DataSet) error {
	c := answered(r.rq, Answer{Status: status})
	if status.IsPending() || status.IsCancel() {
		c.setCount(tagRemaining, r.counts.Remaining)
	}
	c.setCount(tagCompleted, r.counts.Completed)
	c.setCount(tagFailed, r.counts.Failed)
	c.setCount(tagWarning, r.counts.Warning)
	return r.a.send(r.presentation.ID, c, d)
}

// setCount: the wire has 16 bits for it (PS3.7 §E.1), so more is told as the most.
func (c *command) setCount(tag uint16, n int) { c.setUint16(tag, uint16(min(n, 0xFFFF))) }

const failedUIDList dataset.Tag = 0x00080058 // Failed SOP Instance UID List

// maxUIDList: a value of an explicit VR with a length of 16 bits (PS3.5 §7.1.2).
const maxUIDList = 0xFFFE

// uidList is an identifier with one list; nil when there is nothing in it.
// Gap: UIDs that do not fit (PS3.5 §7.1.2) are left out; the counts have them.
func uidList(tag dataset.Tag, uids []string, transferSyntax string) (*DataSet, error) {
	if len(uids) == 0 {
		return nil, nil
	}
	size, n := 0, 0
	for n < len(uids) && size+len(uids[n])+1 <= maxUIDList {
		size += len(uids[n]) + 1
		n++
	}
	var set dataset.Set
	set.Set(tag, "UI", uids[:n]...)
	b, err := set.Append(nil, transferSyntax)
	return &DataSet{transferSyntax, b}, err
}
