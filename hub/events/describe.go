package events

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"

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
	problemLong       = "its header is too long, without: " // keywords follow
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
	describePage = 500       // objects of one transaction
	copyPatience = time.Hour // how long an event waits for a copy that cannot be read now
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
	d, err := e.header(o)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return ledger.Description{Object: o.Seq, Problem: problemGone}, nil
	case errors.Is(err, dicom.ErrNotPart10) || err != nil && e.c.now().Sub(ev.At) > copyPatience:
		return ledger.Description{Object: o.Seq, Problem: problemCopy}, nil
	case err != nil:
		return ledger.Description{}, fmt.Errorf("read the header of %s: %w", o.ID, err)
	}
	return d, nil
}

// header is what the hub's copy says.
func (e *Events) header(o ledger.Listed) (ledger.Description, error) {
	f, err := e.c.Open(o.ID)
	if err != nil {
		return ledger.Description{}, err
	}
	defer f.Close()
	return description(o.Seq, io.NewSectionReader(f, f.DataOffset(), f.Size()-f.DataOffset()), o.Names.TransferSyntax)
}

// description is what a header says; an error is the reader's.
func description(object int64, set dicom.DataSet, transferSyntax string) (ledger.Description, error) {
	d := ledger.Description{Object: object}
	elements, err := dicom.ReadElements(set, transferSyntax, wanted)
	switch {
	case err != nil && !errors.Is(err, dicom.ErrHeader) && !errors.Is(err, dicom.ErrLeftOut):
		return d, err
	case len(elements) == 0:
		d.Problem = problemUnreadable
		return d, nil
	case err != nil:
		d.Problem = problemPart
	}
	charset := charsetOf(elements, "")
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
	if left := fit(whole, part, elements); left != "" {
		d.Problem = strings.TrimPrefix(d.Problem+"; "+problemLong+left, "; ")
	}
	d.Own, d.Part, d.Whole = text(mine), text(part), text(whole)
	return d, nil
}

// charsetOf is the Specific Character Set of a data set or of an item, which without one
// has that of what is around it (PS3.3 §C.12.1.1.2).
func charsetOf(elements []dicom.Element, around string) string {
	for _, el := range elements {
		if el.Tag == tagCharsets {
			around = string(el.Value)
		}
	}
	return around
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
	v := value{Tag: tagText(el.Tag), VR: el.VR}
	if at.vr == "SQ" {
		v.Items = []map[string]value{}
		for _, item := range el.Items {
			in, charset := map[string]value{}, charsetOf(item, charset)
			for _, el := range item {
				at := at.items.of(el.Tag)
				in[at.keyword] = told(el, at, charset)
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

func tagText(tag uint32) string { return fmt.Sprintf("%08X", tag) }

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
