package ledger

import (
	"context"
	"database/sql"
	"errors"
	"slices"
)

// asker is a connection or a transaction.
type asker interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

// dumping is what the two databases say differently of themselves.
type dumping struct {
	tables       string // all that are ours, as they were created: those that others refer to first
	patient      string // lets this transaction wait for what it restores
	unlimited    string // lets a statement of this transaction take its time
	sequences    func(context.Context, asker, []string) (map[string]int64, error)
	setSequences func(context.Context, asker, map[string]int64) error
}

func (l *Ledger) dumping() dumping {
	if _, ok := l.engine.(*postgres); ok {
		return dumping{
			tables:       `SELECT c.relname FROM pg_class c WHERE c.relkind = 'r' AND c.relnamespace = current_schema()::regnamespace ORDER BY c.oid`,
			patient:      `SET LOCAL idle_in_transaction_session_timeout = 0`,
			unlimited:    `SET LOCAL statement_timeout = 0`,
			sequences:    pgSequences,
			setSequences: pgSetSequences,
		}
	}
	return dumping{
		tables:       `SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY rowid`,
		patient:      `SELECT 1`,
		unlimited:    `SELECT 1`,
		sequences:    sqliteSequences,
		setSequences: sqliteSetSequences,
	}
}

// ofThisProcess are tables that say who runs now, and which schema this is: they are
// of no use in another life.
var ofThisProcess = []string{"nodes", "writers", "version"}

func (l *Ledger) tables(ctx context.Context, q asker) ([]string, error) {
	rows, err := q.QueryContext(ctx, l.dumping().tables)
	if err != nil {
		return nil, err
	}
	all, err := collect[string](rows)
	return slices.DeleteFunc(all, func(t string) bool { return slices.Contains(ofThisProcess, t) }), err
}

// sqliteSequences are the highest numbers ever given, by table.
func sqliteSequences(ctx context.Context, q asker, _ []string) (map[string]int64, error) {
	rows, err := q.QueryContext(ctx, `SELECT name, seq FROM sqlite_sequence`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := map[string]int64{}
	for rows.Next() {
		var name string
		var n int64
		if err := rows.Scan(&name, &n); err != nil {
			return nil, err
		}
		out[name] = n
	}
	return out, rows.Err()
}

// sqliteSetSequences goes on counting where the dump stopped, also where the rows with
// the highest numbers are gone.
func sqliteSetSequences(ctx context.Context, q asker, sequences map[string]int64) error {
	for table, n := range sequences {
		r, err := q.ExecContext(ctx, `UPDATE sqlite_sequence SET seq = max(seq, ?) WHERE name = ?`, n, table)
		if err != nil {
			return err
		}
		if changed, err := r.RowsAffected(); err != nil || changed > 0 {
			if err != nil {
				return err
			}
			continue
		}
		if _, err := q.ExecContext(ctx, `INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)`, table, n); err != nil {
			return err
		}
	}
	return nil
}

// pgSequence is the name of the sequence behind column seq of a table, NULL without one.
const pgSequence = `SELECT CASE WHEN EXISTS (SELECT 1 FROM information_schema.columns c WHERE c.table_schema = current_schema() AND c.table_name = ?1 AND c.column_name = 'seq')
	THEN pg_get_serial_sequence(?1, 'seq') END`

func pgSequences(ctx context.Context, q asker, tables []string) (map[string]int64, error) {
	out := map[string]int64{}
	for _, t := range tables {
		var name sql.NullString
		if err := q.QueryRowContext(ctx, pgSequence, t).Scan(&name); err != nil {
			return nil, err
		}
		if !name.Valid {
			continue
		}
		var last int64
		var called bool
		if err := q.QueryRowContext(ctx, `SELECT last_value, is_called FROM `+name.String).Scan(&last, &called); err != nil {
			return nil, err
		}
		if called {
			out[t] = last
		}
	}
	return out, nil
}

func pgSetSequences(ctx context.Context, q asker, sequences map[string]int64) error {
	for table, n := range sequences {
		var name sql.NullString
		if err := q.QueryRowContext(ctx, pgSequence, table).Scan(&name); err != nil {
			return err
		}
		if !name.Valid {
			return errors.New("table " + table + " has no numbers of its own")
		}
		if n < 1 {
			continue
		}
		var was int64
		if err := q.QueryRowContext(ctx, `SELECT setval(?1::text::regclass, ?2)`, name.String, n).Scan(&was); err != nil {
			return err
		}
	}
	return nil
}
