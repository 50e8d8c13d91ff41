package forward

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"edged/hub/ledger"
)

// recorder keeps what became of deliveries to one destination and could not be written to
// the ledger: its disk was full, PostgreSQL away. The jobs are lent until then, and
// nobody else looks at them before their lease has run out; so each is written as soon as
// the ledger writes again.
//
// It is bounded: a worker takes so many jobs less as are kept here (room), and what is
// older than a lease goes, because its job is lent again by then.
type recorder struct {
	f    *Forwarder
	some chan struct{} // size 1: something is kept

	mu   sync.Mutex // guards kept
	kept []*unrecorded
}

// unrecorded is one outcome.
type unrecorded struct {
	job   ledger.Job
	what  string
	write func(context.Context) error
	until time.Time
}

func (f *Forwarder) recorder() *recorder { return &recorder{f: f, some: make(chan struct{}, 1)} }

// record writes to the ledger also while the program stops. What cannot be recorded is
// kept and tried again; when the program ends before, or the lease, the object is
// delivered again, which is harmless.
func (f *Forwarder) record(ctx context.Context, j ledger.Job, what string, write func(context.Context) error) {
	err := write(context.WithoutCancel(ctx))
	if err != nil && !errors.Is(err, ledger.ErrLeaseLost) {
		f.log.Error("outcome not recorded, will be tried again", "what", what, "destination", j.Destination, "object", j.Object.ID.String(), "err", err)
		f.recorders[j.Destination].keep(&unrecorded{j, what, write, time.Now().Add(f.Lease)})
	}
}

func (r *recorder) keep(u *unrecorded) {
	r.mu.Lock()
	r.kept = append(r.kept, u)
	r.mu.Unlock()
	select {
	case r.some <- struct{}{}:
	default:
	}
}

// room is how many jobs a worker may take: with outcomes that cannot be written there is
// no point in ever more of them.
func (r *recorder) room() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return max(0, batchSize-len(r.kept))
}

// run writes what is kept until ctx ends, and then once more.
func (r *recorder) run(ctx context.Context) {
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-r.some:
		}
		for n := 0; wait(ctx, r.f.Record.after(n), nil) && r.write(ctx) > 0; n++ {
		}
	}
	r.write(ctx)
}

// write tries all together and returns how many are still kept.
func (r *recorder) write(ctx context.Context) int {
	r.mu.Lock()
	list := slices.Clone(r.kept)
	r.mu.Unlock()
	var writes []func()
	for _, u := range list {
		writes = append(writes, func() { r.again(context.WithoutCancel(ctx), u) })
	}
	atOnce(writes)
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.kept)
}

// again tries one, and keeps it when that fails and its lease lasts.
func (r *recorder) again(ctx context.Context, u *unrecorded) {
	at := []any{"what", u.what, "destination", u.job.Destination, "object", u.job.Object.ID.String()}
	switch err := u.write(ctx); {
	case err == nil:
		r.f.log.Info("outcome recorded after all", at...)
	case errors.Is(err, ledger.ErrLeaseLost):
	case time.Now().Before(u.until):
		r.f.log.Debug("outcome not recorded again", append(at, "err", err)...)
		return
	default:
		r.f.log.Error("outcome given up, its job is lent again", append(at, "err", err)...)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.kept = slices.DeleteFunc(r.kept, func(k *unrecorded) bool { return k == u })
}

// atOnce writes all at once, so that they share the ledger's commits, and waits for them.
func atOnce(writes []func()) {
	var wg sync.WaitGroup
	for _, write := range writes {
		wg.Go(write)
	}
	wg.Wait()
}
