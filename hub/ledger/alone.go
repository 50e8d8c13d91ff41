package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// ErrNotAlone means that another process has what is for one alone.
var ErrNotAlone = errors.New("another node uses this database")

// aloneLock is an advisory lock; bytes of "hubdlone".
const aloneLock int64 = 0x687562646c6f6e65

// Alone keeps all other processes that call it away from these rows, as long as its
// session with PostgreSQL lasts: for a node whose objects no other one can read. With
// SQLite it does nothing, the lock of the data directory does it.
type Alone struct {
	e    *postgres
	conn *pgx.Conn
}

// Alone takes the place, or returns ErrNotAlone.
func (l *Ledger) Alone(ctx context.Context) (*Alone, error) {
	e, _ := l.engine.(*postgres)
	a := &Alone{e: e}
	return a, a.take(ctx)
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
	err = a.conn.QueryRow(ctx, fmt.Sprintf(`SELECT pg_try_advisory_lock(%d) AND set_config('tcp_keepalives_idle', '5', false) <> ''
		AND set_config('tcp_keepalives_interval', '2', false) <> '' AND set_config('tcp_keepalives_count', '3', false) <> ''`, aloneLock)).Scan(&got)
	if err == nil && !got {
		err = ErrNotAlone
	}
	if err != nil {
		a.Close()
		return err
	}
	return nil
}

// Hold keeps the place until ctx ends, also over a restart of the database. When
// somebody else has taken it meanwhile it returns ErrNotAlone, and the process must end.
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
		if err := a.take(ctx); errors.Is(err, ErrNotAlone) {
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
