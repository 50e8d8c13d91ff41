package ledger

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"regexp"
	"slices"
)

// ErrDump means that a file is no whole, unchanged dump that this program can read.
var ErrDump = errors.New("not a usable dump of a ledger")

// maxDumpLine is more than any row has: the words of an archive are bounded where
// they are received.
const maxDumpLine = 4 << 20

// CheckDump reads a dump to its end and compares its digest.
func CheckDump(r io.Reader) (Dump, error) {
	d := newDumpReader(r)
	err := d.all(func(string, []string) error { return nil }, func([]any) error { return nil })
	return d.Dump, err
}

// dumpReader gives out tables and rows. Nothing that it gives counts before all has
// returned without error: the digest stands at the end.
type dumpReader struct {
	Dump
	r    *bufio.Reader
	sum  hash.Hash
	line []byte
	n    int
}

func newDumpReader(r io.Reader) *dumpReader {
	return &dumpReader{r: bufio.NewReaderSize(r, 256<<10), sum: sha256.New(), Dump: Dump{Tables: map[string]int64{}}}
}

func (d *dumpReader) bad(format string, args ...any) error {
	return fmt.Errorf("%w: line %d: "+format, append([]any{ErrDump, d.n}, args...)...)
}

// next reads one line. A line without an end is a cut file.
func (d *dumpReader) next() error {
	d.n++
	d.line = d.line[:0]
	for {
		part, err := d.r.ReadSlice('\n')
		d.line = append(d.line, part...)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, bufio.ErrBufferFull) && len(d.line) < maxDumpLine:
		case errors.Is(err, bufio.ErrBufferFull):
			return d.bad("it is longer than %d bytes", maxDumpLine)
		case err == io.EOF:
			return d.bad("the file ends before the dump does: it was cut")
		default:
			return fmt.Errorf("read the dump: %w", err)
		}
	}
}

var tableName = regexp.MustCompile(`^[a-z][a-z_]{0,62}$`)

func (d *dumpReader) all(table func(name string, columns []string) error, row func([]any) error) error {
	if err := d.header(); err != nil {
		return err
	}
	name, columns := "", []string(nil)
	for {
		if err := d.next(); err != nil {
			return err
		}
		if bytes.HasPrefix(d.line, []byte(`{"rows":`)) {
			return d.end()
		}
		_, _ = d.sum.Write(d.line)
		if bytes.HasPrefix(d.line, []byte(`{"table":`)) {
			var t dumpedTable
			if err := d.unmarshal(&t); err != nil {
				return err
			}
			if !d.good(t) {
				return d.bad("no table or a table twice")
			}
			name, columns = t.Table, t.Columns
			d.Tables[name] = 0
			if err := table(name, columns); err != nil {
				return err
			}
			continue
		}
		values, err := d.values(len(columns))
		if err != nil {
			return err
		}
		d.Rows++
		d.Tables[name]++
		if err := row(values); err != nil {
			return err
		}
	}
}

// good says whether names can stand in a statement.
func (d *dumpReader) good(t dumpedTable) bool {
	_, twice := d.Tables[t.Table]
	names := append([]string{t.Table}, t.Columns...)
	return !twice && len(t.Columns) > 0 && len(t.Columns) <= 100 && !slices.ContainsFunc(names, func(n string) bool { return !tableName.MatchString(n) })
}

// header is judged before anything else: what a newer program wrote is not guessed at.
func (d *dumpReader) header() error {
	if err := d.next(); err != nil {
		return err
	}
	_, _ = d.sum.Write(d.line)
	h := Dump{}
	if err := json.Unmarshal(d.line, &h); err != nil || h.Format != dumpFormat {
		return d.bad("it does not begin as one")
	}
	if h.Version != dumpVersion {
		return d.bad("it has format version %d, this program reads %d: use the hubd that wrote it (%.60q), or a newer one", h.Version, dumpVersion, h.Software)
	}
	if err := d.unmarshal(&h); err != nil {
		return err
	}
	h.Tables = d.Tables
	d.Dump = h
	return nil
}

func (d *dumpReader) unmarshal(into any) error {
	dec := json.NewDecoder(bytes.NewReader(d.line))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return d.bad("%v", err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return d.bad("more than one value")
	}
	return nil
}

func (d *dumpReader) end() error {
	want, err := json.Marshal(dumpEnd{d.Rows, hex.EncodeToString(d.sum.Sum(nil))})
	if err != nil {
		return err
	}
	if string(d.line) != string(want)+"\n" {
		return d.bad("its digest is not that of what stands before it: the file was changed or damaged")
	}
	if _, err := d.r.ReadByte(); err != io.EOF {
		return d.bad("something follows the end")
	}
	d.SHA256 = hex.EncodeToString(d.sum.Sum(nil))
	return nil
}

// values reads a row of n values.
func (d *dumpReader) values(n int) ([]any, error) {
	dec := json.NewDecoder(bytes.NewReader(d.line))
	dec.UseNumber()
	var raw []any
	if err := dec.Decode(&raw); err != nil {
		return nil, d.bad("%v", err)
	}
	if _, err := dec.Token(); err != io.EOF || len(raw) != n || n == 0 {
		return nil, d.bad("%d values where the table has %d columns", len(raw), n)
	}
	for i, v := range raw {
		var err error
		if raw[i], err = value(v); err != nil {
			return nil, d.bad("%v", err)
		}
	}
	return raw, nil
}

func value(v any) (any, error) {
	switch v := v.(type) {
	case nil, string:
		return v, nil
	case json.Number:
		return v.Int64()
	case map[string]any:
		for kind, text := range v {
			s, ok := text.(string)
			if !ok || len(v) != 1 {
				break
			}
			b, err := base64.StdEncoding.Strict().DecodeString(s)
			switch {
			case err != nil:
				return nil, err
			case kind == "b":
				return b, nil
			case kind == "t":
				return string(b), nil
			}
		}
	}
	return nil, fmt.Errorf("an unknown kind of value")
}
