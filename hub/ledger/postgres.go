package ledger

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"golang.org/x/sys/unix"
)

// postgres is the engine of several nodes. Who writes holds an advisory lock until its
// transaction ends: one writer at a time over all nodes, as with SQLite, so that READ
// COMMITTED sees no more and no less than what was committed before it began.
type postgres struct {
	l         *Ledger
	config    *pgx.ConnConfig
	writer    string        // this process in the table writers
	number    int64         // of its last transaction; owned by the committer
	committed int64         // the last of these that is known to be committed; likewise
	epoch     atomic.Int64  // connections of an earlier one may lead to a primary that was
	unsynced  atomic.Bool   // what was committed last the synchronous standby perhaps has not
	offset    atomic.Int64  // of the database's clock, milliseconds
	patient   time.Duration // for how long a transaction is tried again while the database is away
	longest   time.Duration // a transaction
	lockWait  time.Duration // as lock_timeout
	absent    atomic.Bool   // the last transaction found no database to write to
}

var _ engine = (*postgres)(nil)

func (e *postgres) String() string {
	if e.config == nil {
		return "postgres"
	}
	return fmt.Sprintf("postgres://%s:%d/%s", e.config.Host, e.config.Port, e.config.Database)
}

// A node that hangs or whose machine is dead must not keep the others from writing: the
// server ends a session that is idle in a transaction, and one whose client does not
// answer. What waits for the writer's lock gives up before the holder is judged late
// twice.
const (
	deadPeer        = 12 * time.Second // no byte was acknowledged for that long
	idleTransaction = 10 * time.Second
	lockTimeout     = 11 * time.Second // longer than idleTransaction: after it the lock is free
	longest         = 30 * time.Second // a transaction, all in all
	longestWalk     = 30 * time.Minute // one that walks over many rows
	connectTimeout  = 5 * time.Second
)

// oldestServer is the first that looks after its clients while they wait.
const oldestServer = 140000

func (e *postgres) open(ctx context.Context) (err error) {
	if e.config, err = pgx.ParseConfig(e.l.config.Database); err != nil {
		return err // pgx leaves the password out
	}
	e.writer, e.patient, e.longest, e.lockWait = newID(), patience, longest, lockTimeout
	e.config.ConnectTimeout = connectTimeout
	e.config.OnNotice = e.noticed
	e.config.DialFunc = (&net.Dialer{Timeout: connectTimeout, Control: answersOrEnds,
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 5 * time.Second, Interval: 2 * time.Second, Count: 3}}).DialContext
	if e.config.RuntimeParams["application_name"] == "" {
		e.config.RuntimeParams["application_name"] = "hubd " + e.l.config.Node
	}
	if e.config.ValidateConnect == nil {
		e.config.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite // of several hosts the one that leads
	}
	e.l.write = e.pool(2, map[string]time.Duration{"lock_timeout": lockTimeout})
	e.l.read = e.pool(6, map[string]time.Duration{"statement_timeout": time.Minute})
	e.l.lists = e.pool(2, map[string]time.Duration{"statement_timeout": time.Minute})
	e.l.watch = e.pool(2, map[string]time.Duration{"statement_timeout": time.Minute})
	return e.prepare(ctx)
}

// answersOrEnds lets the kernel end a connection whose other end is gone (RFC 5482).
func answersOrEnds(network, _ string, c syscall.RawConn) error {
	if network == "unix" {
		return nil
	}
	var set error
	err := c.Control(func(fd uintptr) {
		set = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(deadPeer.Milliseconds()))
	})
	return errors.Join(err, set)
}

// pool makes connections with those settings that the URL leaves open.
func (e *postgres) pool(size int, more map[string]time.Duration) *sql.DB {
	settings := map[string]string{"tcp_keepalives_idle": "5", "tcp_keepalives_interval": "2", "tcp_keepalives_count": "3"}
	for name, d := range map[string]time.Duration{"idle_in_transaction_session_timeout": idleTransaction, "tcp_user_timeout": deadPeer, "client_connection_check_interval": 2 * time.Second} {
		settings[name] = milliseconds(d)
	}
	for name, d := range more {
		settings[name] = milliseconds(d)
	}
	statements := ""
	for name, value := range settings {
		if _, ok := e.config.RuntimeParams[name]; !ok {
			statements += "SET " + name + " = " + value + ";"
		}
	}
	db := sql.OpenDB(dialect{stdlib.GetConnector(*e.config, stdlib.OptionAfterConnect(func(ctx context.Context, c *pgx.Conn) error {
		c.PgConn().CustomData()[epochKey] = e.epoch.Load()
		if err := oldEnough(c); err != nil {
			return errors.Join(err, c.Close(ctx))
		}
		if _, err := c.Exec(ctx, statements); err != nil {
			return errors.Join(err, c.Close(ctx))
		}
		return nil
	}), stdlib.OptionResetSession(func(_ context.Context, c *pgx.Conn) error {
		if c.PgConn().CustomData()[epochKey] != e.epoch.Load() {
			return driver.ErrBadConn
		}
		return nil
	}))})
	db.SetMaxOpenConns(size)
	db.SetMaxIdleConns(size)
	db.SetConnMaxIdleTime(5 * time.Minute)
	return db
}

// epochKey is where a connection has the epoch that it was made in.
const epochKey = "hubd epoch"

func milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

func oldEnough(c *pgx.Conn) error {
	text := c.PgConn().ParameterStatus("server_version")
	var major int
	if _, err := fmt.Sscan(text, &major); err != nil || major*10000 < oldestServer {
		return fmt.Errorf("it is PostgreSQL %s, and %d is the oldest that hubd works with", text, oldestServer/10000)
	}
	return nil
}

// prepare refuses a server that loses what it has confirmed, and makes the schema.
func (e *postgres) prepare(ctx context.Context) error {
	tx, err := e.l.write.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	var s safety
	if err := tx.QueryRowContext(ctx, safetyQuery).Scan(&s.fsync, &s.commit, &s.pages, &s.encoding); err != nil {
		return err
	}
	if err := s.judge(); err != nil {
		return err
	}
	if err := e.migrate(ctx, tx); err != nil {
		return err
	}
	return tx.Commit()
}

// migrate holds the writers' lock, so that of two nodes one does it, and an older one
// that runs writes nothing meanwhile.
func (e *postgres) migrate(ctx context.Context, tx *sql.Tx) error {
	if _, err := tx.ExecContext(ctx, fmt.Sprintf(`SET LOCAL lock_timeout = '5min'; SET LOCAL idle_in_transaction_session_timeout = 0; SELECT pg_advisory_xact_lock(%d);
		CREATE TABLE IF NOT EXISTS version (n BIGINT NOT NULL); INSERT INTO version SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM version)`, writersLock)); err != nil {
		return err
	}
	var version int
	if err := tx.QueryRowContext(ctx, `SELECT n FROM version`).Scan(&version); err != nil {
		return err
	}
	if err := e.l.migrate(tx, version, definition); err != nil {
		return err
	}
	n, err := tx.ExecContext(ctx, `UPDATE version SET n = ?1 WHERE n <> ?1`, len(migrations))
	if err != nil {
		return err
	}
	if changed, err := n.RowsAffected(); err != nil || changed == 0 {
		return err
	}
	return numberOn(ctx, tx)
}

// numberOn lets each table number on after its highest row: one that a migration has
// made anew was filled with rows that had their numbers. None is given twice.
func numberOn(ctx context.Context, tx *sql.Tx) error {
	rows, err := tx.QueryContext(ctx, `SELECT table_name FROM information_schema.columns WHERE table_schema = current_schema() AND is_identity = 'YES' AND column_name = 'seq'`)
	if err != nil {
		return err
	}
	tables, err := collect[string](rows)
	for _, t := range tables {
		if err == nil {
			_, err = tx.ExecContext(ctx, fmt.Sprintf(`SELECT setval(pg_get_serial_sequence('%[1]s', 'seq'), greatest(nextval(pg_get_serial_sequence('%[1]s', 'seq')), 1 + (SELECT coalesce(max(seq), 0) FROM %[1]s)), false)`, t))
		}
	}
	return err
}

// writersLock is hubd's advisory lock in the database that it was given; bytes of "hubdrows".
const writersLock int64 = 0x68756264726f7773

// safety is what a server must have on for a commit to be a commit.
type safety struct{ fsync, commit, pages, encoding string }

// As this session has them: they may be set for a role or a database alone.
const safetyQuery = `SELECT current_setting('fsync'), current_setting('synchronous_commit'), current_setting('full_page_writes'), current_setting('server_encoding')`

func (s safety) judge() error {
	var errs []error
	if s.fsync != "on" {
		errs = append(errs, errors.New("the server runs with fsync off: what it confirms is gone after a power cut, and its files may be beyond repair; turn it on in postgresql.conf"))
	}
	if s.commit == "off" {
		errs = append(errs, errors.New("synchronous_commit is off for this user or database: the server confirms what it has not written, and receipts would be sent for rows that a crash takes back; ALTER ROLE or ALTER DATABASE ... SET synchronous_commit = on"))
	}
	if s.pages != "on" {
		errs = append(errs, errors.New("the server runs with full_page_writes off: a page that a power cut tears cannot be repaired; turn it on in postgresql.conf"))
	}
	if s.encoding != "UTF8" {
		errs = append(errs, fmt.Errorf("the database has the encoding %s, hubd needs UTF8: create it with ENCODING 'UTF8'", s.encoding))
	}
	return errors.Join(errs...)
}

func (e *postgres) snapshot() *sql.TxOptions {
	return &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true}
}

func (e *postgres) away() bool   { return e.absent.Load() }
func (e *postgres) ahead() int64 { return e.offset.Load() }
