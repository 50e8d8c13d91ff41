package dataset

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
)

const undefined = 0xFFFFFFFF

// The tags of items (PS3.5 §7.5) and of the first bulk data.
const (
	tagItem        Tag = 0xFFFEE000
	tagItemEnd     Tag = 0xFFFEE00D
	tagSequenceEnd Tag = 0xFFFEE0DD
	tagFirstBulk   Tag = 0x7FE00000
)

// errShort means that the bytes end before an element does.
var errShort = fmt.Errorf("%w: it ends within an element", ErrSyntax)

// Parse reads a data set. The Set may share memory with b.
func Parse(b []byte, transferSyntax string) (Set, error) {
	if len(b) > MaxBytes {
		return nil, fmt.Errorf("%w: %d bytes, at most %d are read", ErrLimit, len(b), MaxBytes)
	}
	if deflated(transferSyntax) {
		var err error
		if b, err = inflate(b, MaxBytes); err != nil {
			return nil, err
		}
	}
	p := parser{left: MaxElements}
	return p.set(b, layoutOf(transferSyntax, b), 0)
}

// headInflated is how much of a deflated instance Head looks at, at least.
const headInflated = 64 << 10

// Head reads the top-level elements that lie whole in window, the first bytes
// of a data set, up to the bulk data. What stood before an error is given with it.
func Head(window []byte, transferSyntax string) (Set, error) {
	window = window[:min(len(window), MaxBytes)]
	if deflated(transferSyntax) {
		window, _ = inflate(window, max(headInflated, int64(len(window)))) // cut short on purpose
	}
	p := parser{left: MaxElements, head: true}
	s, err := p.set(window, layoutOf(transferSyntax, window), 0)
	if errors.Is(err, errShort) {
		err = nil
	}
	return s, err
}

// parser counts what is read in all.
type parser struct {
	left int
	head bool // stop before bulk data
}

// set reads elements to the end of b.
func (p *parser) set(b []byte, l layout, depth int) (s Set, err error) {
	for len(b) > 0 {
		var e Element
		var keep bool
		if p.head && depth == 0 && len(b) >= 4 && l.tag(b) >= tagFirstBulk {
			break
		}
		if e, keep, b, err = p.element(b, l, depth); err != nil {
			break
		}
		if keep {
			s = append(s, e)
		}
	}
	return sorted(s), err
}

func sorted(s Set) Set {
	slices.SortStableFunc(s, func(a, b Element) int { return cmp.Compare(a.Tag, b.Tag) })
	return s
}

func (l layout) tag(b []byte) Tag { return Tag(l.order.Uint16(b))<<16 | Tag(l.order.Uint16(b[2:])) }

// header is what stands before a value.
type header struct {
	tag    Tag
	vr     string
	length uint32
}

// header reads one and gives what follows.
func (l layout) header(b []byte) (h header, rest []byte, err error) {
	if len(b) < 8 {
		return h, b, errShort
	}
	h.tag = l.tag(b)
	switch {
	case h.tag>>16 == 0xFFFE: // items have no VR in any syntax (PS3.5 §7.5)
		h.length = l.order.Uint32(b[4:])
	case l.implicit:
		h.vr, h.length = VR(h.tag), l.order.Uint32(b[4:])
		if short(h.vr) && h.length > 0xFFFF && h.length != undefined {
			h.vr = "UN" // it could not be written in an explicit syntax (PS3.5 §6.2.2)
		}
	case !isVR(b[4:6]):
		return h, b, fmt.Errorf("%w: no value representation at %v", ErrSyntax, h.tag)
	case short(string(b[4:6])):
		h.vr, h.length = string(b[4:6]), uint32(l.order.Uint16(b[6:]))
	case len(b) < 12:
		return h, b, errShort
	default:
		h.vr, h.length = string(b[4:6]), l.order.Uint32(b[8:])
		b = b[4:]
	}
	return h, b[8:], nil
}

// element reads one; keep is false for what is passed over.
func (p *parser) element(b []byte, l layout, depth int) (e Element, keep bool, rest []byte, err error) {
	if p.left--; p.left < 0 {
		return e, false, b, fmt.Errorf("%w: more than %d elements", ErrLimit, MaxElements)
	}
	h, b, err := l.header(b)
	if err != nil {
		return e, false, b, err
	}
	e = Element{Tag: h.tag, VR: h.vr}
	if h.length == undefined {
		rest, err = p.undefined(&e, b, l, depth)
		return e, h.tag&0xFFFF != 0, rest, err
	}
	if uint64(h.length) > uint64(len(b)) {
		return e, false, b, errShort
	}
	value, rest := b[:h.length:h.length], b[h.length:]
	if h.tag>>16 == 0xFFFE || h.tag&0xFFFF == 0 { // a delimiter of nothing, a group length
		return e, false, rest, nil
	}
	err = p.value(&e, value, l, depth)
	return e, true, rest, err
}

// value takes a value of defined length.
func (p *parser) value(e *Element, v []byte, l layout, depth int) (err error) {
	e.Value = nonEmpty(v)
	switch {
	case e.VR != "SQ":
		if l == explicitBE {
			e.Value = swap(e.Value, width(e.VR))
		}
		return nil
	case l.implicit:
		// The dictionary says sequence; what else came is kept as it is.
		if e.Items, err = p.items(v, l, depth+1); errors.Is(err, ErrSyntax) {
			e.VR, e.Items = "UN", nil
			return nil
		}
	default:
		e.Items, err = p.items(v, l, depth+1)
	}
	e.Value = nil
	return err
}

// undefined takes a value of undefined length: a sequence, whatever the
// dictionary says of an implicit one; one of VR UN is written in Implicit VR
// Little Endian (PS3.5 §6.2.2 note 6).
func (p *parser) undefined(e *Element, b []byte, l layout, depth int) (rest []byte, err error) {
	switch {
	case e.Tag>>16 == 0xFFFE:
		return b, fmt.Errorf("%w: %v where an element should be", ErrSyntax, e.Tag)
	case e.VR == "UN":
		l = implicitLE
	case e.VR != "SQ" && !l.implicit, e.Tag == tagFirstBulk+0x10:
		return b, fmt.Errorf("%w: %v", ErrPixelData, e.Tag)
	}
	e.VR = "SQ"
	e.Items, rest, err = p.itemsTo(b, l, depth+1)
	return rest, err
}

// items reads the items of a value of defined length.
func (p *parser) items(b []byte, l layout, depth int) ([]Set, error) {
	items, rest, err := p.itemsTo(b, l, depth)
	if errors.Is(err, errEnd) && len(rest) == 0 {
		err = nil
	}
	switch {
	case errors.Is(err, errShort): // the value is whole: more bytes would not help
		err = fmt.Errorf("%w: a sequence ends within an item", ErrSyntax)
	case err == nil && len(rest) > 0:
		err = fmt.Errorf("%w: bytes after the end of a sequence", ErrSyntax)
	}
	return items, err
}

// errEnd means that the bytes end where a sequence could go on.
var errEnd = fmt.Errorf("%w: it ends within a sequence", errShort)

// itemsTo reads items up to their delimiter.
func (p *parser) itemsTo(b []byte, l layout, depth int) (items []Set, rest []byte, err error) {
	if depth > MaxDepth {
		return nil, b, fmt.Errorf("%w: sequences nested deeper than %d", ErrLimit, MaxDepth)
	}
	items = []Set{}
	for len(b) > 0 {
		h, value, err := l.header(b)
		if err != nil {
			return items, b, err
		}
		if h.tag == tagSequenceEnd {
			return items, value, nil
		}
		var item Set
		if item, b, err = p.item(h, value, l, depth); err != nil {
			return items, b, err
		}
		items = append(items, item)
	}
	return items, b, errEnd
}

func (p *parser) item(h header, b []byte, l layout, depth int) (item Set, rest []byte, err error) {
	if p.left--; p.left < 0 {
		return nil, b, fmt.Errorf("%w: more than %d elements and items", ErrLimit, MaxElements)
	}
	switch {
	case h.tag != tagItem:
		return nil, b, fmt.Errorf("%w: %v where an item should be", ErrSyntax, h.tag)
	case h.length == undefined:
		return p.itemTo(b, l, depth)
	case uint64(h.length) > uint64(len(b)):
		return nil, b, errShort
	}
	if item, err = p.set(b[:h.length:h.length], l, depth); errors.Is(err, errShort) {
		err = fmt.Errorf("%w: an item ends within an element", ErrSyntax)
	}
	return item, b[h.length:], err
}

// itemTo reads elements up to the delimiter of an item.
func (p *parser) itemTo(b []byte, l layout, depth int) (item Set, rest []byte, err error) {
	for {
		if len(b) < 8 {
			return sorted(item), b, errShort
		}
		if l.tag(b) == tagItemEnd {
			return sorted(item), b[8:], nil
		}
		var e Element
		var keep bool
		if e, keep, b, err = p.element(b, l, depth); err != nil {
			return sorted(item), b, err
		}
		if keep {
			item = append(item, e)
		}
	}
}
