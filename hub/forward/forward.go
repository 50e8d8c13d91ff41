package forward

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"time"

	"edged/hub"
	"edged/hub/ledger"
)

// Jobs is the queue. hub/ledger implements it.
type Jobs interface {
	Lease(ctx context.Context, destination string, n int, ttl time.Duration) ([]ledger.Job, error)
	Done(ctx context.Context, j ledger.Job, words string) error
	Later(ctx context.Context, j ledger.Job, after time.Duration, tried bool, words string) error
	Refuse(ctx context.Context, j ledger.Job, words string) error
	Lost(ctx context.Context, j ledger.Job, words string) error
	Unconfirmed(ctx context.Context, j ledger.Job, words string) error
	JobsChanged() <-chan struct{}
	Commitments
}

// Object is the whole object as a Part 10 file. hub/objects implements it.
type Object interface {
	io.ReaderAt
	io.Closer
	Size() int64        // of the file
	DataOffset() int64  // where the data set begins
	DataSet() io.Reader // ends with an error in place of io.EOF if the digest does not hold
}

// Config says what is forwarded where.
type Config struct {
	Jobs         Jobs
	Open         func(hub.ID) (Object, error)
	Destinations []Destination
	Logger       *slog.Logger // if nil, nothing is logged

	Poll    time.Duration // how often the queue is looked at though nothing was heard. If zero, 5 s.
	Lease   time.Duration // how long a job may take. If zero, 1 h.
	Object  Backoff       // between attempts for one object. If zero, 5 s to 30 min.
	Connect Backoff       // between attempts to reach a destination. If zero, 1 s to 2 min.
	Record  Backoff       // between attempts to write down what became of a delivery: for so long nothing is taken when the ledger is back. If zero, 1 s to 5 s.
	Commit  Backoff       // how long a report of storage commitment may take before it is asked for again. If zero, 10 min to 6 h.
	// Listening: a dimse.Server takes reports for the Forwarder, on associations
	// that archives open.
	Listening bool
}

// Destination is one archive. Dir and CStore make them.
type Destination interface {
	Name() string
	Workers() int
	open(*Forwarder) session // for one worker
}

// session is one worker's dealings with a destination. One goroutine uses it.
type session interface {
	// deliver tries the jobs in order and reports each. An error means that the
	// destination cannot be reached; jobs that were not reported are untouched.
	deliver(ctx context.Context, jobs []ledger.Job, report func(ledger.Job, outcome)) error
	// idle is called when there is no work, often.
	idle()
	close()
}

// outcome is what became of one delivery. The words are for the ledger, the
// administrator and the appliance: an archive may name a patient in them. Why is
// for the log: a status or a few words of ours, no UID (P10).
type outcome struct {
	verdict    verdict
	why        string
	words      string
	ours       bool // it is the hub's fault, the destination has nothing to do with it
	unanswered bool // all was sent and no answer came: the destination may have it
	duplicate  bool // done, because the destination has the UID from an earlier time
	ambiguous  bool // done as far as the UID says, which has other contents too (P5)
	has        bool // permanent, because the destination has something under the UID
	doubted    bool // it was refused for good by an archive that is not believed, see trust
	aside      bool // doubted without being sent
}

type verdict int

const (
	transient verdict = iota
	done
	permanent
	lost // the hub's own copy is missing or damaged
)

// Forwarder hands objects to the destinations.
type Forwarder struct {
	Config
	log        *slog.Logger
	gates      map[string]*gate
	recorders  map[string]*recorder
	committers map[string]*committer // of destinations that confirm by commitment
}

// New returns a forwarder. It starts nothing.
func New(c Config) *Forwarder {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Poll == 0 {
		c.Poll = 5 * time.Second
	}
	if c.Lease == 0 {
		c.Lease = time.Hour
	}
	c.Object = c.Object.or(5*time.Second, 30*time.Minute)
	c.Connect = c.Connect.or(time.Second, 2*time.Minute)
	c.Record = c.Record.or(time.Second, 5*time.Second)
	c.Commit = c.Commit.or(10*time.Minute, 6*time.Hour)
	f := &Forwarder{Config: c, log: c.Logger, gates: map[string]*gate{}, recorders: map[string]*recorder{}, committers: map[string]*committer{}}
	for _, d := range c.Destinations {
		f.gates[d.Name()] = &gate{backoff: c.Connect}
		f.recorders[d.Name()] = f.recorder()
		if store, ok := d.(*CStore); ok && store.c.Commitment {
			f.committers[d.Name()] = f.committer(store)
		}
	}
	return f
}

// Run forwards until ctx ends; then all workers have ended, and what they had
// leased is given back.
func (f *Forwarder) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	for _, d := range f.Destinations {
		for _, part := range f.parts(d) {
			wg.Go(func() { part(ctx) })
		}
	}
	wg.Wait()
	return nil
}

// parts are a destination's workers, who writes what they could not write, and who asks
// it for commitment.
func (f *Forwarder) parts(d Destination) (parts []func(context.Context)) {
	parts = append(parts, f.recorders[d.Name()].run)
	for range d.Workers() {
		parts = append(parts, func(ctx context.Context) { f.work(ctx, d) })
	}
	if c := f.committers[d.Name()]; c != nil {
		parts = append(parts, c.run)
	}
	return parts
}

// Status is how a destination does.
type Status struct {
	Name  string
	Error string    // why it cannot be reached, or refuses everything, "" when it takes objects as far as is known
	Since time.Time // of Error
	Last  string    // why the object that was sent back last must wait, for the life of the process; names nobody (P10)
	// Commitment is why storage commitment cannot be asked for, or that the archive
	// commits itself to nothing; "" when all is well as far as is known. What waits for it is not archived.
	Commitment string
}

// Status returns one for each destination, in the order of Config.
func (f *Forwarder) Status() []Status {
	var out []Status
	for _, d := range f.Destinations {
		s := f.gates[d.Name()].status(d.Name())
		if t, ok := d.(trusting); ok && s.Error == "" {
			s.Error, s.Since = t.trusted().status()
		}
		if c := f.committers[d.Name()]; c != nil {
			if s.Commitment = c.gate.status(s.Name).Error; s.Commitment == "" {
				s.Commitment = c.believed.status()
			}
		}
		out = append(out, s)
	}
	return out
}

// batchSize is how many jobs a worker holds. An urgent object waits for at most
// so many others.
const batchSize = 16

// work is one worker.
func (f *Forwarder) work(ctx context.Context, d Destination) {
	g, r, s := f.gates[d.Name()], f.recorders[d.Name()], d.open(f)
	defer s.close()
	for ctx.Err() == nil {
		if !wait(ctx, g.pause(), nil) {
			return
		}
		changed := f.Jobs.JobsChanged() // before looking, so that nothing is missed
		jobs := f.lease(ctx, d.Name(), r.room())
		if len(jobs) == 0 {
			s.idle()
			wait(ctx, f.Poll, changed)
			continue
		}
		f.attempt(ctx, d.Name(), s, jobs)
	}
}

// lease takes at most n jobs.
func (f *Forwarder) lease(ctx context.Context, name string, n int) []ledger.Job {
	if n == 0 {
		return nil
	}
	jobs, err := f.Jobs.Lease(ctx, name, n, f.Lease)
	if err != nil && ctx.Err() == nil {
		f.log.Error("jobs cannot be leased", "destination", name, "err", err)
	}
	return jobs
}

// attempt delivers a batch and settles each of its jobs one way or another.
func (f *Forwarder) attempt(ctx context.Context, name string, s session, jobs []ledger.Job) {
	limited, cancel := context.WithTimeout(ctx, f.Lease-f.Lease/10)
	defer cancel()
	t := &tally{f: f, at: time.Now(), reported: map[int64]bool{}}
	err := s.deliver(limited, jobs, func(j ledger.Job, o outcome) { t.add(ctx, j, o) })
	t.settle()
	g := f.gates[name]
	switch {
	case err == nil:
		g.succeeded()
	case ctx.Err() == nil:
		f.unreachable(name, err)
	}
	slow := ctx.Err() == nil && limited.Err() != nil
	for _, j := range jobs {
		switch {
		case t.reported[j.Seq]:
		case slow: // this one had its turn: the others come before it the next time (P6)
			slow = false
			f.settle(ctx, j, outcome{verdict: transient, why: errSlow.Error(), words: errSlow.Error()})
		default:
			f.record(ctx, j, "give back", func(ctx context.Context) error { return f.Jobs.Later(ctx, j, 0, false, "") })
		}
	}
}

// errSlow is of what was not delivered in the time for which its job was lent.
var errSlow = errors.New("it was not delivered within a lease: the destination takes its bytes too slowly, or does not answer")

// unreachable holds all workers of a destination back.
func (f *Forwarder) unreachable(name string, err error) {
	after := f.gates[name].failed(err)
	f.log.Warn("destination cannot be reached", "destination", name, "err", err, "again_in", after.Round(time.Millisecond))
}

// tally keeps the outcomes of a batch, to record them together: at the end, or
// when a second has passed since the last time. A crash before that costs
// deliveries that are made again, which is harmless.
type tally struct {
	f        *Forwarder
	at       time.Time
	waiting  []func()
	reported map[int64]bool
}

func (t *tally) add(ctx context.Context, j ledger.Job, o outcome) {
	t.reported[j.Seq] = true
	t.waiting = append(t.waiting, func() { t.f.settle(ctx, j, o) })
	if time.Since(t.at) > time.Second {
		t.settle()
	}
}

// settle writes them down; at most batchSize goroutines for as long as that takes.
func (t *tally) settle() {
	atOnce(t.waiting)
	t.waiting, t.at = nil, time.Now()
}

// asideAttempts is as what an object waits that was put aside: some minutes at least,
// because there may be very many.
const asideAttempts = 6

// settle records an outcome.
func (f *Forwarder) settle(ctx context.Context, j ledger.Job, o outcome) {
	at := []any{"destination", j.Destination, "object", j.Object.ID.String(), "why", o.why}
	switch o.verdict {
	case done:
		f.log.Debug("forwarded", at...)
		j.Duplicate = o.duplicate
		f.record(ctx, j, "done", func(ctx context.Context) error { return f.taken(j.Destination, o)(ctx, j, o.words) })
	case permanent:
		f.log.Error("refused for good, quarantined at the hub", at...)
		f.record(ctx, j, "refuse", func(ctx context.Context) error { return f.Jobs.Refuse(ctx, j, o.words) })
	case lost:
		f.log.Error("the hub's copy is missing or damaged, asking for it again", at...)
		f.record(ctx, j, "lose", func(ctx context.Context) error { return f.Jobs.Lost(ctx, j, o.words) })
	default:
		after, level := f.Object.after(j.Attempts), slog.LevelWarn
		if o.aside {
			after, level = f.Object.after(max(j.Attempts, asideAttempts)), slog.LevelDebug
		}
		f.gates[j.Destination].sentBack(o.why)
		j.Unanswered = j.Unanswered || o.unanswered
		f.log.Log(ctx, level, "not forwarded, will be tried again", append(at, "again_in", after.Round(time.Millisecond))...)
		f.record(ctx, j, "later", func(ctx context.Context) error { return f.Jobs.Later(ctx, j, after, true, o.words) })
	}
}

// taken is what the destination's Success means: it has the object, or the report
// that it commits itself to it is still to come, or a person must look.
func (f *Forwarder) taken(destination string, o outcome) func(context.Context, ledger.Job, string) error {
	if o.ambiguous {
		return f.Jobs.Unconfirmed
	}
	if f.committers[destination] != nil {
		return f.Jobs.Stored
	}
	return f.Jobs.Done
}
