package dicom

import (
	"errors"
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

// picker reads elements out of a scanner's window.
type picker struct {
	scanner
	left *bool // set when something that was wanted is not read
}

// read appends e if it is wanted and plausible.
func (p picker) read(out []Element, e span, wanted Wanted) []Element {
	w, ok := wanted[e.tag]
	if !ok {
		return out
	}
	read := Element{Tag: e.tag, VR: e.vr}
	if read.VR == "" || read.VR == "UN" {
		read.VR = w.VR
	}
	switch {
	case (w.VR == "SQ") != (read.VR == "SQ") || read.VR != "SQ" && (e.undefined || e.end-e.value > maxValue):
		*p.left = true
		return out
	case read.VR == "SQ":
		read.Items = p.itemsOf(e, w.Items)
	case read.VR == "US" && e.end-e.value >= 2:
		read.Value = strconv.AppendUint(nil, uint64(p.order.Uint16(p.b[e.value:])), 10)
	default:
		read.Value = slices.Clone(p.b[e.value:e.end])
	}
	return append(out, read)
}

// errEnd ends a walk.
var errEnd = errors.New("end")

// itemsOf reads the items of a sequence, of which top has looked through the lengths if
// it has none of its own. It stops where the bytes are no item.
func (p picker) itemsOf(e span, wanted Wanted) (items [][]Element) {
	p.scanner = p.inside(e)
	p.b = p.b[:e.end]
	for pos := e.value; pos < e.end; {
		i, whole, err := p.element(pos)
		if err == nil && i.tag == tagSequenceEnd {
			return items
		}
		if err != nil || !whole || i.tag != tagItem || len(items) == maxItems {
			*p.left = true
			return items
		}
		item := p
		if !i.undefined {
			item.b = p.b[:i.end]
		}
		var found []Element
		pos, err = item.walk(i.value, func(e span) { found = item.read(found, e, wanted) })
		items = append(items, found)
		if err != nil {
			*p.left = true
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
