package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

// Tried is what a database says that a hub has not been started on yet.
type Tried struct {
	Server string        // in words
	Schema int           // version of the rows there, 0: none yet
	Known  int           // that this program brings them to
	Ahead  time.Duration // of the database's clock
	Hub    bool          // rows of a hub are there
	CA     string        // SHA-256 of the certificate that the rows are about; "" when none was noted
}

// Try asks the database of config and changes nothing there: rows are not brought
// forward. What Open would refuse is an error.
func Try(ctx context.Context, config Config) (Tried, error) {
	t := Tried{Known: len(migrations)}
	try := t.trySQLite
	if config.Database != "" {
		try = t.tryPostgres
	}
	err := try(ctx, config)
	if err == nil && t.Schema > t.Known {
		err = fmt.Errorf("its schema has version %d, this program knows %d: a newer hubd has run here, install that one", t.Schema, t.Known)
	}
	return t, err
}

func (t *Tried) trySQLite(ctx context.Context, config Config) error {
	t.Server = "SQLite in " + config.Path
	if _, err := os.Stat(config.Path); errors.Is(err, fs.ErrNotExist) {
		t.Server += ", made at the first start"
		return nil
	}
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: config.Path}).EscapedPath()+"?_pragma=busy_timeout(5000)&_pragma=query_only(1)")
	if err != nil {
		return err
	}
	defer db.Close()
	if err := db.QueryRowContext(ctx, `PRAGMA user_version`).Scan(&t.Schema); err != nil {
		return err
	}
	return t.hub(ctx, db)
}

func (t *Tried) hub(ctx context.Context, db *sql.DB) error {
	if t.Hub = t.Schema > 0; !t.Hub {
		return nil
	}
	return db.QueryRowContext(ctx, `SELECT coalesce(max(value), '') FROM meta WHERE key = 'ca'`).Scan(&t.CA)
}

func (t *Tried) tryPostgres(ctx context.Context, config Config) error {
	c, err := pgx.ParseConfig(config.Database)
	if err != nil {
		return err // pgx leaves the password out
	}
	if len(c.Fallbacks) > 0 && c.ValidateConnect == nil {
		c.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite // as open
	}
	db := sql.OpenDB(dialect{stdlib.GetConnector(*c, stdlib.OptionAfterConnect(func(_ context.Context, c *pgx.Conn) error { return oldEnough(c) }))})
	defer db.Close()
	var s safety
	if err := db.QueryRowContext(ctx, safetyQuery).Scan(&s.fsync, &s.commit, &s.pages, &s.encoding); err != nil {
		return err
	}
	if err := s.judge(); err != nil {
		return err
	}
	var version string
	var there, may, leads bool
	var now int64
	began := time.Now()
	err = db.QueryRowContext(ctx, `SELECT current_setting('server_version'), to_regclass('version') IS NOT NULL, has_schema_privilege(current_schema(), 'CREATE'),
		NOT pg_is_in_recovery(), (extract(epoch FROM clock_timestamp()) * 1000)::bigint`).Scan(&version, &there, &may, &leads, &now)
	if err != nil {
		return err
	}
	middle := began.Add(time.Since(began) / 2)
	t.Server, t.Ahead = fmt.Sprintf("PostgreSQL %s, database %s at %s:%d", version, c.Database, c.Host, c.Port), time.UnixMilli(now).Sub(middle)
	switch {
	case !leads:
		return errors.New("this server is a standby that takes no writes: name the primary, or all of them with target_session_attrs=read-write")
	case !may:
		return errors.New("this user may create no tables: GRANT CREATE ON SCHEMA public TO the user, or make the user the owner of the database")
	case there:
		if err := db.QueryRowContext(ctx, `SELECT coalesce(max(n), 0) FROM version`).Scan(&t.Schema); err != nil {
			return err
		}
	}
	return t.hub(ctx, db)
}
