package events

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"edged/hub"
	"edged/hub/ledger"
)

// Config says who is told, of what, and when.
type Config struct {
	Ledger *ledger.Ledger
	Open   func(hub.ID) (Object, error) // the hub's copies; the error wraps fs.ErrNotExist when there is none
	Sinks  []Sink

	// Received: a study is told when the hub has all of it. If false, when all of it is
	// archived, but for what waits for a person.
	Received bool

	Poll    time.Duration // how often the rows are looked at though nothing was heard. If zero, 2 s.
	Backoff Backoff       // between attempts for one event. If zero, 2 s to 30 min.
	Reach   Backoff       // between attempts to reach a sink. If zero, 1 s to 2 min.
	Keep    time.Duration // how long events stay that every sink has. If zero, 30 days.
	Logger  *slog.Logger  // if nil, nothing is logged

	Rules ledger.EventRules // of tests: how long is waited; Sinks and Received are set here
	now   func() time.Time

	buildAge time.Duration
}

// Backoff grows from Min to Max by doubling.
type Backoff struct{ Min, Max time.Duration }

func (b Backoff) after(n int) time.Duration {
	return max(b.Min, min(b.Max, b.Min<<min(n, 20)))
}

// Sink is a receiver of events. NewFile and NewHTTP make them.
type Sink interface {
	Name() string
	Workers() int // that send at the same time, each another study
	// Send returns nil when the sink has the event durably, as far as it says; a
	// *Refused when it never takes it; an *Away when nothing reaches it now. Any other
	// error is about this event and this moment. No error has a byte of the event.
	Send(ctx context.Context, m Message) error
}

// Refused is the answer of a sink that does not take an event.
type Refused struct{ Words string }

// Error implements error.
func (r *Refused) Error() string { return r.Words }

// Away means that a sink cannot be reached.
type Away struct{ Words string }

// Error implements error.
func (a *Away) Error() string { return a.Words }

// Events makes events and tells sinks of them.
type Events struct {
	c     Config
	rules ledger.EventRules
	gates map[string]*gate
}

// New starts nothing.
func New(c Config) *Events {
	c.Poll = cmp.Or(c.Poll, 2*time.Second)
	c.buildAge = cmp.Or(c.buildAge, buildAge)
	c.Keep = cmp.Or(c.Keep, 30*24*time.Hour)
	c.Backoff = cmp.Or(c.Backoff, Backoff{2 * time.Second, 30 * time.Minute})
	c.Reach = cmp.Or(c.Reach, Backoff{time.Second, 2 * time.Minute})
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.now == nil {
		c.now = time.Now
	}
	e := &Events{c: c, rules: c.Rules, gates: map[string]*gate{}}
	e.rules.Received = c.Received
	for _, s := range c.Sinks {
		e.rules.Sinks = append(e.rules.Sinks, s.Name())
		e.gates[s.Name()] = &gate{backoff: c.Reach}
	}
	return e
}

// SinkNames are those that the ledger knows the sinks by.
func (e *Events) SinkNames() []string { return e.rules.Sinks }

// Run makes events and sends them until ctx ends. Events are made also when there is
// no sink, so that one that comes later is told of what comes then.
func (e *Events) Run(ctx context.Context) error {
	if err := e.c.Ledger.StartDeliveries(ctx); err != nil {
		return err
	}
	parts := []func(){func() { e.make(ctx) }}
	for _, s := range e.c.Sinks {
		for range s.Workers() {
			parts = append(parts, func() { e.work(ctx, s) })
		}
	}
	var wg sync.WaitGroup
	for _, part := range parts {
		wg.Go(part)
	}
	wg.Wait()
	return nil
}

// pruneEvery is how often old events are deleted.
const (
	pruneEvery = time.Hour
	prunePage  = 20 // with all that headers said of as many studies, so that receipts do not wait for long
	dropPage   = 500
)

// make has the ledger make what is due.
func (e *Events) make(ctx context.Context) {
	pruned := time.Time{}
	for ctx.Err() == nil {
		changed := e.c.Ledger.StudiesChanged()
		more, err := e.c.Ledger.MakeEvents(ctx, e.rules)
		if err == nil && time.Since(pruned) > pruneEvery {
			pruned = time.Now()
			err = e.prune(ctx)
		}
		if err == nil && !more {
			err = e.build(ctx)
		}
		if err != nil && ctx.Err() == nil {
			e.c.Logger.Error("study events are not made", "err", err)
		}
		if err != nil || !more {
			wait(ctx, e.c.Poll, changed, err == nil)
		}
	}
}

// prune takes away what nobody is to be told any more, because it names persons.
func (e *Events) prune(ctx context.Context) error {
	var total int64
	for n := int64(dropPage); n == dropPage; total += n {
		var err error
		if n, err = e.c.Ledger.DropSinks(ctx, e.rules.Sinks, dropPage); err != nil {
			return err
		}
	}
	if total > 0 {
		e.c.Logger.Warn("events were waiting for sinks that are configured no more, and are dropped", "events", total)
	}
	if _, err := e.c.Ledger.PruneStudies(ctx, dropPage); err != nil {
		return err
	}
	for n := int64(prunePage); n == prunePage; {
		var err error
		if n, err = e.c.Ledger.PruneEvents(ctx, e.c.Keep, prunePage); err != nil {
			return err
		}
	}
	return nil
}

// buildAge is how long an event waits for the worker of a sink to put it together.
// buildPage bounds what is done before the maker looks at studies again.
const (
	buildAge  = 5 * time.Second
	buildPage = 20
)

// build puts together what waits for sinks that are away, while the hub has its copies.
func (e *Events) build(ctx context.Context) error {
	list, err := e.c.Ledger.UnbuiltEvents(ctx, e.c.buildAge, buildPage)
	for _, ev := range list {
		if err == nil {
			_, err = e.body(ctx, ev)
		}
		if errors.Is(err, errTold) {
			err = nil
		}
	}
	return err
}

// wait ends after d, or, if heed is true, when there is news.
func wait(ctx context.Context, d time.Duration, news <-chan struct{}, heed bool) {
	if !heed {
		news = nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-news:
	case <-t.C:
	}
}

// leaseFor is how long one delivery may take; a sink's own time limit is shorter.
const leaseFor = 15 * time.Minute

// work delivers one event after the other.
func (e *Events) work(ctx context.Context, s Sink) {
	for ctx.Err() == nil {
		if pause := e.gates[s.Name()].pause(e.c.now()); pause > 0 {
			wait(ctx, pause, nil, false)
			continue
		}
		changed := e.c.Ledger.StudiesChanged()
		d, err := e.c.Ledger.LeaseDelivery(ctx, s.Name(), leaseFor)
		if err != nil && ctx.Err() == nil {
			e.c.Logger.Error("no study event can be taken up", "sink", s.Name(), "err", err)
		}
		if d == nil {
			wait(ctx, e.c.Poll, changed, err == nil)
			continue
		}
		e.deliver(ctx, s, *d)
	}
}

// deliver tries one, and records what came of it also while the program stops: what is
// not recorded is told again, which is harmless.
func (e *Events) deliver(ctx context.Context, s Sink, d ledger.Delivery) {
	body, err := e.body(ctx, d.Event)
	switch {
	case errors.Is(err, errTold): // there is nothing to send
	case err == nil:
		ctx, cancel := context.WithTimeout(ctx, leaseFor/2)
		err = s.Send(ctx, Message{Event: d.Event, Packed: body})
		cancel()
	case ctx.Err() == nil:
		e.c.Logger.Error("a study event cannot be put together", "event", d.Event.Seq, "err", err)
		err = errBody
	}
	e.record(ctx, d, err)
}

var (
	errBody = errors.New("the hub cannot put it together now")
	errTold = errors.New("its body is gone: every sink has it")
)

// record writes down what came of one attempt. It is a fact, so it is tried until that
// succeeds: while the ledger takes none the worker has nothing else to do, and a disk that
// was full for a moment must not cost the study the rest of the lease.
func (e *Events) record(ctx context.Context, d ledger.Delivery, sent error) {
	write := e.outcome(ctx, d, sent)
	for n, began := 0, time.Now(); ; n++ {
		err := write(context.WithoutCancel(ctx))
		if err == nil || errors.Is(err, ledger.ErrLeaseLost) {
			return
		}
		e.c.Logger.Error("outcome of a study event not recorded", "sink", d.Sink, "event", d.Event.Seq, "revision", d.Event.Revision, "err", err)
		if ctx.Err() != nil || time.Since(began) > leaseFor/2 {
			return // told again when the lease has run out, which is harmless
		}
		wait(ctx, min(e.c.Reach.after(n), longestUnrecorded), nil, false)
	}
}

// longestUnrecorded is the longest pause before an outcome is written again.
const longestUnrecorded = 30 * time.Second

// outcome says what one attempt means, and returns who writes it down.
func (e *Events) outcome(ctx context.Context, d ledger.Delivery, sent error) func(context.Context) error {
	var refused *Refused
	var away *Away
	g := e.gates[d.Sink]
	at := []any{"sink", d.Sink, "event", d.Event.Seq, "revision", d.Event.Revision, "objects", d.Event.Objects, "attempt", d.Attempts + 1}
	later := func(after time.Duration, tried bool, words string) func(context.Context) error {
		return func(ctx context.Context) error { return e.c.Ledger.DeliverLater(ctx, d, after, tried, words) }
	}
	switch {
	case sent == nil:
		g.reached()
		e.c.Logger.Info("study event delivered", at...)
		return func(ctx context.Context) error { return e.c.Ledger.Delivered(ctx, d) }
	case ctx.Err() != nil:
		return later(0, false, "")
	case errors.Is(sent, errTold): // by another node: the lease is lost
		return later(e.c.Backoff.after(d.Attempts), true, sent.Error())
	case errors.As(sent, &refused):
		g.reached()
		e.c.Logger.Error("a sink refuses a study event", append(at, "words", sent.Error())...)
		return func(ctx context.Context) error { return e.c.Ledger.DeliverFailed(ctx, d, sent.Error()) }
	case errors.As(sent, &away):
		pause := g.failed(e.c.now())
		e.c.Logger.Warn("sink not reached", append(at, "words", sent.Error(), "again_in", pause)...)
		return later(pause, false, sent.Error())
	default:
		after := e.c.Backoff.after(d.Attempts)
		e.c.Logger.Warn("study event not delivered", append(at, "words", sent.Error(), "again_in", after)...)
		return later(after, true, sent.Error())
	}
}

// body is the packed event: the one that was kept, or one that is made now. It is never
// empty: what another node has delivered meanwhile is errTold.
func (e *Events) body(ctx context.Context, ev ledger.Event) ([]byte, error) {
	body, err := e.c.Ledger.EventBody(ctx, ev)
	if err != nil || len(body) > 0 {
		return body, err
	}
	if err := e.describeAll(ctx, ev); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := e.write(ctx, ev, &b); err != nil {
		return nil, err
	}
	body, err = e.c.Ledger.KeepEventBody(ctx, ev, b.Bytes())
	if err == nil && len(body) == 0 {
		err = errTold
	}
	return body, err
}

// gate keeps a sink that is away from being tried for each event.
type gate struct {
	backoff Backoff

	mu    sync.Mutex // guards what follows
	fails int
	until time.Time
}

func (g *gate) pause(now time.Time) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.until.Sub(now)
}

// failed counts workers that failed at the same time as one.
func (g *gate) failed(now time.Time) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !now.Before(g.until) {
		g.until = now.Add(g.backoff.after(g.fails))
		g.fails++
	}
	return g.until.Sub(now)
}

func (g *gate) reached() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.fails, g.until = 0, time.Time{}
}
