package ledger

import (
	"bufio"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"time"
	"unicode/utf8"
)

// The dump of a ledger is text, one JSON value a line (RFC 8259), the same from
// either database:
//
//	{"format":"edged-hub-ledger","version":1,"schema":11,"ledger":"..","generation":1,"at":"..","software":"..","sequences":{"objects":7,..}}
//	{"table":"objects","columns":["seq","id",..]}     each table once, those that others refer to first
//	[7,{"b":"BASE64"},"1.2.840..",null,..]            its rows: number, text, null,
//	                                                  {"b":..} bytes, {"t":..} text that is not UTF-8
//	{"rows":12345,"sha256":"64 hexadecimal digits"}   of every byte before this line
//
// Nothing follows the last line, and each line ends with a line feed: a dump that was
// cut or changed anywhere is not taken.
const (
	dumpFormat  = "edged-hub-ledger"
	dumpVersion = 1
)

// Dump says what a dump is of.
type Dump struct {
	Format     string           `json:"format"`
	Version    int              `json:"version"`
	Schema     int              `json:"schema"`
	Ledger     string           `json:"ledger"`
	Generation uint64           `json:"generation"`
	At         time.Time        `json:"at"`
	Software   string           `json:"software"`
	Sequences  map[string]int64 `json:"sequences"` // the highest number ever given, by table

	Rows   int64            `json:"-"`
	Tables map[string]int64 `json:"-"` // rows, by table
	SHA256 string           `json:"-"`
}

// dumpedTable begins the rows of one.
type dumpedTable struct {
	Table   string   `json:"table"`
	Columns []string `json:"columns"`
}

// dumpEnd is the last line.
type dumpEnd struct {
	Rows   int64  `json:"rows"`
	SHA256 string `json:"sha256"`
}

// Dump writes all rows as they are at one moment, while others go on writing. It
// keeps one row in memory.
func (l *Ledger) Dump(ctx context.Context, w io.Writer, software string) (Dump, error) {
	d := &dumper{w: bufio.NewWriterSize(w, 1<<20)}
	d.Dump = Dump{Format: dumpFormat, Version: dumpVersion, Schema: len(migrations), At: l.config.Now().UTC().Truncate(time.Second), Software: software,
		Sequences: map[string]int64{}, Tables: map[string]int64{}}
	err := l.Reading(ctx, func(tx *sql.Tx) error { return d.all(ctx, l, tx) })
	if err == nil {
		err = d.w.Flush()
	}
	if err != nil {
		return d.Dump, fmt.Errorf("dump of the ledger: %w", err)
	}
	return d.Dump, nil
}

type dumper struct {
	Dump
	w   *bufio.Writer
	sum interface {
		io.Writer
		Sum([]byte) []byte
	}
	line []byte
}

func (d *dumper) all(ctx context.Context, l *Ledger, tx *sql.Tx) error {
	d.sum = sha256.New()
	if _, err := tx.ExecContext(ctx, l.dumping().unlimited); err != nil {
		return err
	}
	var generation string
	if err := tx.QueryRowContext(ctx, `SELECT (SELECT value FROM meta WHERE key = 'ledger_id') AS id, (SELECT value FROM meta WHERE key = 'generation') AS generation`).Scan(&d.Ledger, &generation); err != nil {
		return err
	}
	var err error
	if d.Generation, err = strconv.ParseUint(generation, 10, 64); err != nil {
		return err
	}
	tables, err := l.tables(ctx, tx)
	if err != nil {
		return err
	}
	if d.Sequences, err = l.dumping().sequences(ctx, tx, tables); err != nil {
		return err
	}
	if err := d.json(d.Dump); err != nil {
		return err
	}
	for _, t := range tables {
		if err := d.table(ctx, tx, t); err != nil {
			return fmt.Errorf("table %s: %w", t, err)
		}
	}
	end, err := json.Marshal(dumpEnd{d.Rows, d.digest()})
	if err != nil {
		return err
	}
	_, err = d.w.Write(append(end, '\n'))
	return err
}

func (d *dumper) digest() string {
	d.SHA256 = hex.EncodeToString(d.sum.Sum(nil))
	return d.SHA256
}

func (d *dumper) json(v any) error {
	line, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return d.put(append(line, '\n'))
}

func (d *dumper) put(line []byte) error {
	_, _ = d.sum.Write(line)
	_, err := d.w.Write(line)
	return err
}

func (d *dumper) table(ctx context.Context, tx *sql.Tx, name string) error {
	rows, err := tx.QueryContext(ctx, `SELECT * FROM `+name)
	if err != nil {
		return err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return err
	}
	if err := d.json(dumpedTable{name, columns}); err != nil {
		return err
	}
	values, into := make([]any, len(columns)), make([]any, len(columns))
	for i := range values {
		into[i] = &values[i]
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return err
		}
		if err := d.row(values); err != nil {
			return err
		}
		d.Rows++
		d.Tables[name]++
	}
	return rows.Err()
}

func (d *dumper) row(values []any) error {
	line := append(d.line[:0], '[')
	for i, v := range values {
		if i > 0 {
			line = append(line, ',')
		}
		var err error
		if line, err = appendValue(line, v); err != nil {
			return err
		}
	}
	d.line = append(line, ']', '\n')
	return d.put(d.line)
}

// appendValue writes one of the values that our tables hold.
func appendValue(line []byte, v any) ([]byte, error) {
	switch v := v.(type) {
	case nil:
		return append(line, "null"...), nil
	case int64:
		return strconv.AppendInt(line, v, 10), nil
	case []byte:
		return appendBytes(line, 'b', v), nil
	case string:
		if !utf8.ValidString(v) {
			return appendBytes(line, 't', []byte(v)), nil
		}
		text, err := json.Marshal(v)
		return append(line, text...), err
	}
	return nil, fmt.Errorf("a value of type %T", v)
}

func appendBytes(line []byte, kind byte, v []byte) []byte {
	line = append(line, '{', '"', kind, '"', ':', '"')
	line = base64.StdEncoding.AppendEncode(line, v)
	return append(line, '"', '}')
}
