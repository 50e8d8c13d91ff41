package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"modernc.org/sqlite" // the driver named "sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"edged/internal/durable"
)

// Destination is what the ledger must know of one: its name, whether *archived*
// waits for it, and what it confirms by.
type Destination struct {
	Name     string
	Required bool
	Confirm  string // commitment | success | dir; see Start for what a change of it means
}

// Config says where the ledger lies and what it waits for.
type Config struct {
	Path         string           // the database file; its directory must exist
	Destinations []Destination    // jobs are made for each that an object is for; without a required one nothing is ever archived
	Routes       map[string]Route // what they are for, by name; who is not named is for all
	Deliver      bool             // P5: if false, the later of two contents under one SOP Instance UID is held
	Logger       *slog.Logger     // if nil, nothing is logged
	Now          func() time.Time
}

// Ledger is the rows. Its methods may be called by many goroutines.
type Ledger struct {
	config Config
	log    *slog.Logger
	write  *sql.DB   // for migrations and conn
	conn   *sql.Conn // owned by the committer: the one that writes
	read   *sql.DB
	watch  *sql.DB // for Revoked alone

	door chan struct{} // size 1: who has put a token in is committing
	mu   sync.Mutex    // guards next
	next []*change     // waiting for the next commit

	stmts map[string]*sql.Stmt // owned by the committer

	wakeMu sync.Mutex // guards wakes
	wakes  map[string]chan struct{}

	failOnce sync.Once
	failed   chan struct{}
	cause    error // set before failed is closed
}

// Open opens or creates the ledger and brings its schema up to date. Several
// processes may have it open; one of them, at most, forwards (see Start).
func Open(ctx context.Context, config Config) (*Ledger, error) {
	if config.Now == nil {
		config.Now = time.Now
	}
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	l := &Ledger{
		config: config, log: config.Logger,
		door: make(chan struct{}, 1), stmts: map[string]*sql.Stmt{},
		wakes: map[string]chan struct{}{}, failed: make(chan struct{}),
	}
	if err := l.open(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("ledger %s: %w", config.Path, err), l.Close())
	}
	return l, nil
}

func (l *Ledger) open(ctx context.Context) (err error) {
	if l.write, err = sql.Open("sqlite", dsn(l.config.Path, "immediate", "")); err != nil {
		return err
	}
	if err := l.prepare(ctx); err != nil {
		return err
	}
	if l.conn, err = l.write.Conn(ctx); err != nil {
		return err
	}
	if l.read, err = sql.Open("sqlite", dsn(l.config.Path, "deferred", "&_pragma=query_only(1)")); err != nil {
		return err
	}
	l.read.SetMaxOpenConns(4)
	if l.watch, err = sql.Open("sqlite", dsn(l.config.Path, "deferred", "&_pragma=query_only(1)")); err != nil {
		return err
	}
	l.watch.SetMaxOpenConns(1)
	return settle(l.config.Path)
}

// prepare makes the schema. Two processes that open a new ledger at the same
// moment both want to turn it to WAL: SQLite answers one of them SQLITE_BUSY at
// once, whatever busy_timeout says, because waiting could be a deadlock
// (sqlite.org/c3ref/busy_handler.html). Asking again is safe.
func (l *Ledger) prepare(ctx context.Context) error {
	for deadline := time.Now().Add(10 * time.Second); ; {
		err := migrate(ctx, l.write)
		var busy *sqlite.Error
		if !errors.As(err, &busy) || busy.Code()&0xff != sqlite3.SQLITE_BUSY || time.Now().After(deadline) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
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

// Close waits for nothing: call it when nobody uses the ledger any more.
func (l *Ledger) Close() error {
	var errs []error
	if l.conn != nil {
		errs = append(errs, l.conn.Close())
	}
	for _, db := range []*sql.DB{l.read, l.watch, l.write} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	return errors.Join(errs...)
}

// Failed is closed when the disk has failed under the ledger; Err says how. The
// program must end and start again.
func (l *Ledger) Failed() <-chan struct{} { return l.failed }

// Err is why Failed is closed, nil while it is open.
func (l *Ledger) Err() error {
	select {
	case <-l.failed:
		return l.cause
	default:
		return nil
	}
}

// Identity names the ledger and its generation.
func (l *Ledger) Identity(ctx context.Context) (string, uint64, error) {
	var id, generation string
	err := l.read.QueryRowContext(ctx, `SELECT (SELECT value FROM meta WHERE key = 'ledger_id'), (SELECT value FROM meta WHERE key = 'generation')`).Scan(&id, &generation)
	if err != nil {
		return "", 0, fmt.Errorf("ledger identity: %w", err)
	}
	n, err := strconv.ParseUint(generation, 10, 64)
	if err != nil {
		return "", 0, fmt.Errorf("ledger generation: %w", err)
	}
	return id, n, nil
}

func (l *Ledger) millis() int64 { return l.config.Now().UnixMilli() }
