package dicom

import (
	"bytes"
	"compress/flate"
	"errors"
	"fmt"
	"io"
)

// DataSet is the bytes of one, as bytes.Reader and io.SectionReader have them.
type DataSet interface {
	io.ReaderAt
	Size() int64
}

// ErrLeftOut means that not everything that was wanted and stands in the data set is
// among the elements: a value is longer than a header's should be (1 KiB), a sequence
// has more than 64 items or is not well-formed, the data set ends inside an element,
// or the way to what was wanted is too long.
var ErrLeftOut = errors.New("elements are left out")

// Bounds of what ReadElements looks at. A list of references may stand before the
// patient: 10,000 of them without lengths fit into the longest window, and with lengths
// they are passed over however many there are.
const (
	maxWindow = 1 << 20 // at once, and of what is inflated
	maxLooked = 2 << 20 // all windows together
)

// ReadElements reads the wanted elements of a data set, in their order. It ends before
// bulk data and behind the last that is wanted. The error is ErrHeader where the bytes
// are no data set, ErrLeftOut where elements are missing, else the reader's; what was
// found is returned with each. As ReadHeader it never panics, and its work and memory
// are bounded.
func ReadElements(set DataSet, transferSyntax string, wanted Wanted) ([]Element, error) {
	r := reading{set: set, size: max(0, set.Size()), wanted: wanted, budget: maxLooked, syntax: transferSyntax}
	if deflated(transferSyntax) {
		r.inflate()
	}
	for tag := range wanted {
		r.last = max(r.last, tag)
	}
	for more := true; more; {
		var err error
		if more, err = r.window(); err != nil {
			return r.out, err
		}
	}
	if len(r.out) == 0 {
		return nil, fmt.Errorf("%w: nothing known in its first %d bytes", ErrHeader, maxLooked-r.budget)
	}
	if r.left {
		return r.out, ErrLeftOut
	}
	return r.out, nil
}

// reading goes over a data set, one window after the other.
type reading struct {
	set    DataSet
	size   int64
	cut    bool // the data set goes on behind size
	syntax string
	wanted Wanted
	last   uint32 // the highest of wanted

	at, length int64 // where the next window begins, and how long it has to be
	budget     int64
	layout     *layout
	out        []Element
	left       bool
}

// inflate puts the beginning of what is deflated in the place of the data set.
func (r *reading) inflate() {
	out, err := io.ReadAll(io.LimitReader(flate.NewReader(io.NewSectionReader(r.set, 0, r.size)), maxWindow))
	r.set, r.size, r.cut = bytes.NewReader(out), int64(len(out)), err != nil || len(out) == maxWindow
}

// window looks at one, and reports whether there is more to look at.
func (r *reading) window() (more bool, err error) {
	b := make([]byte, min(r.size-r.at, max(r.length, HeaderWindow), r.budget))
	if n, err := r.set.ReadAt(b, r.at); err != nil && n < len(b) {
		return false, err
	}
	r.budget -= int64(len(b))
	if r.layout == nil {
		l := layoutOf(r.syntax, b)
		r.layout = &l
	}
	p, passed := picker{scanner{b, *r.layout}, &r.left}, false
	rest, bulk, err := p.topUntil(func(e span) {
		r.out, passed = p.read(r.out, e, r.wanted), passed || e.tag > r.last
	})
	if err != nil {
		return false, fmt.Errorf("%w: %w", ErrHeader, err)
	}
	return !bulk && !passed && r.goOn(p.scanner, rest), nil
}

// goOn says where the next window begins, if there is one: at rest in the last one, or
// behind the element there if that is not wanted and says how long it is.
func (r *reading) goOn(s scanner, rest int) bool {
	e, _, _ := s.element(rest)
	begins, ends := r.at+int64(rest), r.at+int64(len(s.b))
	w, wanted := r.wanted[e.tag]
	switch {
	case e.tag > r.last:
		return false
	case ends == r.size && (e.value == 0 || e.undefined):
		r.left = r.left || r.cut || begins < ends
		return false
	case e.value == 0: // its first bytes are in the next one
		r.at, r.length = begins, 0
	case e.undefined && rest == 0 && len(s.b) >= maxWindow:
		r.left = true
		return false
	case e.undefined:
		r.at, r.length = begins, min(4*(ends-begins), maxWindow)
	case wanted && (w.VR == "SQ" || e.length <= maxValue) && e.length < maxWindow-12 && begins+e.length < r.size:
		r.at, r.length = begins, e.length+12
	default:
		r.at, r.length, r.left = r.at+int64(e.value)+e.length, 0, r.left || wanted
	}
	more := r.at < r.size && r.budget > 0
	r.left = r.left || !more && (r.at != r.size || r.cut)
	return more
}
