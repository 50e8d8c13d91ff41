package ledger

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

func (e *postgres) limit(long bool) (context.Context, context.CancelFunc) {
	if long {
		return context.WithTimeout(context.Background(), longestWalk)
	}
	return context.WithTimeout(context.Background(), e.longest)
}

// begin is one round trip. The statements after the lock see what was committed before
// it was given: in READ COMMITTED each has a snapshot of its own.
var beginning = fmt.Sprintf(`BEGIN; SELECT pg_advisory_xact_lock(%d);
	SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint, current_setting('fsync'), current_setting('synchronous_commit'), current_setting('full_page_writes'), current_setting('server_encoding'),
	(SELECT n FROM version), %s, coalesce((SELECT n FROM writers WHERE id = '`, writersLock, saidDestinations)

func (e *postgres) begin(b *batch) error {
	if err := e.l.connect(b.ctx); err != nil {
		return &passing{err}
	}
	said, last := "", int64(0)
	err := e.raw(func(c *pgx.Conn) error {
		results, err := c.PgConn().Exec(b.ctx, beginning+e.writer+`'), 0)`).ReadAll()
		if err != nil {
			return err
		}
		row := results[len(results)-1].Rows[0]
		if err := (safety{string(row[1]), string(row[2]), string(row[3]), string(row[4])}).judge(); err != nil {
			return err
		}
		version, err := strconv.Atoi(string(row[5]))
		if err != nil {
			return err
		}
		if err := e.l.understands(version); err != nil {
			return err
		}
		said = string(row[6])
		if last, err = strconv.ParseInt(string(row[7]), 10, 64); err != nil {
			return err
		}
		return e.clock(b, string(row[0]))
	})
	if err != nil {
		return &passing{err}
	}
	if last < e.committed {
		if err := e.rowsWereLost(b, last); err != nil {
			return err
		}
	}
	if b.anyhow {
		return nil
	}
	return e.l.outvoted(said)
}

// rowsWereLost is for a failover to a standby that lagged: what this process knows to be
// committed is not there. What else is gone nobody knows, receipts that went out among
// it, so the generation rises: each appliance offers everything again that is not
// archived. That is committed with what this transaction is for, or found once more.
func (e *postgres) rowsWereLost(b *batch, last int64) error {
	e.l.log.Error("the database has lost rows that it had confirmed: a failover to a standby that lagged, or a backup; appliances offer everything again that is not archived",
		"transactions", e.committed-last)
	e.epoch.Add(1) // no answer comes from the old primary any more
	generation, err := b.nextGeneration()
	if err != nil {
		return err
	}
	return b.audit(b.me(), "rows lost", "ledger", fmt.Sprintf("the last %d transactions of this process are not there; generation %d", e.committed-last, generation))
}

// isBack ends an absence.
func (e *postgres) isBack() {
	if e.absent.Swap(false) {
		e.l.log.Info("the database is back")
		e.l.broadcastAll() // others may have written
	}
}

// clock takes the database's time for all nodes, unless Config has one.
func (e *postgres) clock(b *batch, text string) error {
	now, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return err
	}
	if own := e.l.config.Now().UnixMilli(); e.l.told {
		now = own
	} else {
		e.offset.Store(now - own)
	}
	b.now = now
	return nil
}

// raw calls do with the connection that writes.
func (e *postgres) raw(do func(*pgx.Conn) error) error {
	return e.l.conn.Raw(func(c any) error { return do(c.(*pgConn).Conn.Conn()) })
}

// commit sends what belongs to each transaction, and COMMIT, in one round trip. The
// number in the row of this process says after a lost answer whether it was committed.
// The server answers after the fsync of its log.
func (e *postgres) commit(b *batch) error {
	e.number++
	var last pgx.Batch
	for name, n := range b.counts {
		last.Queue(`UPDATE counters SET n = n + $1 WHERE name = $2`, n, name)
	}
	last.Queue(`INSERT INTO writers (id, n, at) VALUES ($1, $2, $3) ON CONFLICT (id) DO UPDATE SET n = excluded.n, at = excluded.at`, e.writer, e.number, b.now)
	for _, words := range b.news() {
		last.Queue(`SELECT pg_notify($1, $2)`, channel, words)
	}
	last.Queue(`COMMIT`)
	tag := ""
	e.unsynced.Store(false)
	err := e.raw(func(c *pgx.Conn) error {
		results := c.SendBatch(b.ctx, &last)
		for range last.Len() {
			t, err := results.Exec()
			if err != nil {
				return errors.Join(err, results.Close())
			}
			tag = t.String()
		}
		return results.Close()
	})
	switch {
	case err == nil && tag != "COMMIT":
		return fmt.Errorf("the transaction was not committed: %s", tag) // a statement had failed and nobody said so
	case err == nil && e.unsynced.Load():
		err = e.outcome(errUnsynced)
	case err != nil && e.broken():
		err = e.outcome(err)
	}
	if err == nil {
		e.committed = e.number
		e.isBack()
	}
	return err
}

// errUnsynced is of a COMMIT that the primary has, and the synchronous standby perhaps not.
var errUnsynced = errors.New("the wait for the synchronous standby was cancelled")

// noticed hears a warning, which is all that PostgreSQL says when it commits without its
// standby. Its words are in the server's language, the routine's name is not.
func (e *postgres) noticed(_ *pgconn.PgConn, n *pgconn.Notice) {
	if n.Routine == "SyncRepWaitForLSN" {
		e.unsynced.Store(true)
	}
}

// broken says that the connection that writes is of no use any more.
func (e *postgres) broken() bool {
	if e.l.conn == nil {
		return true
	}
	broken := true
	_ = e.raw(func(c *pgx.Conn) error {
		broken = c.IsClosed()
		return nil
	})
	return broken
}

// outcome finds out whether a transaction was committed whose end was not heard. The
// lock says that the session that was lost has ended, one way or the other; then the
// number is there or it never will be. It writes itself, so that where there is a
// synchronous standby that one has all up to here when it returns.
func (e *postgres) outcome(cause error) error {
	deadline := time.Now().Add(e.patient + e.lockWait) // the lost session may hold the lock that long
	for pause := 20 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		e.disconnect()
		n, err := e.lastNumber()
		switch {
		case err == nil && n == e.number:
			return nil
		case err == nil:
			return &passing{fmt.Errorf("not committed: %w", cause)}
		case time.Now().After(deadline):
			e.lost(errors.Join(cause, err))
			return fmt.Errorf("%w: %w", errUnknown, errors.Join(cause, err))
		}
		time.Sleep(pause)
	}
}

func (e *postgres) lastNumber() (int64, error) {
	ctx, cancel := context.WithTimeout(context.Background(), e.lockWait+connectTimeout)
	defer cancel()
	if err := e.l.connect(ctx); err != nil {
		return 0, err
	}
	var n int64
	e.unsynced.Store(false)
	err := e.raw(func(c *pgx.Conn) error {
		results, err := c.PgConn().Exec(ctx, fmt.Sprintf(`BEGIN; SELECT pg_advisory_xact_lock(%d); SELECT coalesce(max(n), 0) FROM writers WHERE id = '%[2]s'; UPDATE writers SET at = at WHERE id = '%[2]s'; COMMIT`, writersLock, e.writer)).ReadAll()
		if err != nil {
			return err
		}
		if e.unsynced.Load() {
			return errUnsynced
		}
		n, err = strconv.ParseInt(string(results[2].Rows[0][0]), 10, 64)
		return err
	})
	return n, err
}

// disconnect gives up the connection that writes, and what was prepared on it.
func (e *postgres) disconnect() {
	e.l.stmts = map[string]*sql.Stmt{}
	if e.l.conn == nil {
		return
	}
	_ = e.l.conn.Raw(func(any) error { return driver.ErrBadConn }) // so that the pool does not keep it
	_ = e.l.conn.Close()
	e.l.conn = nil
}

// rollback leaves a connection that can be used, or none.
func (e *postgres) rollback(*batch) {
	if e.l.conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), connectTimeout)
	defer cancel()
	err := e.raw(func(c *pgx.Conn) error {
		if c.PgConn().TxStatus() == 'I' {
			return nil
		}
		_, err := c.PgConn().Exec(ctx, `ROLLBACK`).ReadAll()
		return err
	})
	if err != nil || e.broken() {
		e.disconnect()
	}
}

// passing is an error that is nobody's fault.
type passing struct{ error }

func (p *passing) Unwrap() error { return p.error }

// passes: the database is away, too busy, or has taken our transaction for another's
// sake (PostgreSQL's documentation, Appendix A).
func (e *postgres) passes(err error) bool {
	var p *passing
	var s *pgconn.PgError
	switch {
	case err == nil, errors.Is(err, errUnknown), errors.Is(err, errSlow):
		return false
	case errors.As(err, &p):
		return true
	case errors.As(err, &s):
		switch s.Code {
		case "40001", "40P01", lockNotAvailable, "57014", "57P01", "57P02", "57P03", "57P05", "25P03", "25P04", "25006", "0A000":
			return true // serialization, deadlock, lock and statement timeout, shutdown, idle session, a standby, a plan from before a migration
		}
		return s.Code[:2] == "08" || s.Code[:2] == "53" // connection; too many of them, disk full
	}
	return isLost(err)
}

// lockNotAvailable is said after lock_timeout.
const lockNotAvailable = "55P03"

// patience: a restart takes a second or two. When the database was away already, once is
// enough.
const patience = 10 * time.Second

func (e *postgres) pause(err error, n int, began time.Time) (time.Duration, bool) {
	if e.absent.Load() || time.Since(began) > e.patient {
		e.lost(err)
		return 0, false
	}
	return min(time.Second, 20*time.Millisecond<<min(n, 6)), true
}

// lost notes that the database is away, and says so once. One that another node keeps
// us waiting at is there.
func (e *postgres) lost(why error) {
	var s *pgconn.PgError
	if errors.As(why, &s) && s.Code == lockNotAvailable {
		e.isBack()
		e.l.log.Warn("another node has kept the writers' lock for long: nothing was received meanwhile")
		return
	}
	if !e.absent.Swap(true) {
		e.l.log.Warn("the database is away: nothing is received until it is back", "database", e.String(), "err", why)
	}
}

// judge: none of a server's errors ends the program, it has its own disk to look after.
func (e *postgres) judge(err error) error { return err }

func (e *postgres) insert(b *batch, query string, args []any) ([]int64, error) {
	s, err := b.stmt(query + ` RETURNING seq`)
	if err != nil {
		return nil, err
	}
	rows, err := s.Query(args...)
	if err != nil {
		return nil, err
	}
	return collect[int64](rows)
}
