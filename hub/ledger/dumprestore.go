package ledger

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"edged/hub"
)

// ErrNotEmpty means that the ledger holds rows already.
var ErrNotEmpty = errors.New("the ledger is not empty: a dump is restored into a new one only; name another database or another data_dir")

// Restored says what came of a dump.
type Restored struct {
	Dump
	Generation uint64 // of the ledger from now on
	Waiting    int64  // objects that are not archived
	Missing    int64  // of these, objects whose bytes are not here

	lost map[int64]bool // by number: they were lost when they were dumped
}

// Restore fills an empty ledger, of either database, from a dump: all of it in one
// transaction, or nothing. Numbers, identity and counters are those of the dump; the
// generation rises, so that each appliance offers everything again that is not
// archived. Leases are over.
//
// here reports whether the hub has the bytes of an object. Of one that is not
// archived and not here no receipt counts any more, so that an appliance that still
// has it sends it. Its jobs stay: a destination may turn out to have it, and only
// when none has, appliances are asked. That is asked after the transaction, page by
// page, and before it is answered no receipt counts: when it is cut off, more is sent
// again than would have to be.
func (l *Ledger) Restore(ctx context.Context, dump io.ReadSeeker, here func(hub.ID) (bool, error), actor string) (Restored, error) {
	var done Restored
	err := l.submit(ctx, &change{endless: true, do: func(b *batch) error {
		if _, err := dump.Seek(0, io.SeekStart); err != nil { // a transaction may be tried again
			return err
		}
		done = Restored{}
		return b.restore(ctx, dump, actor, &done)
	}})
	if err == nil {
		if err = l.missing(ctx, here, actor, &done); err != nil {
			err = fmt.Errorf("all rows are restored, but not all objects were looked for: what was not is asked for again when appliances connect: %w", err)
		}
	}
	if err != nil {
		return done, fmt.Errorf("restore the ledger: %w", err)
	}
	return done, nil
}

func (b *batch) restore(ctx context.Context, dump io.Reader, actor string, done *Restored) error {
	if _, err := b.conn.ExecContext(ctx, b.dumping().patient); err != nil {
		return err
	}
	tables, err := b.tables(ctx, b.conn)
	if err != nil {
		return err
	}
	if err := b.mustBeEmpty(tables); err != nil {
		return err
	}
	for _, t := range slices.Backward(tables) {
		if _, err := b.exec(`DELETE FROM ` + t); err != nil {
			return err
		}
	}
	in := newDumpReader(dump)
	load := &loader{batch: b, in: in, tables: tables}
	if err := in.all(load.begin, load.add); err != nil {
		return err
	}
	if err := load.flush(); err != nil {
		return err
	}
	done.Dump = in.Dump
	if err := b.dumping().setSequences(ctx, b.conn, in.Sequences); err != nil {
		return err
	}
	return b.reborn(actor, done)
}

// filledAtBirth are the tables in which a ledger that nobody used has rows.
var filledAtBirth = map[string]bool{"meta": true, "counters": true}

func (b *batch) mustBeEmpty(tables []string) error {
	for _, t := range tables {
		if filledAtBirth[t] {
			continue
		}
		var n int
		if err := b.row(`SELECT count(*) FROM (SELECT 1 AS one FROM ` + t + ` LIMIT 1) AS x`).Scan(&n); err != nil {
			return err
		}
		if n > 0 {
			return fmt.Errorf("table %s: %w", t, ErrNotEmpty)
		}
	}
	return nil
}

// loader inserts rows, several with one statement.
type loader struct {
	*batch
	in     *dumpReader
	tables []string

	table   string
	columns []string
	held    []any
	rows    int
}

// rowsAtOnce saves round trips; what is left over goes one by one.
const rowsAtOnce = 256

func (l *loader) begin(table string, columns []string) error {
	if l.in.Schema != len(migrations) {
		return fmt.Errorf("%w: it was written with schema %d by %.60q, this program has schema %d: restore it with the hubd that wrote it, then install this one, which brings the schema forward",
			ErrDump, l.in.Schema, l.in.Software, len(migrations))
	}
	if err := l.flush(); err != nil {
		return err
	}
	if !slices.Contains(l.tables, table) {
		return fmt.Errorf("%w: it has a table %s that this program does not know", ErrDump, table)
	}
	l.table, l.columns = table, columns
	return nil
}

func (l *loader) add(values []any) error {
	l.held = append(l.held, values...)
	if l.rows++; l.rows < rowsAtOnce {
		return nil
	}
	err := l.insert(l.rows, l.held)
	l.held, l.rows = l.held[:0], 0
	return err
}

func (l *loader) flush() error {
	for n := len(l.columns); len(l.held) > 0; l.held = l.held[n:] {
		if err := l.insert(1, l.held[:n]); err != nil {
			return err
		}
	}
	l.held, l.rows = nil, 0
	return nil
}

func (l *loader) insert(rows int, values []any) error {
	one := "(?" + strings.Repeat(",?", len(l.columns)-1) + ")"
	_, err := l.exec(`INSERT INTO `+l.table+` (`+strings.Join(l.columns, ", ")+`) VALUES `+one+strings.Repeat(","+one, rows-1), values...)
	if err != nil {
		return fmt.Errorf("table %s: %w", l.table, err)
	}
	return nil
}

// reborn makes of the rows of then a ledger of now.
func (b *batch) reborn(actor string, done *Restored) error {
	// The same dump may be restored twice, so the next number is not enough.
	done.Generation = max(done.Dump.Generation+1, uint64(b.now/1000))
	for _, s := range []struct {
		query string
		args  []any
	}{
		{`UPDATE meta SET value = ? WHERE key = 'generation'`, []any{fmt.Sprint(done.Generation)}},
		{`UPDATE jobs SET state = 'pending' WHERE state = 'leased'`, nil},
	} {
		if _, err := b.exec(s.query, s.args...); err != nil {
			return err
		}
	}
	if err := b.note(restoredAt, fmt.Sprint(b.now)); err != nil {
		return err
	}
	if err := b.doubtAll(done); err != nil {
		return err
	}
	return b.audit(actor, "restored", "ledger", fmt.Sprintf("from a dump of %s, generation %d of ledger %s; generation %d from now on; %d rows",
		done.At.Format("2006-01-02 15:04:05"), done.Dump.Generation, done.Ledger, done.Generation, done.Rows))
}

// doubtAll: as long as an object is lost no receipt of it counts (Known). All are until
// missing has looked, but for those that were lost when they were dumped.
func (b *batch) doubtAll(done *Restored) error {
	s, err := b.stmt(`SELECT seq FROM objects WHERE lost = 1`)
	if err != nil {
		return err
	}
	rows, err := s.Query()
	if err != nil {
		return err
	}
	lost, err := collect[int64](rows)
	if err != nil {
		return err
	}
	done.lost = map[int64]bool{}
	for _, seq := range lost {
		done.lost[seq] = true
	}
	_, err = b.exec(`UPDATE objects SET lost = 1 WHERE archived_at IS NULL`)
	return err
}

// missing looks for the bytes of what waits for an archive, page by page.
func (l *Ledger) missing(ctx context.Context, here func(hub.ID) (bool, error), actor string, done *Restored) error {
	for after := int64(0); ; {
		rows, err := l.read.QueryContext(ctx, `SELECT seq, id FROM objects WHERE archived_at IS NULL AND seq > ? ORDER BY seq LIMIT 1000`, after)
		if err != nil {
			return err
		}
		list, err := collectNumbered(rows)
		if err != nil {
			return err
		}
		if len(list) == 0 {
			return l.submit(ctx, &change{anyhow: true, do: func(b *batch) error {
				return b.audit(actor, "restored", "ledger", fmt.Sprintf("%d objects not archived, %d of them not here", done.Waiting, done.Missing))
			}})
		}
		var found []any
		for _, o := range list {
			after = o.seq
			ok, err := here(o.id)
			if err != nil {
				return err
			}
			done.Waiting++
			if !ok {
				done.Missing++
			} else if !done.lost[o.seq] {
				found = append(found, o.seq)
			}
		}
		if err := l.areHere(ctx, found); err != nil {
			return err
		}
	}
}

// areHere ends the doubt about objects.
func (l *Ledger) areHere(ctx context.Context, found []any) error {
	return l.submit(ctx, &change{anyhow: true, do: func(b *batch) error {
		for chunk := range slices.Chunk(found, maxMarks) {
			args := slices.Clone(chunk)
			if _, err := b.exec(`UPDATE objects SET lost = 0 WHERE seq IN `+marks(&args, 0), args...); err != nil {
				return err
			}
		}
		return nil
	}})
}

// numbered is an object by its two names.
type numbered struct {
	seq int64
	id  hub.ID
}

func collectNumbered(rows interface {
	Next() bool
	Scan(...any) error
	Err() error
	Close() error
}) (out []numbered, err error) {
	defer rows.Close()
	for rows.Next() {
		var n numbered
		var id []byte
		if err := rows.Scan(&n.seq, &id); err != nil {
			return nil, err
		}
		if len(id) != len(n.id) {
			return nil, fmt.Errorf("%w: an object whose ID has %d bytes", ErrDump, len(id))
		}
		n.id = hub.ID(id)
		out = append(out, n)
	}
	return out, rows.Err()
}
