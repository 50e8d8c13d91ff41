package audit

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"
)

// Head names a row by its number and its SHA-256: noted elsewhere, as in the messages to an
// audit repository, it proves later that nothing up to it was changed or cut off.
type Head struct {
	Seq uint64
	Sum string // 64 hexadecimal digits
}

// ParseHead reads SEQ=SHA256, as Head.String writes it.
func ParseHead(s string) (h Head, err error) {
	seq, sum, ok := strings.Cut(strings.TrimSpace(s), "=")
	h.Sum = strings.ToLower(sum)
	h.Seq, err = strconv.ParseUint(seq, 10, 64)
	if raw, herr := hex.DecodeString(h.Sum); !ok || err != nil || herr != nil || len(raw) != len(digest{}) {
		return Head{}, fmt.Errorf("%q is not NUMBER=SHA256, as the messages to the audit repository have it", s)
	}
	return h, nil
}

func (h Head) String() string { return fmt.Sprintf("%d=%s", h.Seq, h.Sum) }

// compare looks at the heads that are known of the row just read.
func (r *reader) compare(where string) {
	for _, h := range r.known {
		if h.Seq == r.rep.Seq && h.Sum != hex.EncodeToString(r.hash[:]) {
			r.broken(where, "is not the row that was noted under its number: the log was written anew")
		}
	}
}

// missing tells of heads beyond the end.
func (r *reader) missing() {
	for _, h := range r.known {
		if h.Seq > r.rep.Seq {
			r.broken("the end", fmt.Sprintf("comes before row %d, which was noted: rows were cut off", h.Seq))
		}
	}
}

// ReadSince is Read that compares, besides, with heads noted elsewhere.
func ReadSince(dir string, key []byte, known []Head, visit func(Event) error) (Report, error) {
	own, err := ReadingKey(key)
	if err != nil {
		return Report{}, err
	}
	return readAll(dir, newReader(own, visit, known))
}

// Cover is the first line of an export.
type Cover struct {
	Version int       `json:"edged_audit"` // 1
	Of      string    `json:"of"`          // which appliance
	At      time.Time `json:"at"`
	Head    string    `json:"head"`          // of the last row, by Head.String; empty: there is none
	Key     string    `json:"key,omitempty"` // ReadingKey in hexadecimal; without it the chain can be verified and nothing be read
}

const maxRowsAtOnce = 1 << 20 // bytes that are copied at once

// Export writes the cover and every row, byte for byte as it stands in the log. The log is
// verified on the way: the report is of what was written. With readable the key of the rows
// goes along: whoever has the file reads it.
func Export(w io.Writer, dir string, key []byte, of string, at time.Time, readable bool) (Report, error) {
	rep, err := Read(dir, key, func(Event) error { return nil })
	if err != nil {
		return rep, err
	}
	cover := Cover{Version: 1, Of: of, At: at.UTC().Truncate(time.Second)}
	if rep.Seq > 0 {
		cover.Head = Head{rep.Seq, rep.Head}.String()
	}
	if readable && key != nil {
		own, err := ReadingKey(key)
		if err != nil {
			return rep, err
		}
		cover.Key = hex.EncodeToString(own)
	}
	first, err := json.Marshal(cover)
	if err != nil {
		return rep, err
	}
	if _, err := w.Write(append(first, '\n')); err != nil {
		return rep, err
	}
	return rep, copyRows(w, dir, rep.Seq)
}

// copyRows leaves out what was written meanwhile: the cover's head is the last.
func copyRows(w io.Writer, dir string, last uint64) error {
	names, err := files(dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := copyFile(w, name, last); err != nil {
			return err
		}
	}
	return nil
}

func copyFile(w io.Writer, name string, last uint64) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	for lines := bufio.NewReaderSize(f, maxRowsAtOnce); ; {
		row, err := lines.ReadSlice('\n')
		if errors.Is(err, io.EOF) {
			return nil // an unfinished row is none
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) { // what is no row goes along, and is told by who verifies
			return err
		}
		if l, _, err := parse(bytes.TrimSuffix(row, []byte{'\n'})); err == nil && l.Seq > last {
			return nil
		}
		if _, err := w.Write(row); err != nil {
			return err
		}
	}
}

// errCover: whatever it is, it is no export.
var errCover = errors.New("this is not an exported audit log: its first line is not the cover of one")

// Verify reads an export and nothing else: the chain, that it ends where its cover says,
// that it has the heads that are known, and, if the key is in it, each event.
func Verify(export io.Reader, known []Head, visit func(Event) error) (Cover, Report, error) {
	lines := bufio.NewReaderSize(export, maxLine)
	first, err := lines.ReadSlice('\n')
	if err != nil {
		return Cover{}, Report{}, errCover
	}
	var c Cover
	d := json.NewDecoder(bytes.NewReader(first))
	d.DisallowUnknownFields()
	if d.Decode(&c) != nil || d.More() || c.Version != 1 {
		return Cover{}, Report{}, errCover
	}
	own, err := hex.DecodeString(c.Key)
	if err != nil || len(own) != 0 && len(own) != 32 {
		return c, Report{}, errCover
	}
	if c.Head != "" {
		h, err := ParseHead(c.Head)
		if err != nil {
			return c, Report{}, errCover
		}
		known = append([]Head{h}, known...)
	}
	r := newReader(own, visit, known)
	r.blind = len(own) == 0
	if err := r.lines(lines, "export", 2, true); err != nil {
		return c, r.rep, err
	}
	if c.Head == "" && r.rep.Seq > 0 {
		r.broken("the cover", "does not say which row is the last")
	}
	return c, r.report(), nil
}
