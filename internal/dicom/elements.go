package dicom

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
)

// Wanted are the elements to be read, by tag. Those of a sequence are read from each
// of its items.
type Wanted map[uint32]Want

// Want says what an element is (PS3.6), for transfer syntaxes that do not.
type Want struct {
	VR    string
	Items Wanted // of a SQ
}

// Element is one of them.
type Element struct {
	Tag   uint32
	VR    string // as written, or as Want says where none is
	Value []byte // as it stands there, with its padding; of an US the number in decimal digits; nil of a SQ
	Items [][]Element
}

// maxItems bounds the items of one sequence that are read.
const maxItems = 64

// ReadElements reads the wanted elements from window, the first bytes (at most
// HeaderWindow are used) of a data set, in their order. What is longer than a header's
// value should be (1 KiB) is left out. With an error what was found before is still
// returned. As ReadHeader it never panics, and its work and memory are bounded.
func ReadElements(window []byte, transferSyntax string, wanted Wanted) ([]Element, error) {
	window = window[:min(len(window), HeaderWindow)]
	if deflated(transferSyntax) {
		window = inflate(window)
	}
	s := scanner{window, layoutOf(transferSyntax, window)}
	var out []Element
	err := s.top(func(e span) { out = s.read(out, e, wanted) })
	if err != nil {
		return out, fmt.Errorf("%w: %w", ErrHeader, err)
	}
	if len(out) == 0 {
		return out, fmt.Errorf("%w: nothing known in the first %d bytes", ErrHeader, len(window))
	}
	return out, nil
}

// read appends e if it is wanted and plausible.
func (s scanner) read(out []Element, e span, wanted Wanted) []Element {
	w, ok := wanted[e.tag]
	if !ok {
		return out
	}
	read := Element{Tag: e.tag, VR: e.vr}
	if read.VR == "" || read.VR == "UN" {
		read.VR = w.VR
	}
	switch {
	case (w.VR == "SQ") != (read.VR == "SQ"):
		return out
	case read.VR == "SQ":
		read.Items = s.itemsOf(e, w.Items)
	case e.undefined || e.end-e.value > maxValue:
		return out
	case read.VR == "US" && e.end-e.value >= 2:
		read.Value = strconv.AppendUint(nil, uint64(s.order.Uint16(s.b[e.value:])), 10)
	default:
		read.Value = slices.Clone(s.b[e.value:e.end])
	}
	return append(out, read)
}

// errEnd ends a walk.
var errEnd = errors.New("end")

// itemsOf reads the items of a sequence, of which top has looked through the lengths if
// it has none of its own. It stops where the bytes are no item.
func (s scanner) itemsOf(e span, wanted Wanted) (items [][]Element) {
	in := s.inside(e)
	in.b = in.b[:e.end]
	for pos := e.value; len(items) < maxItems; {
		i, whole, err := in.element(pos)
		if err != nil || !whole || i.tag != tagItem {
			return items
		}
		item := in
		if !i.undefined {
			item.b = in.b[:i.end]
		}
		var found []Element
		pos, err = item.walk(i.value, func(e span) { found = item.read(found, e, wanted) })
		items = append(items, found)
		if err != nil {
			return items
		}
	}
	return items
}

// walk calls visit for the elements from pos to the end of the item or of s, and
// returns where the next item begins.
func (s scanner) walk(pos int, visit func(span)) (int, error) {
	for pos < len(s.b) {
		e, whole, err := s.element(pos)
		if err != nil || !whole {
			return pos, errEnd
		}
		if e.tag == tagItemEnd {
			return e.value, nil
		}
		if e.undefined {
			if e.end, whole, err = s.inside(e).items(e.value, 2); err != nil || !whole {
				return pos, errEnd
			}
		}
		visit(e)
		pos = e.end
	}
	return pos, nil
}
