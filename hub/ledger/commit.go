package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// maxBatch bounds the changes of one transaction.
const maxBatch = 512

// change is one caller's wish, and what came of it.
type change struct {
	do   func(*batch) error
	err  error
	done chan struct{} // closed when err is final
}

// batch is the transaction that several changes share.
type batch struct {
	*Ledger
	now      int64
	counts   map[string]int64    // additions to the counters
	awake    map[string]struct{} // devices whose outbox has grown
	jobsGrew bool

	facilities map[string]string // by device, as far as they were needed
}

// change runs do in a transaction that it shares with whoever waits at the same
// time, and returns when that is durable. do may run several times and must depend on
// the batch alone. There is no goroutine for it: of the callers, who finds the
// door free commits for all that have queued.
func (l *Ledger) change(ctx context.Context, do func(*batch) error) error {
	if err := errors.Join(ctx.Err(), l.Err()); err != nil {
		return err
	}
	c := &change{do: do, done: make(chan struct{})}
	l.mu.Lock()
	l.next = append(l.next, c)
	l.mu.Unlock()
	for {
		select {
		case <-c.done:
			return c.err
		case l.door <- struct{}{}:
			l.commitQueued()
			<-l.door
		}
	}
}

// commitQueued is called by who holds the door.
func (l *Ledger) commitQueued() {
	l.mu.Lock()
	n := min(len(l.next), maxBatch)
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

// commitAll tries them together, and when one fails each alone, so that it fails
// nobody else.
func (l *Ledger) commitAll(changes []*change) {
	err := l.commit(changes)
	for _, c := range changes {
		c.err = err
	}
	if err == nil || len(changes) == 1 || isBusy(err) { // busy is nobody's fault
		return
	}
	for i, c := range changes {
		c.err = l.commit(changes[i : i+1])
	}
}

// busyTries is how often a transaction is tried that the database was too busy for.
// Mostly each has waited for busy_timeout; where waiting could be a deadlock, or while
// another process recovers the log, SQLite says so at once.
const (
	busyTries = 3
	busyPause = 50 * time.Millisecond
)

// commit runs the changes in one transaction. On return without error they are
// durable; that is the commit point.
func (l *Ledger) commit(changes []*change) (err error) {
	for left := busyTries; ; time.Sleep(busyPause) {
		err = l.try(changes)
		if left--; left == 0 || !isBusy(err) {
			return err
		}
	}
}

func isBusy(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && e.Code()&0xff == sqlite3.SQLITE_BUSY
}

// try is one transaction. What failed is rolled back, so it can be tried again.
func (l *Ledger) try(changes []*change) error {
	if err := l.Err(); err != nil {
		return err
	}
	b := &batch{Ledger: l, now: l.millis(), counts: map[string]int64{}, awake: map[string]struct{}{}, facilities: map[string]string{}}
	if _, err := b.exec(`BEGIN IMMEDIATE`); err != nil {
		return l.judge(err)
	}
	if err := b.run(changes); err != nil {
		// SQLite rolls some failed transactions back itself; then there is
		// nothing to roll back and that is said in an error without meaning.
		_, _ = b.exec(`ROLLBACK`)
		return l.judge(err)
	}
	b.wake()
	return nil
}

func (b *batch) run(changes []*change) error {
	for _, c := range changes {
		if err := c.do(b); err != nil {
			return err
		}
	}
	if err := b.count(); err != nil {
		return err
	}
	_, err := b.exec(`COMMIT`)
	return err
}

// judge tells a busy or full database, which passes, from a disk that can no
// longer be believed.
func (l *Ledger) judge(err error) error {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return err
	}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		l.failOnce.Do(func() {
			l.cause = fmt.Errorf("ledger %s: the disk failed under it, nothing more is received until hubd has started again: %w", l.config.Path, err)
			close(l.failed)
		})
	}
	return err
}

// exec runs a statement that is prepared once for the life of the ledger.
func (b *batch) exec(query string, args ...any) (int64, error) {
	r, err := b.result(query, args...)
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}

// insert inserts at most one row and returns its number. RETURNING would say the same
// by way of a table of its own, which took a sixth of the time of Receive.
func (b *batch) insert(query string, args ...any) (seq int64, fresh bool, err error) {
	r, err := b.result(query, args...)
	if err != nil {
		return 0, false, err
	}
	n, err := r.RowsAffected()
	if err != nil || n == 0 {
		return 0, false, err
	}
	seq, err = r.LastInsertId()
	return seq, err == nil, err
}

func (b *batch) result(query string, args ...any) (sql.Result, error) {
	s, err := b.stmt(query)
	if err != nil {
		return nil, err
	}
	return s.Exec(args...)
}

func (b *batch) row(query string, args ...any) *row {
	s, err := b.stmt(query)
	if err != nil {
		return &row{err: err}
	}
	return &row{Row: s.QueryRow(args...)}
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

func (b *batch) stmt(query string) (*sql.Stmt, error) {
	if s, ok := b.stmts[query]; ok {
		return s, nil
	}
	s, err := b.conn.PrepareContext(context.Background(), query)
	if err == nil {
		b.stmts[query] = s
	}
	return s, err
}

// count writes the additions to the counters, once a transaction.
func (b *batch) count() error {
	for name, n := range b.counts {
		if _, err := b.exec(`UPDATE counters SET n = n + ? WHERE name = ?`, n, name); err != nil {
			return err
		}
	}
	return nil
}

func (b *batch) wake() {
	for device := range b.awake {
		b.broadcast(device)
	}
	if b.jobsGrew {
		b.broadcast(jobsKey)
	}
}

// jobsKey is no device's name.
const jobsKey = ""

// Changed returns a channel that is closed when the device's outbox may have
// grown after this call.
func (l *Ledger) Changed(device string) <-chan struct{} {
	l.wakeMu.Lock()
	defer l.wakeMu.Unlock()
	c, ok := l.wakes[device]
	if !ok {
		c = make(chan struct{})
		l.wakes[device] = c
	}
	return c
}

// JobsChanged is the same for the queue of jobs. What another process changes is
// not seen here: look again after some seconds.
func (l *Ledger) JobsChanged() <-chan struct{} { return l.Changed(jobsKey) }

func (l *Ledger) broadcast(key string) {
	l.wakeMu.Lock()
	defer l.wakeMu.Unlock()
	if c, ok := l.wakes[key]; ok {
		close(c)
		delete(l.wakes, key)
	}
}
