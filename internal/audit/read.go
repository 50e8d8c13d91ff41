package audit

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

// Report is what Read says of the log as a whole.
type Report struct {
	Events  int
	Head    string   // SHA-256 of the last row; whoever notes it elsewhere sees later whether rows were cut off
	Seq     uint64   // of the last row
	Torn    int64    // bytes of an unfinished row at the end; no damage
	Breaks  []string // where the chain is broken; the first maxBreaks of them
	Broken  int      // how often
	Without []uint64 // intents without an outcome: a crash came between
}

const maxBreaks = 100

// Read visits every event, oldest first, and verifies the chain on the way. What
// does not fit is told in the report and does not end it; what cannot be opened
// for want of the key is an error.
func Read(dir string, key []byte, visit func(Event) error) (Report, error) {
	return ReadSince(dir, key, nil, visit)
}

func readAll(dir string, r reader) (Report, error) {
	names, err := files(dir)
	if err != nil {
		return Report{}, err
	}
	for i, name := range names {
		if err := r.file(name, i == len(names)-1); err != nil {
			return r.rep, fmt.Errorf("audit log %s: %w", name, err)
		}
	}
	return r.report(), nil
}

func newReader(own []byte, visit func(Event) error, known []Head) reader {
	return reader{key: own, visit: visit, intents: make(map[uint64]struct{}), known: known}
}

func (r *reader) report() Report {
	r.missing()
	r.rep.Without = slices.Sorted(maps.Keys(r.intents))
	if r.rep.Seq > 0 {
		r.rep.Head = hex.EncodeToString(r.hash[:])
	}
	return r.rep
}

type reader struct {
	key     []byte // ReadingKey
	blind   bool   // sealed rows are not opened: only the chain is looked at
	known   []Head
	visit   func(Event) error
	rep     Report
	hash    digest
	sealed  bool
	torn    int64               // bytes of the lines since the last row that are none,
	strange []string            // where those lines are, as long as they may be an unfinished row
	intents map[uint64]struct{} // still without an outcome
}

// file reads one log. Only the last one may end in an unfinished row; a file in
// the middle that does was cut.
func (r *reader) file(name string, last bool) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	return r.lines(bufio.NewReaderSize(f, maxLine), filepath.Base(name), 1, last)
}

func (r *reader) lines(lines *bufio.Reader, name string, first int, last bool) error {
	for n := first; ; n++ {
		where := fmt.Sprintf("%s line %d", name, n)
		row, err := lines.ReadSlice('\n')
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			r.settle()
			r.broken(where, "is longer than any row")
			if err := skipLine(lines); err != nil {
				return err
			}
			continue
		case errors.Is(err, io.EOF):
			r.end(where, row, last)
			return nil
		case err != nil:
			return err
		}
		if err := r.row(where, bytes.TrimSuffix(row, []byte{'\n'})); err != nil {
			return err
		}
	}
}

func skipLine(b *bufio.Reader) error {
	for {
		_, err := b.ReadSlice('\n')
		if !errors.Is(err, bufio.ErrBufferFull) {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
	}
}

// end tells what is behind the last row. In the last file it is of the row that was
// being written when the power went: findTail says the same.
func (r *reader) end(where string, row []byte, last bool) {
	if torn := r.torn + int64(len(row)); last && torn <= maxLine {
		r.rep.Torn, r.torn, r.strange = torn, 0, nil
		return
	}
	r.settle()
	if len(row) > 0 {
		r.broken(where, "is cut off")
	}
}

// settle calls broken what is not the end of the log.
func (r *reader) settle() {
	r.tell()
	r.torn = 0
}

func (r *reader) tell() {
	for _, where := range r.strange {
		r.broken(where, "is no row of this log")
	}
	r.strange = nil
}

func (r *reader) broken(where, what string) {
	if r.rep.Broken++; len(r.rep.Breaks) < maxBreaks {
		r.rep.Breaks = append(r.rep.Breaks, where+" "+what)
	}
}

// row checks one row against the one before it, and takes it as it is: after a
// break the chain is followed from there.
func (r *reader) row(where string, b []byte) error {
	l, prev, err := parse(b)
	if err != nil {
		r.strange = append(r.strange, where)
		if r.torn += int64(len(b)) + 1; r.torn > maxLine {
			r.tell()
		}
		return nil
	}
	r.settle()
	switch {
	case l.Seq != r.rep.Seq+1:
		r.broken(where, fmt.Sprintf("has number %d, %d was expected: rows are missing", l.Seq, r.rep.Seq+1))
	case prev != r.hash:
		r.broken(where, "does not follow from the row before it: one of the two was changed")
	case r.sealed && l.Sealed == nil:
		r.broken(where, "is not encrypted, though rows before it are: it was not written by edged")
	}
	r.sealed = r.sealed || l.Sealed != nil
	r.rep.Seq, r.hash = l.Seq, sha256.Sum256(b)
	r.compare(where)
	if r.blind && l.Sealed != nil {
		r.rep.Events++
		return nil
	}
	e, err := l.open(prev, r.key)
	if errors.Is(err, ErrKey) && (r.key == nil || r.rep.Events == 0) {
		return ErrKey // not even the first one opens
	}
	if err != nil {
		r.broken(where, "cannot be opened: it was changed, or written with another key")
		return nil
	}
	return r.event(e)
}

func (r *reader) event(e Event) error {
	r.rep.Events++
	if e.Outcome == Intended {
		r.intents[e.Seq] = struct{}{}
	}
	delete(r.intents, e.Of)
	return r.visit(e)
}
