package ledger

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// ErrNotAlone means that another process has what is for one alone.
var ErrNotAlone = errors.New("another node uses this database")

// ErrNameTaken means that another process has the name of this node. Both would lease under it, and
// each free at its start what the other delivers.
var ErrNameTaken = errors.New("another hubd that runs has the name of this node: each node needs one of its own")

// aloneLock is an advisory lock; bytes of "hubdlone".
const aloneLock int64 = 0x687562646c6f6e65

// errOwnSession means that the database has not ended a session that this process has lost.
var errOwnSession = errors.New("the database has not yet ended the session that this process had with it")

// Alone keeps all other processes that want the same place away, as long as its
// session with PostgreSQL lasts. With SQLite it does nothing, the lock of the data directory
// does it.
//
// When packets are lost both ends of a session find out by themselves, at different times: while the
// server still has the old one, that has the place. So each session says whose it is, in
// its application_name, and a process ends those that it had before. It is never kept away by itself.
type Alone struct {
	e       *postgres
	conn    *pgx.Conn
	key     string // of the advisory lock, in SQL
	session string // the application_name: of this process alone
	taken   func(ctx context.Context, from string) error
}

// Alone takes the place of the only node, whose objects no other one can read, or returns
// ErrNotAlone.
func (l *Ledger) Alone(ctx context.Context) (*Alone, error) {
	a := l.place("alone", fmt.Sprint(aloneLock))
	a.taken = func(context.Context, string) error { return ErrNotAlone }
	return a, a.take(ctx)
}

// Name takes the name of this node, of which there is one in a database and schema, or
// returns ErrNameTaken, which says where the other one is.
func (l *Ledger) Name(ctx context.Context) (*Alone, error) {
	// Only letters, digits, and the like stand in a name (node in the configuration).
	a := l.place("name", fmt.Sprintf(`hashtextextended('hubd node ' || current_schema() || ' %s', 0)`, strings.ReplaceAll(l.config.Node, "'", "''")))
	a.taken = func(ctx context.Context, from string) error { return a.nameTaken(ctx, l.config.Node, from) }
	return a, a.take(ctx)
}

func (l *Ledger) place(kind, key string) *Alone {
	a := &Alone{key: key}
	if e, ok := l.engine.(*postgres); ok {
		a.e, a.session = e, "hubd "+kind+" "+e.writer
	}
	return a
}

// nameTaken says where the other one is, as far as that can be found out.
func (a *Alone) nameTaken(ctx context.Context, node, where string) error {
	var address string
	if err := a.conn.QueryRow(ctx, `SELECT address FROM nodes WHERE id = $1`, node).Scan(&address); err == nil && address != "" {
		where += ", where it listens on " + address
	}
	return fmt.Errorf("node %s: %w; the other one is at %s", node, ErrNameTaken, where)
}

// mostTake is how long trying to take the place may last: a server that does not answer is asked again.
const mostTake = 15 * time.Second

func (a *Alone) take(ctx context.Context) (err error) {
	if a.e == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, mostTake)
	defer cancel()
	config := a.e.config.Copy()
	config.RuntimeParams["application_name"] = a.session
	if a.conn, err = pgx.ConnectConfig(ctx, config); err != nil {
		return fmt.Errorf("%s: %w", a.e, err)
	}
	if err := a.lock(ctx); err != nil {
		a.Close()
		return err
	}
	return nil
}

// lock returns ErrNotAlone or ErrNameTaken only when it has seen that another process has the place.
func (a *Alone) lock(ctx context.Context) error {
	if got, err := a.try(ctx); err != nil || got {
		return err
	}
	var own bool
	var from string
	err := a.conn.QueryRow(ctx, `SELECT s.application_name = $1, coalesce(host(s.client_addr), 'the machine of the database')
		FROM pg_locks k JOIN pg_stat_activity s ON s.pid = k.pid WHERE k.locktype = 'advisory' AND k.granted AND k.objsubid = 1
		AND k.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
		AND (k.classid::bigint << 32 | k.objid::bigint) = `+a.key, a.session).Scan(&own, &from)
	if err == nil && !own {
		return a.taken(ctx, from)
	}
	if err == nil {
		err = a.endOwn(ctx)
	}
	if err != nil && !errors.Is(err, pgx.ErrNoRows) { // without rows it was given back this moment
		return err
	}
	if got, err := a.try(ctx); err != nil || got {
		return err
	}
	return errOwnSession // or somebody was faster: the next time says it
}

// try takes the lock, if it is free. A session whose client is dead ends soon, also when
// that had not got all that was sent to it, so that a place is not lost with a machine.
func (a *Alone) try(ctx context.Context) (got bool, err error) {
	err = a.conn.QueryRow(ctx, `SELECT pg_try_advisory_lock(`+a.key+`) AND set_config('tcp_keepalives_idle', '5', false) <> ''
		AND set_config('tcp_keepalives_interval', '2', false) <> '' AND set_config('tcp_keepalives_count', '3', false) <> ''
		AND set_config('tcp_user_timeout', '`+milliseconds(deadPeer)+`', false) <> ''`).Scan(&got)
	return got, err
}

// endOwn ends what earlier sessions of this process there still are, and waits for that.
// A role may end its own; where it may not, the server does when it finds them dead.
func (a *Alone) endOwn(ctx context.Context) error {
	if _, err := a.conn.Exec(ctx, `SELECT pg_terminate_backend(s.pid, 5000) FROM pg_stat_activity s WHERE s.application_name = $1 AND s.pid <> pg_backend_pid()`, a.session); err != nil {
		return fmt.Errorf("%w: %w", errOwnSession, err)
	}
	return nil
}

// Hold keeps the place until ctx ends, also over a restart of the database and a network
// that was cut. When somebody else has taken it meanwhile it returns ErrNotAlone or
// ErrNameTaken, and the process must end.
func (a *Alone) Hold(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if a.e == nil || a.there(ctx) {
			continue
		}
		a.Close()
		if err := a.take(ctx); errors.Is(err, ErrNotAlone) || errors.Is(err, ErrNameTaken) {
			return err
		}
	}
}

func (a *Alone) there(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	return a.conn != nil && a.conn.Ping(ctx) == nil
}

// Close gives the place back.
func (a *Alone) Close() {
	if a.conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	// Given back before the session ends, which the server does a moment later: who starts
	// meanwhile is not told that the name is taken. A connection that is gone has no lock.
	_, _ = a.conn.Exec(ctx, `SELECT pg_advisory_unlock_all()`)
	_ = a.conn.Close(ctx) // nothing was written
	a.conn = nil
}
