package commitment

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"edged/dimse"
)

// maxOnSame is the most that is reported on the association of a device that has
// an address, too. A larger report fills the buffers of a device that does not
// read because it is sending: then both would wait for the other.
const maxOnSame = 400

var errNoWay = errors.New("the device has no association open and no address is configured")

// onSame says whether a result goes over the device's own association.
func (e *Engine) onSame(l *lane, j *job) bool {
	same, reachable := e.cfg.Same(l.calling), e.reachable(l.calling)
	e.mu.Lock()
	shy := l.shy
	e.mu.Unlock()
	switch {
	case j.same == nil, same == SameNever, j.same.Over():
		return false
	case reachable && (shy || j.entry.refs > maxOnSame):
		return false
	}
	return true
}

// How long an association that is busy, or silent, is waited for: where there is no
// other way, as long as one that is busy with a large object may take.
const patienceOnSame, patienceOnOnly = time.Minute, 10 * time.Minute

// tellSame reports on devices' own associations and returns what has to go over a
// new one. After one error an association is left alone for the rest of the jobs:
// the wait for each would be in vain, too.
func (e *Engine) tellSame(ctx context.Context, l *lane, jobs []*job) (calls []*job) {
	failed := map[*dimse.Association]error{}
	for _, j := range jobs {
		err := failed[j.same]
		first := err == nil
		if first {
			err = e.tellOn(ctx, l, j)
			failed[j.same] = err
		}
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && e.leaveSame(ctx, l, j, err, first):
			calls = append(calls, j)
		}
	}
	return calls
}

func (e *Engine) tellOn(ctx context.Context, l *lane, j *job) error {
	patience := patienceOnOnly
	if e.reachable(l.calling) {
		patience = patienceOnSame
	}
	limited, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	rsp, err := j.same.ReportCommitment(limited, j.result)
	if err == nil {
		e.answered(ctx, j, rsp, "same association")
		return nil
	}
	e.cfg.Log.Info("commitment not reported on the device's association", "calling", l.calling, "err", err)
	e.mu.Lock()
	defer e.mu.Unlock()
	l.shy = l.shy || errors.Is(err, dimse.ErrUnanswered)
	return err
}

// leaveSame decides where a result goes that was not told on the device's own
// association: over a new one (true), or, where there is no other way, there
// again. Only who was asked first, and left without answer, is to blame.
func (e *Engine) leaveSame(ctx context.Context, l *lane, j *job, err error, first bool) (call bool) {
	reachable := e.reachable(l.calling)
	e.mu.Lock()
	if (reachable || j.same.Over()) && j.entry.same == j.same {
		j.entry.same, j.same = nil, nil
	}
	e.mu.Unlock()
	switch {
	case reachable:
		return true
	case first && errors.Is(err, dimse.ErrUnanswered):
		e.refused(ctx, j, err)
	case j.same == nil:
		e.refused(ctx, j, errNoWay)
	default:
		e.putOff(ctx, j, err)
	}
	return false
}

// putOff tries a result again soon, it not being to blame: the association was busy.
func (e *Engine) putOff(ctx context.Context, j *job, err error) {
	e.mu.Lock()
	if j.unchanged() {
		j.entry.last = err
		j.entry.next = time.Now().Add(e.cfg.FirstPause)
	}
	e.mu.Unlock()
	e.giveUp(ctx, j, err)
}

// unchanged says that nobody has asked again, or opened another way, since the
// job was made. Then when to look next is ours to say. Called with mu.
func (j *job) unchanged() bool { return j.entry.asked == j.asked && j.entry.same == j.same }

// maxVain is how many results may fail in a row, each on an association that
// stood, before the device and not the results is taken for the reason.
const maxVain = 3

// call opens an association and reports there what is due for a device. A result
// that fails is the only one to blame for that: it has its own pauses, and the
// others go on, over a new association if need be (P6).
func (e *Engine) call(ctx context.Context, l *lane, jobs []*job) {
	if e.cannotCall(ctx, l, jobs) || e.tooEarly(l, jobs) {
		return
	}
	var c *dimse.Client
	asks := e.asks(l)
	defer func() { e.release(ctx, l, c) }()
	for i, vain := 0, 0; i < len(jobs); i++ {
		if c == nil || c.Over() {
			var err error
			if c, err = e.dial(ctx, l); err != nil {
				e.unreachable(ctx, l, asks, jobs[i:], err)
				return
			}
		}
		err := e.tellNew(ctx, l, c, jobs[i])
		switch vain++; {
		case err == nil:
			vain = 0
		case ctx.Err() != nil:
			return
		case vain == maxVain:
			e.unreachable(ctx, l, asks, jobs[i+1:], err)
			return
		}
	}
}

// cannotCall puts off what is due for a device that takes no calls.
func (e *Engine) cannotCall(ctx context.Context, l *lane, jobs []*job) bool {
	if e.reachable(l.calling) {
		return false
	}
	for _, j := range jobs {
		e.refused(ctx, j, errNoWay)
	}
	return true
}

func (e *Engine) reachable(calling string) bool {
	_, ok := e.cfg.Reach(calling)
	return ok && e.cfg.Same(calling) != SameOnly
}

func (e *Engine) dial(ctx context.Context, l *lane) (*dimse.Client, error) {
	cfg, ok := e.cfg.Reach(l.calling)
	if !ok {
		return nil, errNoWay // since a moment
	}
	return dimse.Dial(ctx, callConfig(cfg, l.line))
}

func (e *Engine) release(ctx context.Context, l *lane, c *dimse.Client) {
	if c == nil {
		return
	}
	if err := c.Release(ctx); err != nil {
		e.cfg.Log.Debug("release after a commitment report", "calling", l.calling, "err", err)
	}
}

// tellNew reports on an association of ours. An error is this result's.
func (e *Engine) tellNew(ctx context.Context, l *lane, c *dimse.Client, j *job) error {
	rsp, err := c.ReportCommitment(ctx, j.result)
	if err == nil {
		e.reached(l)
		e.answered(ctx, j, rsp, "new association")
		return nil
	}
	if ctx.Err() == nil {
		e.cfg.Log.Warn("commitment not reported", "calling", l.calling, "err", err)
		e.refused(ctx, j, err)
	}
	return err
}

// callConfig completes how to reach a device: we call as the title that it called,
// which modalities insist on (dimse/COMPAT.md), propose to be the SCP (PS3.4
// §J.3.3.1.2), and offer Implicit VR Little Endian, which some of them alone take,
// before Explicit.
func callConfig(cfg dimse.ClientConfig, l line) dimse.ClientConfig {
	orDefault(&cfg.Called, l.calling)
	cfg.Calling = l.called // and the address is configured, never the peer's word
	cfg.Contexts = []dimse.Proposal{{AbstractSyntax: dimse.StorageCommitmentPush, TransferSyntaxes: []string{dimse.ImplicitVRLE, dimse.ExplicitVRLE}}}
	cfg.Roles = []dimse.Role{{SOPClassUID: dimse.StorageCommitmentPush, SCP: true}} // PS3.7 §D.3.3.4
	orDefault(&cfg.Response, time.Minute)
	return cfg
}

// tooEarly puts off what is due while the device is given time to come back.
func (e *Engine) tooEarly(l *lane, jobs []*job) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !l.after.After(time.Now()) {
		return false
	}
	for _, j := range jobs {
		if j.unchanged() {
			j.entry.next = l.after
		}
	}
	return true
}

func (e *Engine) asks(l *lane) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return l.asks
}

func (e *Engine) reached(l *lane) {
	e.mu.Lock()
	defer e.mu.Unlock()
	l.tries, l.after = 0, time.Time{}
}

// unreachable puts off everything that is due for a device.
func (e *Engine) unreachable(ctx context.Context, l *lane, asks int, jobs []*job, err error) {
	if ctx.Err() != nil {
		return // we are ending
	}
	e.mu.Lock()
	l.tries++
	next := time.Now().Add(e.pause(l.tries))
	if l.asks == asks {
		l.after = next
	} // else it lives, as we have heard since
	for _, j := range jobs {
		if j.unchanged() {
			j.entry.next, j.entry.last = next, err
		}
	}
	e.mu.Unlock()
	e.cfg.Log.Warn("device not told of commitments", "calling", l.calling, "results", len(jobs), "next", next, "err", err)
	for _, j := range jobs {
		e.giveUp(ctx, j, err)
	}
}

func (e *Engine) pause(n int) time.Duration {
	return pause(n, e.cfg.FirstPause, e.cfg.LongestPause, rand.Float64())
}

// refused puts off one result, unless there is another way to tell it by now.
func (e *Engine) refused(ctx context.Context, j *job, err error) {
	e.mu.Lock()
	if j.unchanged() {
		j.entry.tries++
		j.entry.last = err
		j.entry.next = time.Now().Add(e.pause(j.entry.tries))
	}
	e.mu.Unlock()
	e.giveUp(ctx, j, err)
}

// answered takes the device's answer to a report. Success, also with a warning,
// is the end of the transaction.
func (e *Engine) answered(ctx context.Context, j *job, rsp dimse.Response, where string) {
	if !rsp.Status.IsSuccess() && !rsp.Status.IsWarning() { // neither is pending, which this operation does not know
		e.cfg.Log.Warn("device refuses a commitment report", "calling", j.entry.calling, "status", rsp.Status, "where", where)
		e.refused(ctx, j, fmt.Errorf("the device answered %v", rsp.Status))
		return
	}
	e.cfg.Log.Info("commitment reported", "calling", j.entry.calling, "committed", len(j.result.Committed), "failed", len(j.result.Failed), "where", where)
	e.drop(ctx, j)
}

// giveUp drops a transaction whose time is over.
func (e *Engine) giveUp(ctx context.Context, j *job, last error) {
	if j.entry.age(time.Now()) < e.cfg.Patience+e.cfg.GiveUp {
		return
	}
	if e.drop(ctx, j) {
		e.tellGivenUp(j.entry, last)
	}
}

func (e *Engine) tellGivenUp(en *entry, last error) {
	e.cfg.Log.Error("commitment never reported, given up", "calling", en.calling, "err", last)
	t, err := Parse(en.packed)
	if err != nil {
		panic(err) // we packed it
	}
	e.cfg.GivenUp(t, last)
}

// drop forgets a transaction durably. One that was asked for again meanwhile
// stays; so does one that could not be forgotten: it is reported once more, which
// harms nobody.
func (e *Engine) drop(ctx context.Context, j *job) bool {
	e.putting.Lock()
	defer e.putting.Unlock()
	if e.askedAgain(j) || e.isGone(j.entry) {
		return false // again has set when
	}
	if err := e.forget(ctx, j.entry); err != nil {
		e.mu.Lock()
		defer e.mu.Unlock()
		j.entry.next = time.Now().Add(e.cfg.LongestPause)
		e.cfg.Log.Error("answered commitment request not forgotten, it will be reported again", "calling", j.entry.calling, "err", err)
		return false
	}
	return true
}

// forget drops an entry from the Store, then from the book. Called with putting.
func (e *Engine) forget(ctx context.Context, en *entry) error {
	if err := e.cfg.Store.Drop(ctx, en.key); err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.book.remove(en)
	return nil
}

func (e *Engine) isGone(en *entry) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.book.gone(en)
}

func (e *Engine) askedAgain(j *job) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return j.entry.asked != j.asked
}
