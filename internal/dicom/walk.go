package dicom

import (
	"bytes"
	"encoding/binary"
	"strings"
)

// maxWalkDepth is how deep a Walker follows sequences without lengths: reports nest.
const maxWalkDepth = 64

// Pixel data in the three ways in which it stands (PS3.3 §C.7.6.3, §C.7.6.24).
const (
	tagFloatPixels  = 0x7FE00008
	tagDoublePixels = 0x7FE00009
	tagPixels       = 0x7FE00010
)

// Walker goes along a data set while it passes and looks at tags and lengths only, so
// that it can say at its end whether it was whole. It keeps some bytes, whatever comes,
// and judges nothing once it has met what is no element.
type Walker struct {
	End

	order    binary.ByteOrder
	implicit bool // of the data set
	first    bool // no element has passed
	have     [12]byte
	n, need  int
	skip     int64 // bytes of a value that are still to come
	fragment bool  // which is one of compressed pixels
	last     byte  // of the fragment
	within   []level
	table    bool // the basic offset table has passed
	pixels   bool // the value to be skipped is native pixels
}

// level is something without a length that has not ended.
type level struct {
	kind     levelKind
	implicit bool
	unknown  bool // by the standard it is implicit; some devices write what it was before
}

type levelKind uint8

const (
	inItems levelKind = iota // of a sequence
	inItem
	inFragments
)

// End is what a Walker has seen.
type End struct {
	Judged bool // it is a data set as far as it was followed, to its end
	Cut    bool // it ends inside an element

	Pixels    bool  // there are some
	Native    bool  // as one value, of
	Bytes     int64 // so many that came
	Fragments int64 // of compressed ones, without the offset table
	EndMark   bool  // the last of them ends with FFD9, padding behind it left out
}

// NewWalker is for a data set in that transfer syntax. What is deflated, or private,
// is not judged.
func NewWalker(transferSyntax string) *Walker {
	l := layoutOf(transferSyntax, nil)
	known := strings.HasPrefix(transferSyntax, "1.2.840.10008.1.2") && !deflated(transferSyntax)
	return &Walker{order: l.order, implicit: l.implicit, first: true, need: 8, End: End{Judged: known}}
}

// Close says what was seen; the data set has ended.
func (w *Walker) Close() End {
	end := w.End
	rest := w.have[:w.n]
	// Some bytes too many are what some write, and delimiters at the end are what some leave
	// out: whatever ends between two elements, or behind its pixels, has its bytes.
	behind := w.Pixels && !(w.pixels && w.skip > 0) && !(len(w.within) > 0 && w.within[0].kind == inFragments)
	whole := behind || w.skip == 0 && (len(rest) < 2 || len(bytes.Trim(rest, "\x00")) == 0)
	end.Cut = end.Judged && !whole
	return end
}

// Write goes on. It takes all and gives no error.
func (w *Walker) Write(p []byte) (int, error) {
	all := len(p)
	for len(p) > 0 && w.Judged {
		if w.skip > 0 {
			n := int(min(w.skip, int64(len(p))))
			w.pass(p[:n])
			p = p[n:]
			continue
		}
		n := copy(w.have[w.n:w.need], p)
		p, w.n = p[n:], w.n+n
		if w.n == w.need {
			w.element()
		}
	}
	return all, nil
}

// pass lets bytes of a value go by.
func (w *Walker) pass(p []byte) {
	w.skip -= int64(len(p))
	if w.pixels {
		w.Bytes += int64(len(p))
	}
	if !w.fragment {
		return
	}
	// Zeros are the padding of the standard, blanks and FF that of some devices.
	i := len(p) - 1
	for i >= 0 && (p[i] == 0 || p[i] == 0xFF || p[i] == ' ') {
		i--
	}
	if i >= 0 {
		before := w.last
		if i > 0 {
			before = p[i-1]
		}
		w.EndMark = before == 0xFF && p[i] == 0xD9
	}
	w.last = p[len(p)-1]
}

// element has its first 8 bytes, or 12, and decides what comes next.
func (w *Walker) element() {
	tag := uint32(w.order.Uint16(w.have[:]))<<16 | uint32(w.order.Uint16(w.have[2:]))
	vr, length := "", uint32(0)
	switch h := w.have[:]; {
	case tag>>16 == 0xFFFE || w.here().implicit:
		length = w.order.Uint32(h[4:])
	case !isVR(h[4], h[5]):
		w.Judged = false
		return
	case !longVR(string(h[4:6])):
		vr, length = string(h[4:6]), uint32(w.order.Uint16(h[6:]))
	case w.need == 8:
		w.need = 12
		return
	default:
		vr, length = string(h[4:6]), w.order.Uint32(h[8:])
	}
	if (w.first && w.implicit || w.here().unknown && tag>>16 != 0xFFFE) && isVR(w.have[4], w.have[5]) {
		w.Judged = false // a VR stands where the length should: it is explicit, whatever was agreed
		return
	}
	w.first = false
	w.n, w.need, w.pixels, w.fragment = 0, 8, false, false
	w.begin(tag, vr, length)
}

// here is what the next element stands in.
func (w *Walker) here() level {
	if len(w.within) == 0 {
		return level{kind: inItem, implicit: w.implicit}
	}
	return w.within[len(w.within)-1]
}

func (w *Walker) begin(tag uint32, vr string, length uint32) {
	at := w.here()
	undefined := length == undefinedLength
	switch {
	case at.kind == inFragments && tag == tagItem && !undefined:
		w.fragment, w.last, w.EndMark = w.table, 0, w.EndMark && length == 0
		if w.table {
			w.Fragments++
		}
		w.table, w.skip = true, int64(length)
	case at.kind == inItems && tag == tagItem && undefined:
		w.enter(level{inItem, at.implicit, at.unknown})
	case at.kind == inItems && tag == tagItem:
		w.skip = int64(length)
	case at.kind != inItem && tag == tagSequenceEnd, len(w.within) > 0 && at.kind == inItem && tag == tagItemEnd:
		w.within = w.within[:len(w.within)-1]
	case at.kind != inItem || tag>>16 == 0xFFFE && tag != 0xFFFEFFFC:
		w.Judged = false
	default:
		w.value(tag, vr, length, at)
	}
}

func (w *Walker) value(tag uint32, vr string, length uint32, at level) {
	pixels := len(w.within) == 0 && (tag == tagPixels || tag == tagFloatPixels || tag == tagDoublePixels)
	w.Pixels = w.Pixels || pixels
	switch {
	case length != undefinedLength:
		w.skip, w.pixels = int64(length), pixels
		w.Native = w.Native || pixels
	case pixels:
		w.enter(level{kind: inFragments, implicit: at.implicit})
	default:
		w.enter(level{kind: inItems, implicit: at.implicit || vr == "UN", unknown: vr == "UN" && !at.implicit}) // PS3.5 §6.2.2 note 6
	}
}

func (w *Walker) enter(l level) {
	if len(w.within) == maxWalkDepth {
		w.Judged = false
		return
	}
	w.within = append(w.within, l)
}
