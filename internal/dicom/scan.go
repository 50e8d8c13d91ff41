package dicom

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// maxDepth is how deep sequences may nest before the scan gives up.
const maxDepth = 8

const undefinedLength = 0xFFFFFFFF

// Tags that the scan must know, group in the upper half.
const (
	tagItem          = 0xFFFEE000
	tagItemEnd       = 0xFFFEE00D
	tagSequenceEnd   = 0xFFFEE0DD
	tagFirstBulkData = 0x7FE00000
)

// errScan is the parent of every reason to stop a scan early.
var errScan = errors.New("data set header")

// layout is how elements are written: byte order and whether VRs are.
type layout struct {
	order    binary.ByteOrder
	implicit bool
}

// scanner walks the elements of a data set prefix. It reads lengths and tags
// only and never leaves b, whatever the lengths say.
type scanner struct {
	b []byte
	layout
}

// span is one element: where it starts, where its value starts and ends.
type span struct {
	tag               uint32
	start, value, end int
	length            int64 // as declared, also where it reaches beyond the window
	undefined         bool
	vr                string // "" where none is written
}

// top calls visit for each top-level element that lies whole inside the window,
// in order, and ends before bulk data, at the window's end, or with an error
// that says why the bytes are no data set.
func (s scanner) top(visit func(span)) error {
	_, _, err := s.topUntil(visit)
	return err
}

// topUntil is top. rest is where the first element begins that was not visited, bulk
// says that it is bulk data.
func (s scanner) topUntil(visit func(span)) (rest int, bulk bool, err error) {
	for rest < len(s.b) {
		e, whole, err := s.element(rest)
		if err != nil || !whole || e.tag >= tagFirstBulkData {
			return rest, e.tag >= tagFirstBulkData, err
		}
		if e.undefined {
			if e.end, whole, err = s.inside(e).items(e.value, 1); err != nil || !whole {
				return rest, false, err
			}
		}
		visit(e)
		rest = e.end
	}
	return rest, false, nil
}

// inside is the scanner for the items of e: those of an UN of undefined length
// are Implicit VR Little Endian whatever surrounds them (PS3.5 §6.2.2 note 6).
func (s scanner) inside(e span) scanner {
	if e.vr == "UN" {
		s.layout = layout{binary.LittleEndian, true}
	}
	return s
}

// element reads the header at pos. whole is false when header or value reach
// beyond the window; if it is the header, e has no value.
func (s scanner) element(pos int) (e span, whole bool, err error) {
	if pos+8 > len(s.b) {
		return e, false, nil
	}
	h := s.b[pos:]
	e.tag = uint32(s.order.Uint16(h))<<16 | uint32(s.order.Uint16(h[2:]))
	e.start, e.value = pos, pos+8
	var length uint32
	switch {
	case s.implicit || e.tag>>16 == 0xFFFE:
		length = s.order.Uint32(h[4:])
	case !isVR(h[4], h[5]):
		return e, false, fmt.Errorf("%w: no value representation at byte %d", errScan, pos)
	case longVR(string(h[4:6])):
		if len(h) < 12 {
			return span{}, false, nil
		}
		length, e.value, e.vr = s.order.Uint32(h[8:]), pos+12, string(h[4:6])
	default:
		length, e.vr = uint32(s.order.Uint16(h[6:])), string(h[4:6])
	}
	return s.bounded(e, length)
}

// bounded sets the end of e from its declared length, compared in 64 bits.
func (s scanner) bounded(e span, length uint32) (span, bool, error) {
	if length == undefinedLength {
		e.undefined, e.end = true, e.value
		return e, true, nil
	}
	e.length = int64(length)
	if int64(e.value)+e.length > int64(len(s.b)) {
		return e, false, nil
	}
	e.end = e.value + int(length)
	return e, true, nil
}

// items walks the items of a sequence of undefined length to its delimiter.
func (s scanner) items(pos, depth int) (end int, whole bool, err error) {
	if depth > maxDepth {
		return pos, false, fmt.Errorf("%w: sequences nested deeper than %d", errScan, maxDepth)
	}
	for {
		e, whole, err := s.element(pos)
		if err != nil || !whole {
			return pos, false, err
		}
		switch {
		case e.tag == tagSequenceEnd:
			return e.value, true, nil
		case e.tag != tagItem:
			return pos, false, fmt.Errorf("%w: no item at byte %d", errScan, pos)
		case !e.undefined:
			pos = e.end
		default:
			if pos, whole, err = s.item(e.value, depth); err != nil || !whole {
				return pos, false, err
			}
		}
	}
}

// item walks the elements of an item of undefined length to its delimiter.
func (s scanner) item(pos, depth int) (end int, whole bool, err error) {
	for {
		e, whole, err := s.element(pos)
		if err != nil || !whole {
			return pos, false, err
		}
		if e.tag == tagItemEnd {
			return e.value, true, nil
		}
		if pos = e.end; e.undefined {
			if pos, whole, err = s.inside(e).items(e.value, depth+1); err != nil || !whole {
				return pos, false, err
			}
		}
	}
}

// isVR reports whether two bytes look like a value representation: upper-case
// letters (PS3.5 §6.2). Unknown pairs of letters are let through.
func isVR(a, b byte) bool { return a >= 'A' && a <= 'Z' && b >= 'A' && b <= 'Z' }
