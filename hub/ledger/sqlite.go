package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"time"

	driver "modernc.org/sqlite" // the driver named "sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"edged/internal/durable"
)

// sqlite is the engine of one machine: a file in WAL mode, synchronous FULL.
type sqlite struct{ l *Ledger }

var _ engine = (*sqlite)(nil)

func (e *sqlite) String() string { return e.l.config.Path }

func (e *sqlite) open(ctx context.Context) (err error) {
	l, path := e.l, e.l.config.Path
	if err := ownFile(path); err != nil {
		return err
	}
	if l.write, err = sql.Open("sqlite", dsn(path, "immediate", "")); err != nil {
		return err
	}
	if err := e.prepare(ctx); err != nil {
		return err
	}
	if l.read, err = sql.Open("sqlite", dsn(path, "deferred", "&_pragma=query_only(1)")); err != nil {
		return err
	}
	l.read.SetMaxOpenConns(4)
	if l.lists, err = sql.Open("sqlite", dsn(path, "deferred", "&_pragma=query_only(1)")); err != nil {
		return err
	}
	l.lists.SetMaxOpenConns(2)
	if l.watch, err = sql.Open("sqlite", dsn(path, "deferred", "&_pragma=query_only(1)")); err != nil {
		return err
	}
	l.watch.SetMaxOpenConns(2) // one who asks whether it is there keeps Revoked waiting no more
	return settle(path)
}

// ownFile makes an empty database that nobody else reads. SQLite would make one as the
// umask lets it, and gives its log the mode of the database. One that is there is not
// touched: to close it would give this process's locks on it back (sqlite.org/howtocorrupt.html §2.2).
func ownFile(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return f.Close()
}

// prepare makes the schema. Two processes that open a new ledger at the same
// moment both want to turn it to WAL: SQLite answers one of them SQLITE_BUSY at
// once, whatever busy_timeout says, because waiting could be a deadlock
// (sqlite.org/c3ref/busy_handler.html). Asking again is safe.
func (e *sqlite) prepare(ctx context.Context) error {
	for deadline := time.Now().Add(10 * time.Second); ; {
		err := e.migrate(ctx)
		if !isBusy(err) || time.Now().After(deadline) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// migrate runs in an immediate transaction, so that two processes do not do it both.
func (e *sqlite) migrate(ctx context.Context) error {
	tx, err := e.l.write.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	var version int
	if err := tx.QueryRow(`PRAGMA user_version`).Scan(&version); err != nil {
		return err
	}
	if err := e.l.migrate(tx, version, func(ddl string) string { return ddl }); err != nil {
		return err
	}
	if version < len(migrations) {
		if _, err := tx.Exec(fmt.Sprintf(`PRAGMA user_version = %d`, len(migrations))); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// dsn: WAL so that readers and a second process do not wait for the writer;
// synchronous FULL so that each commit is an fsync of the log. The log is taken over
// into the database when it has 16 MiB instead of 4: IDs are digests, so a batch of 64
// objects touches some 200 pages all over the database, and most of them again before then.
func dsn(path, lock, more string) string {
	return "file:" + (&url.URL{Path: path}).EscapedPath() +
		"?_txlock=" + lock + "&_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=wal_autocheckpoint(4000)&_pragma=foreign_keys(1)" + more
}

// settle makes durable what an earlier process may have left in the page cache
// alone: killed between write and fsync of the log it leaves rows that this
// process reads and would answer with (as D-S5 in the spool).
func settle(path string) error {
	for _, name := range []string{path, path + "-wal"} {
		f, err := os.Open(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if err := errors.Join(f.Sync(), f.Close()); err != nil {
			return err
		}
	}
	return durable.SyncDir(filepath.Dir(path))
}

// limit: nobody is gone while we wait for our own disk.
func (e *sqlite) limit(bool) (context.Context, context.CancelFunc) {
	return context.Background(), func() {}
}

func (e *sqlite) begin(b *batch) error {
	b.now = b.millis()
	if _, err := b.exec(`BEGIN IMMEDIATE`); err != nil {
		return err
	}
	var version int // stands in the page of the database that BEGIN has read
	if err := b.row(`PRAGMA user_version`).Scan(&version); err != nil {
		return err
	}
	return e.l.understands(version)
}

// commit returns after the fsync of the write-ahead log that covers it.
func (e *sqlite) commit(b *batch) error {
	if err := b.count(); err != nil {
		return err
	}
	_, err := b.exec(`COMMIT`)
	return err
}

// rollback: SQLite rolls some failed transactions back itself; then there is nothing
// to roll back and that is said in an error without meaning.
func (e *sqlite) rollback(b *batch) { _, _ = b.exec(`ROLLBACK`) }

// busyTries is how often a transaction is tried that the database was too busy for.
// Mostly each has waited for busy_timeout; where waiting could be a deadlock, or while
// another process recovers the log, SQLite says so at once.
const (
	busyTries = 3
	busyPause = 50 * time.Millisecond
)

func (e *sqlite) passes(err error) bool { return isBusy(err) }

func (e *sqlite) pause(_ error, n int, _ time.Time) (time.Duration, bool) {
	return busyPause, n < busyTries
}

func isBusy(err error) bool {
	var e *driver.Error
	return errors.As(err, &e) && e.Code()&0xff == sqlite3.SQLITE_BUSY
}

// judge tells a busy or full database, which passes, from a disk that can no
// longer be believed.
func (e *sqlite) judge(err error) error {
	var s *driver.Error
	if !errors.As(err, &s) {
		return err
	}
	switch s.Code() & 0xff {
	case sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		e.l.fail(fmt.Errorf("ledger %s: the disk failed under it, nothing more is received until hubd has started again: %w", e, err))
	}
	return err
}

// insert: RETURNING would say the numbers by way of a table of its own, which took a
// sixth of the time of Receive. AUTOINCREMENT counts on by one within a statement.
func (e *sqlite) insert(b *batch, query string, args []any) ([]int64, error) {
	r, err := b.result(query, args...)
	if err != nil {
		return nil, err
	}
	n, err := r.RowsAffected()
	if err != nil || n == 0 {
		return nil, err
	}
	last, err := r.LastInsertId()
	if err != nil {
		return nil, err
	}
	seqs := make([]int64, n)
	for i := range seqs {
		seqs[i] = last - n + 1 + int64(i)
	}
	return seqs, nil
}

func (e *sqlite) snapshot() *sql.TxOptions { return nil } // as every read transaction of WAL
func (e *sqlite) away() bool               { return false }
func (e *sqlite) ahead() int64             { return 0 }
