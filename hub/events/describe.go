package events

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"edged/hub"
	"edged/hub/ledger"
	"edged/internal/dicom"
)

// Object is the hub's copy of an instance, a Part 10 file. hub/objects implements it.
type Object interface {
	io.ReaderAt
	io.Closer
	Size() int64       // of the file
	DataOffset() int64 // where the data set begins
}

// Problems of an instance, in our words.
const (
	problemGone       = "the hub no longer had its copy when this was made"
	problemUnreadable = "its header cannot be read"
	problemPart       = "its header can be read in part"
	problemCopy       = "the hub could not read its copy"
)

// value is one attribute as it is told.
type value struct {
	Tag   string             `json:"tag"`
	VR    string             `json:"vr"`
	Text  *string            `json:"text,omitempty"` // UTF-8, without padding; missing where the bytes are not legible
	Raw   []byte             `json:"raw,omitempty"`  // as sent, with padding; missing where Text has no byte that is not plain ASCII
	Items []map[string]value `json:"items,omitempty"`
}

// own is what is told of an instance itself.
type own struct {
	Number  string `json:"number,omitempty"`
	Frames  string `json:"frames,omitempty"`
	Rows    string `json:"rows,omitempty"`
	Columns string `json:"columns,omitempty"`
}

const (
	describePage  = 500       // objects of one transaction
	copyPatience  = time.Hour // how long an event waits for a copy that cannot be read now
	maxTextsOfOne = 16 << 10  // of JSON for one object: Part and Whole together
)

// describeAll reads the headers of an event's objects that were not read yet.
func (e *Events) describeAll(ctx context.Context, ev ledger.Event) error {
	for {
		list, err := e.c.Ledger.Undescribed(ctx, ev, describePage)
		if err != nil || len(list) == 0 {
			return err
		}
		page := make([]ledger.Description, 0, len(list))
		for _, o := range list {
			d, err := e.describe(o, ev)
			if err == nil {
				err = ctx.Err()
			}
			if err != nil {
				return err
			}
			page = append(page, d)
		}
		if err := e.c.Ledger.Describe(ctx, ev.Study, page); err != nil {
			return err
		}
	}
}

// describe reads one header. An error is the store's, and may pass.
func (e *Events) describe(o ledger.Listed, ev ledger.Event) (ledger.Description, error) {
	window, err := e.window(o.ID)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return ledger.Description{Object: o.Seq, Problem: problemGone}, nil
	case errors.Is(err, dicom.ErrNotPart10) || err != nil && e.c.now().Sub(ev.At) > copyPatience:
		return ledger.Description{Object: o.Seq, Problem: problemCopy}, nil
	case err != nil:
		return ledger.Description{}, fmt.Errorf("read the header of %s: %w", o.ID, err)
	}
	return description(o.Seq, window, o.Names.TransferSyntax), nil
}

// window is the first bytes of a data set.
func (e *Events) window(id hub.ID) ([]byte, error) {
	o, err := e.c.Open(id)
	if err != nil {
		return nil, err
	}
	defer o.Close()
	b := make([]byte, min(o.Size()-o.DataOffset(), dicom.HeaderWindow))
	if n, err := o.ReadAt(b, o.DataOffset()); err != nil && !(err == io.EOF && n == len(b)) {
		return nil, err
	}
	return b, nil
}

// description is what a header says, which is never an error.
func description(object int64, window []byte, transferSyntax string) ledger.Description {
	d := ledger.Description{Object: object}
	elements, err := dicom.ReadElements(window, transferSyntax, wanted)
	charset := ""
	for _, el := range elements {
		if el.Tag == tagCharsets {
			charset = string(el.Value)
		}
	}
	if len(elements) == 0 {
		d.Problem = problemUnreadable
		return d
	}
	if err != nil {
		d.Problem = problemPart
	}
	whole, part := map[string]value{}, map[string]value{}
	var mine own
	for _, el := range elements {
		if at, ok := wholeTags[el.Tag]; ok {
			whole[at.keyword] = told(el, at, charset)
		}
		if at, ok := partTags[el.Tag]; ok {
			part[at.keyword] = told(el, at, charset)
		}
		mine.take(el)
		if el.Tag == tagSeries {
			d.Series, _ = decode(el.Value, "UI", "")
		}
	}
	d.Own, d.Part, d.Whole = text(mine), text(part), text(whole)
	if len(d.Part)+len(d.Whole) > maxTextsOfOne { // no header of this world; a peer must not fill the ledger with it (P9)
		d.Part, d.Whole, d.Problem = "", "", problemPart
	}
	return d
}

// maxNumber is of an IS (PS3.5 §6.2: 12), with some indulgence.
const maxNumber = 16

// take keeps an element of the instance.
func (o *own) take(el dicom.Element) {
	into := map[uint32]*string{tagNumber: &o.Number, tagFrames: &o.Frames, tagRows: &o.Rows, tagColumns: &o.Columns}[el.Tag]
	if into != nil {
		if s, _ := decode(bytes.TrimLeft(el.Value, " "), "IS", ""); len(s) <= maxNumber {
			*into = s
		}
	}
}

// told is an element in the words of an event.
func told(el dicom.Element, at attribute, charset string) value {
	v := value{Tag: fmt.Sprintf("%08X", el.Tag), VR: el.VR}
	if at.vr == "SQ" {
		v.Items = []map[string]value{}
		for _, item := range el.Items {
			in := map[string]value{}
			for _, el := range item {
				in[at.items[el.Tag].keyword] = told(el, at.items[el.Tag], charset)
			}
			v.Items = append(v.Items, in)
		}
		return v
	}
	if s, ok := decode(el.Value, at.vr, charset); ok {
		v.Text = &s
	}
	if v.Text == nil || !plain(*v.Text) {
		v.Raw = el.Value
	}
	return v
}

// plain text has nothing but the printable characters of ASCII.
func plain(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// text is v as JSON, the same for the same v: keys of maps are sorted.
func text(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // maps and structs of strings and bytes
	}
	return string(b)
}
