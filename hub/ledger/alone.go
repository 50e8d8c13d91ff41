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

// Alone keeps all other processes that want the same place away, as long as its
// session with PostgreSQL lasts. With SQLite it does nothing, the lock of the data directory
// does it.
type Alone struct {
	e     *postgres
	conn  *pgx.Conn
	key   string // of the advisory lock, in SQL
	taken func(context.Context) error
}

// Alone takes the place of the only node, whose objects no other one can read, or returns
// ErrNotAlone.
func (l *Ledger) Alone(ctx context.Context) (*Alone, error) {
	e, _ := l.engine.(*postgres)
	a := &Alone{e: e, key: fmt.Sprint(aloneLock)}
	a.taken = func(context.Context) error { return ErrNotAlone }
	return a, a.take(ctx)
}

// Name takes the name of this node, of which there is one in a database and schema, or
// returns ErrNameTaken, which says where the other one is.
func (l *Ledger) Name(ctx context.Context) (*Alone, error) {
	e, _ := l.engine.(*postgres)
	// Only letters, digits, and the like stand in a name (node in the configuration).
	a := &Alone{e: e, key: fmt.Sprintf(`hashtextextended('hubd node ' || current_schema() || ' %s', 0)`, strings.ReplaceAll(l.config.Node, "'", "''"))}
	a.taken = func(ctx context.Context) error { return a.holder(ctx, l) }
	return a, a.take(ctx)
}

// holder says who has the name, as far as that can be found out.
func (a *Alone) holder(ctx context.Context, l *Ledger) error {
	where := "an address that is not known"
	var from, address string
	err := a.conn.QueryRow(ctx, `SELECT coalesce(host(s.client_addr), 'the machine of the database'), coalesce((SELECT n.address FROM nodes n WHERE n.id = $1), '')
		FROM pg_locks k JOIN pg_stat_activity s ON s.pid = k.pid WHERE k.locktype = 'advisory' AND k.granted AND k.objsubid = 1
		AND k.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
		AND (k.classid::bigint << 32 | k.objid::bigint) = `+a.key, l.config.Node).Scan(&from, &address)
	if err == nil {
		where = from
	}
	if address != "" {
		where += ", where it listens on " + address
	}
	return fmt.Errorf("node %s: %w; the other one is at %s", l.config.Node, ErrNameTaken, where)
}

func (a *Alone) take(ctx context.Context) (err error) {
	if a.e == nil {
		return nil
	}
	if a.conn, err = pgx.ConnectConfig(ctx, a.e.config.Copy()); err != nil {
		return fmt.Errorf("%s: %w", a.e, err)
	}
	var got bool
	// A session whose client is dead ends soon, so that a place is not lost with a machine.
	err = a.conn.QueryRow(ctx, `SELECT pg_try_advisory_lock(`+a.key+`) AND set_config('tcp_keepalives_idle', '5', false) <> ''
		AND set_config('tcp_keepalives_interval', '2', false) <> '' AND set_config('tcp_keepalives_count', '3', false) <> ''`).Scan(&got)
	if err == nil && !got {
		err = a.taken(ctx)
	}
	if err != nil {
		a.Close()
		return err
	}
	return nil
}

// Hold keeps the place until ctx ends, also over a restart of the database. When
// somebody else has taken it meanwhile it returns ErrNotAlone or ErrNameTaken, and the process must end.
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
	_ = a.conn.Close(ctx) // nothing was written; a connection that is gone has no lock
	a.conn = nil
}
