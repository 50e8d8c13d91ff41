package commitment

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"edged/dimse"
)

// Engine is a dimse.CommitmentSCP.
type Engine struct {
	cfg  Config
	wake chan struct{} // holds one: who pokes never waits

	putting sync.Mutex // one durable change at a time, with what it means for the book

	mu   sync.Mutex // guards the book
	book *book      // nil before Run has read the Store
}

var _ dimse.CommitmentSCP = (*Engine)(nil)

// New makes an engine. It starts nothing.
func New(cfg Config) (*Engine, error) {
	if cfg.Store == nil || cfg.Judge == nil {
		return nil, errors.New("commitment: Store and Judge are required")
	}
	cfg.setDefaults()
	return &Engine{cfg: cfg, wake: make(chan struct{}, 1)}, nil
}

// RequestCommitment takes a request (PS3.4 §J.3.2): durable first, then Success.
func (e *Engine) RequestCommitment(ctx context.Context, a *dimse.Association, rq dimse.CommitmentRequest) dimse.Answer {
	peer := a.Peer()
	t := Transaction{Calling: peer.Calling, Called: peer.Called, UID: rq.TransactionUID, References: distinct(rq.References)}
	e.putting.Lock()
	defer e.putting.Unlock()
	known, answer := e.known(&t, a)
	if known {
		e.poke()
		return answer
	}
	if why := e.makeRoom(ctx, &t); why != "" {
		return dimse.Answer{Status: dimse.StatusResourceLimitation, Comment: why}
	}
	if err := e.cfg.Store.Put(ctx, t); err != nil {
		e.cfg.Log.Error("commitment request not kept", "calling", t.Calling, "references", len(t.References), "err", err)
		if errors.Is(err, ErrFull) {
			return dimse.Answer{Status: dimse.StatusResourceLimitation}
		}
		return dimse.Answer{Status: dimse.StatusProcessingFailure}
	}
	now := time.Now()
	e.mu.Lock()
	e.book.add(&t, now, now.Add(e.cfg.Linger), a)
	e.mu.Unlock()
	e.poke()
	return dimse.Answer{Status: dimse.StatusSuccess}
}

// known answers what needs no new transaction: a repetition.
func (e *Engine) known(t *Transaction, a *dimse.Association) (bool, dimse.Answer) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.book == nil {
		return true, dimse.Answer{Status: dimse.StatusResourceLimitation, Comment: "starting"}
	}
	if old := e.book.entries[t.Key()]; old != nil {
		if kept, err := Parse(old.packed); err != nil || !equal(kept.References, t.References) {
			return true, dimse.Answer{Status: dimse.StatusDuplicateTransaction}
		}
		e.book.again(old, time.Now().Add(e.cfg.Linger), a)
		return true, dimse.Answer{Status: dimse.StatusSuccess}
	}
	return false, dimse.Answer{}
}

// Changed says that verdicts may have changed: what waits is judged again soon.
func (e *Engine) Changed() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.book != nil {
		e.book.hurry(time.Now())
	}
	e.poke()
}

// Lines says what is pending, by device.
func (e *Engine) Lines() []Line {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.book == nil {
		return nil
	}
	return e.book.lines(time.Now())
}

func (e *Engine) poke() {
	select {
	case e.wake <- struct{}{}:
	default: // it has been told already
	}
}

// Run reads the Store, then judges and reports until ctx ends, and returns when
// all it started has ended.
func (e *Engine) Run(ctx context.Context) error {
	if err := e.load(ctx); err != nil {
		return fmt.Errorf("read commitment transactions: %w", err)
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-e.wake:
		}
		lanes, wait := e.due(time.Now())
		for _, l := range lanes {
			wg.Go(func() { e.serve(ctx, l) })
		}
		timer.Reset(wait)
	}
	return nil
}

func (e *Engine) load(ctx context.Context) error {
	all, err := e.cfg.Store.All(ctx)
	if err != nil {
		return err
	}
	now := time.Now()
	e.mu.Lock()
	defer e.mu.Unlock()
	e.book = newBook()
	for _, t := range all {
		e.book.add(&t, now, now, nil)
	}
	return nil
}

// due picks devices that have something to do, and says how long there is
// nothing else.
func (e *Engine) due(now time.Time) ([]*lane, time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.book.due(now, e.cfg.Parallel)
}

// serve does what is due for one device. One goroutine a line at a time. The slot
// is given back before the device's own associations are waited for; what has to
// go over a new one then waits for the next slot.
func (e *Engine) serve(ctx context.Context, l *lane) {
	defer e.rest(l)
	if calls := e.takeCalls(l); len(calls) > 0 {
		e.call(ctx, l, calls)
		return
	}
	same, calls := e.looks(ctx, l)
	if len(same) > 0 {
		e.leave(l)
		e.keepCalls(l, append(calls, e.tellSame(ctx, l, same)...))
		return
	}
	if len(calls) > 0 {
		e.call(ctx, l, calls)
	}
}

// looks judges what is due, and says what goes over which kind of association.
func (e *Engine) looks(ctx context.Context, l *lane) (same, calls []*job) {
	for _, en := range e.batch(l) {
		if ctx.Err() != nil {
			return nil, nil
		}
		switch j := e.look(ctx, en); {
		case j == nil:
		case e.onSame(l, j):
			same = append(same, j)
		default:
			calls = append(calls, j)
		}
	}
	return same, calls
}

func (e *Engine) takeCalls(l *lane) []*job {
	e.mu.Lock()
	defer e.mu.Unlock()
	calls := slices.DeleteFunc(l.calls, func(j *job) bool { return e.book.gone(j.entry) })
	l.calls = nil
	return calls
}

func (e *Engine) keepCalls(l *lane, calls []*job) {
	e.mu.Lock()
	defer e.mu.Unlock()
	l.calls = calls
}

func (e *Engine) leave(l *lane) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.book.leave(l)
	e.poke()
}

func (e *Engine) batch(l *lane) []*entry {
	e.mu.Lock()
	defer e.mu.Unlock()
	return l.batch(time.Now())
}

func (e *Engine) rest(l *lane) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.book.rest(l)
	e.poke()
}

// job is a result to be reported.
type job struct {
	entry  *entry
	asked  int // how often it had been requested when it was judged
	same   *dimse.Association
	result dimse.CommitmentResult
}

// look judges a transaction; nil when it has to wait.
func (e *Engine) look(ctx context.Context, en *entry) *job {
	t, err := Parse(en.packed)
	if err != nil {
		panic(err) // we packed it
	}
	e.mu.Lock()
	j := &job{entry: en, asked: en.asked, same: en.same}
	e.mu.Unlock()
	verdicts := e.cfg.Judge(ctx, t.Calling, t.Called, t.References)
	now := time.Now()
	age := en.age(now)
	e.saveAge(ctx, en, t, age)
	result, decided := decide(&t, verdicts, age, e.cfg.Grace, e.cfg.Patience)
	e.mu.Lock()
	defer e.mu.Unlock()
	if !decided {
		en.undecided(now)
		return nil
	}
	en.looks = 0 // from here on its pauses are the device's, and nothing hurries them
	j.result = result
	return j
}

// saveEach is how often the age of a transaction is made durable: a restart takes
// back at most so much of its patience.
const saveEach = 6 * time.Hour

func (e *Engine) saveAge(ctx context.Context, en *entry, t Transaction, age time.Duration) {
	if age-en.saved < saveEach {
		return
	}
	e.putting.Lock()
	defer e.putting.Unlock()
	if e.isGone(en) {
		return
	}
	t.Spent = age
	if err := e.cfg.Store.Put(ctx, t); err != nil {
		e.cfg.Log.Warn("age of a commitment request not kept, it will wait longer", "calling", t.Calling, "err", err)
	}
	en.saved = age
}
