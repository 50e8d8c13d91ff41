package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"edged/hub"
)

// maxBatch bounds the changes of one transaction.
const maxBatch = 512

// maxObjects bounds what they receive together, and what else weighs like an object, so
// that nobody waits long.
const maxObjects = 4096

// change is one caller's wish, and what came of it: to do something, or one of the two
// that are frequent and are done together for all who want the same.
type change struct {
	do      func(*batch) error
	objects []hub.Object // to receive
	settled *settlement  // a job that was delivered
	weight  int          // how many objects do is like
	long    bool         // may walk over many rows
	endless bool         // may take as long as it takes: nobody else uses the rows
	anyhow  bool         // is right whatever destinations another node was started with

	refused error // the transaction went well, but not for this one
	err     error
	done    chan struct{} // closed when err is final
}

// batch is the transaction that several changes share.
type batch struct {
	*Ledger
	ctx      context.Context // ends when the transaction has taken too long
	now      int64
	counts   map[string]int64    // additions to the counters
	awake    map[string]struct{} // devices whose outbox has grown
	jobsGrew bool
	anyhow   bool // of all changes

	facilities map[string]string // by device, as far as they were needed
}

// change runs do in a transaction that it shares with whoever waits at the same
// time, and returns when that is durable. do may run several times and must depend on
// the batch alone. There is no goroutine for it: of the callers, who finds the
// door free commits for all that have queued.
func (l *Ledger) change(ctx context.Context, do func(*batch) error) error {
	return l.submit(ctx, &change{do: do})
}

// submit waits until the change is durable or has failed. While it has not begun, the
// end of ctx takes it back.
func (l *Ledger) submit(ctx context.Context, c *change) error {
	if err := errors.Join(ctx.Err(), l.Err()); err != nil {
		return err
	}
	c.done = make(chan struct{})
	l.mu.Lock()
	l.next = append(l.next, c)
	l.mu.Unlock()
	end := ctx.Done()
	for {
		select {
		case <-c.done:
			return c.err
		case <-end:
			if l.takeBack(c) {
				return ctx.Err()
			}
			end = nil // it has begun, and will end
		case l.door <- struct{}{}:
			l.commitQueued()
			<-l.door
		}
	}
}

// takeBack reports whether the change was still waiting.
func (l *Ledger) takeBack(c *change) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := slices.Index(l.next, c)
	if i >= 0 {
		l.next = slices.Delete(slices.Clone(l.next), i, i+1) // what was taken before shares the array
	}
	return i >= 0
}

// commitQueued is called by who holds the door.
func (l *Ledger) commitQueued() {
	l.mu.Lock()
	n, weight := 0, 0
	for n < min(len(l.next), maxBatch) && (n == 0 || weight+l.next[n].weighs() <= maxObjects) {
		weight += l.next[n].weighs()
		n++
	}
	changes := l.next[:n:n]
	l.next = l.next[n:]
	l.mu.Unlock()
	if n == 0 {
		return
	}
	l.commitAll(changes)
	for _, c := range changes {
		close(c.done)
	}
}

func (c *change) weighs() int { return len(c.objects) + c.weight }

// errSlow is of a transaction that took longer than one may. The database is there: one
// of the changes is slow.
var errSlow = errors.New("the transaction has taken too long")

// commitAll tries them together, and when one fails each alone, so that it fails
// nobody else.
func (l *Ledger) commitAll(changes []*change) {
	err := l.together(changes)
	switch {
	case err == nil, len(changes) == 1, l.engine.passes(err), errors.Is(err, errUnknown):
	case errors.Is(err, errSlow):
		l.quickFirst(changes)
	default:
		l.eachAlone(changes, err)
	}
}

func (l *Ledger) together(changes []*change) error {
	err := l.commit(changes)
	for _, c := range changes {
		if c.err = err; err == nil {
			c.err = c.refused
		}
	}
	return err
}

// quickFirst does once more what is never slow, then the others, each alone.
func (l *Ledger) quickFirst(changes []*change) {
	var quick, others []*change
	for _, c := range changes {
		if c.do == nil {
			quick = append(quick, c)
		} else {
			others = append(others, c)
		}
	}
	if len(others) == 0 { // then something is
		quick, others = nil, quick
	}
	if len(quick) > 0 {
		l.commitAll(quick)
	}
	l.eachAlone(others, errSlow)
}

// eachAlone tries what has failed together. When the database goes away meanwhile the
// others need not find that out, too.
func (l *Ledger) eachAlone(changes []*change, why error) {
	for i, c := range changes {
		if errors.Is(why, ErrDestinations) && !c.anyhow {
			continue
		}
		if err := l.together(changes[i : i+1]); err != nil && l.engine.passes(err) && l.engine.away() {
			for _, other := range changes[i+1:] {
				other.err = err
			}
			return
		}
	}
}

// commit runs the changes in one transaction. On return without error they are
// durable; that is the commit point.
func (l *Ledger) commit(changes []*change) error {
	began := time.Now()
	for n := 1; ; n++ {
		err := l.try(changes)
		if err == nil {
			l.commits.note(len(changes), time.Since(began))
			return nil
		}
		if !l.engine.passes(err) {
			return err
		}
		pause, ok := l.engine.pause(err, n, began)
		if !ok {
			return err
		}
		time.Sleep(pause)
	}
}

// try is one transaction. What failed is rolled back, so it can be tried again.
func (l *Ledger) try(changes []*change) error {
	if err := l.Err(); err != nil {
		return err
	}
	ctx, cancel := l.limit(changes)
	defer cancel()
	b := &batch{Ledger: l, ctx: ctx, counts: map[string]int64{}, awake: map[string]struct{}{}, facilities: map[string]string{}}
	b.anyhow = !slices.ContainsFunc(changes, func(c *change) bool { return !c.anyhow })
	err := l.engine.begin(b)
	if err == nil {
		if err = b.run(changes); err != nil && ctx.Err() != nil {
			err = fmt.Errorf("%w: %w", errSlow, err)
		}
	}
	if err == nil {
		err = l.engine.commit(b)
	}
	if err != nil {
		l.engine.rollback(b)
		return l.engine.judge(err)
	}
	b.wake()
	return nil
}

func (l *Ledger) limit(changes []*change) (context.Context, context.CancelFunc) {
	if slices.ContainsFunc(changes, func(c *change) bool { return c.endless }) {
		return context.WithCancel(context.Background())
	}
	return l.engine.limit(slices.ContainsFunc(changes, func(c *change) bool { return c.long }))
}

// run does neighbours that want the same together.
func (b *batch) run(changes []*change) (err error) {
	for len(changes) > 0 && err == nil {
		n := 1
		switch {
		case changes[0].objects != nil:
			n = leading(changes, func(c *change) bool { return c.objects != nil })
			err = b.receiveAll(changes[:n])
		case changes[0].settled != nil:
			n = leading(changes, func(c *change) bool { return c.settled != nil })
			err = b.settleAll(changes[:n])
		default:
			err = changes[0].do(b)
		}
		changes = changes[n:]
	}
	return err
}

func leading(changes []*change, same func(*change) bool) int {
	n := slices.IndexFunc(changes, func(c *change) bool { return !same(c) })
	if n < 0 {
		return len(changes)
	}
	return n
}

// exec runs a statement that is prepared once for the life of the ledger.
func (b *batch) exec(query string, args ...any) (int64, error) {
	r, err := b.result(query, args...)
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}

// insert inserts at most one row of a table whose numbers are in seq, and returns its number.
func (b *batch) insert(query string, args ...any) (seq int64, fresh bool, err error) {
	seqs, err := b.engine.insert(b, query, args)
	if err != nil || len(seqs) == 0 {
		return 0, false, err
	}
	return seqs[0], true, nil
}

func (b *batch) result(query string, args ...any) (sql.Result, error) {
	s, err := b.stmt(query)
	if err != nil {
		return nil, err
	}
	return s.ExecContext(b.ctx, args...)
}

func (b *batch) row(query string, args ...any) *row {
	s, err := b.stmt(query)
	if err != nil {
		return &row{err: err}
	}
	return &row{Row: s.QueryRowContext(b.ctx, args...)}
}

// row is a sql.Row that can carry the error of preparing.
type row struct {
	*sql.Row
	err error
}

func (r *row) Scan(dest ...any) error {
	if r.err != nil {
		return r.err
	}
	return r.Row.Scan(dest...)
}

// stmt is a statement that is prepared once for the life of the connection.
func (b *batch) stmt(query string) (*statement, error) {
	s, ok := b.stmts[query]
	if !ok {
		var err error
		if s, err = b.conn.PrepareContext(b.ctx, query); err != nil {
			return nil, err
		}
		b.stmts[query] = s
	}
	return &statement{s, b.ctx}, nil
}

// statement is a sql.Stmt that ends with its transaction's time.
type statement struct {
	*sql.Stmt
	ctx context.Context
}

func (s *statement) Query(args ...any) (*sql.Rows, error) { return s.QueryContext(s.ctx, args...) }

// count writes the additions to the counters, once a transaction.
func (b *batch) count() error {
	for name, n := range b.counts {
		if _, err := b.exec(`UPDATE counters SET n = n + ? WHERE name = ?`, n, name); err != nil {
			return err
		}
	}
	return nil
}
