package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
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
	Path         string           // the database file; its directory must exist. Not looked at when Database is set
	Database     string           // postgres://... If empty, SQLite at Path
	Node         string           // who leases and beats among several nodes; empty is fine for one
	Address      string           // where appliances reach the node; told to the others, may be empty
	Version      string           // of the program; told to the others, may be empty
	Destinations []Destination    // jobs are made for each that an object is for; without a required one nothing is ever archived
	Routes       map[string]Route // what they are for, by name; who is not named is for all
	Sinks        []string         // who is told of studies, by name; nodes must agree
	Received     bool             // studies are told when they are received; nodes must agree
	Deliver      bool             // P5: if false, the later of two contents under one SOP Instance UID is held
	Beside       bool             // perhaps beside a hub that runs: rows of an older program are left to that one (ErrOlder); new ones are made
	Logger       *slog.Logger     // if nil, nothing is logged
	Now          func() time.Time // if nil, the clock of PostgreSQL's machine, or with SQLite of this one
}

// Ledger is the rows. Its methods may be called by many goroutines.
type Ledger struct {
	config Config
	log    *slog.Logger
	engine engine
	told   bool      // Config.Now was given: it is the clock, also over PostgreSQL
	write  *sql.DB   // for migrations and conn
	conn   *sql.Conn // owned by the committer: the one that writes; nil after it was lost
	read   *sql.DB
	lists  *sql.DB // for what people ask: pages, exports, figures; however slow, nobody else waits for a connection
	watch  *sql.DB // for Revoked and Ready alone

	started atomic.Int64           // when this node came, by the database's clock
	agreed  atomic.Pointer[string] // the destinations that Start brought the rows to; nil before

	door chan struct{} // size 1: who has put a token in is committing
	mu   sync.Mutex    // guards next
	next []*change     // waiting for the next commit

	stmts map[string]*sql.Stmt // owned by the committer, of conn

	commits commits

	retainMu sync.Mutex   // guards both
	retained retainCursor // of Expired
	crowded  retainCursor // of ExpiredForRoom

	mostEarly int // maxEarlyStudies

	doubtMu sync.Mutex // guards doubts
	doubts  []doubt

	wakeMu sync.Mutex // guards wakes
	wakes  map[string]chan struct{}

	failOnce sync.Once
	failed   chan struct{}
	cause    error // set before failed is closed
}

// ErrOlder means that the rows are as an older program has left them, which may run.
var ErrOlder = errors.New("an older hubd has written these rows, and may run: start hubd run of this version first, it brings them forward; " +
	"what is to be done before that, a backup too, the older program does")

// Open opens or creates the ledger and, unless Config says Beside, brings its schema up to date. Several
// processes may have it open; with SQLite one of them, at most, forwards (see Start).
func Open(ctx context.Context, config Config) (*Ledger, error) {
	l := &Ledger{
		told: config.Now != nil,
		door: make(chan struct{}, 1), stmts: map[string]*sql.Stmt{},
		wakes: map[string]chan struct{}{}, failed: make(chan struct{}), mostEarly: maxEarlyStudies,
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	l.config, l.log = config, config.Logger
	if config.Database != "" {
		l.engine = &postgres{l: l}
	} else {
		l.engine = &sqlite{l: l}
	}
	if err := l.open(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("ledger %s: %w", l.engine, err), l.Close())
	}
	return l, nil
}

func (l *Ledger) open(ctx context.Context) error {
	if err := l.engine.open(ctx); err != nil {
		return err
	}
	return l.connect(ctx)
}

// connect gets the connection that writes, unless it is there.
func (l *Ledger) connect(ctx context.Context) (err error) {
	if l.conn == nil {
		l.conn, err = l.write.Conn(ctx)
	}
	return err
}

// Close waits for nothing: call it when nobody uses the ledger any more.
func (l *Ledger) Close() error {
	var errs []error
	if l.conn != nil {
		errs = append(errs, l.conn.Close())
	}
	for _, db := range []*sql.DB{l.read, l.lists, l.watch, l.write} {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	return errors.Join(errs...)
}

// Failed is closed when the ledger can no longer be believed: the disk failed under
// SQLite, or a newer program has brought the rows forward. Err says how. The program must end
// and start again. A PostgreSQL that is away is no such failure.
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

// fail closes Failed, once.
func (l *Ledger) fail(cause error) {
	l.failOnce.Do(func() {
		l.cause = cause
		close(l.failed)
	})
}

// Identity names the ledger and its generation.
func (l *Ledger) Identity(ctx context.Context) (string, uint64, error) {
	var id, generation string
	err := l.read.QueryRowContext(ctx, `SELECT (SELECT value FROM meta WHERE key = 'ledger_id') AS id, (SELECT value FROM meta WHERE key = 'generation') AS generation`).Scan(&id, &generation)
	if err != nil {
		return "", 0, fmt.Errorf("ledger identity: %w", err)
	}
	n, err := strconv.ParseUint(generation, 10, 64)
	if err != nil {
		return "", 0, fmt.Errorf("ledger generation: %w", err)
	}
	return id, n, nil
}

// Reading calls do with a transaction that only reads and sees the rows as they were
// at one moment, however long it takes and whoever writes meanwhile.
func (l *Ledger) Reading(ctx context.Context, do func(tx *sql.Tx) error) error {
	return l.reading(ctx, l.read, do)
}

func (l *Ledger) reading(ctx context.Context, db *sql.DB, do func(tx *sql.Tx) error) error {
	tx, err := db.BeginTx(ctx, l.engine.snapshot())
	if err != nil {
		return fmt.Errorf("read the ledger: %w", err)
	}
	defer tx.Rollback() // nothing was written
	return do(tx)
}

// millis is the time for what reads; who writes has batch.now.
func (l *Ledger) millis() int64 { return l.config.Now().UnixMilli() + l.engine.ahead() }
