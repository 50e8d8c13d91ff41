package dataset

import "fmt"

// Append writes the set behind b in a transfer syntax. Values are written as
// they are, also odd ones; sequences and items get defined lengths. Beyond the
// limits of Parse nothing is written and the error is ErrLimit: what nobody
// could read again must not be kept or sent.
func (s Set) Append(b []byte, transferSyntax string) ([]byte, error) {
	var out []byte
	var err error
	if deflated(transferSyntax) {
		var inner []byte
		if inner, err = s.Append(nil, ExplicitVRLittleEndian); err == nil {
			out, err = deflate(b, inner)
		}
	} else {
		w := writer{layoutOf(transferSyntax, nil), MaxElements, len(b)}
		out, err = w.set(b, s, 0)
	}
	if err == nil && len(out)-len(b) > MaxBytes {
		err = tooLong()
	}
	if err != nil {
		return b, err
	}
	return out, nil
}

func tooLong() error { return fmt.Errorf("%w: at most %d bytes are written", ErrLimit, MaxBytes) }

// writer counts what is written in all, as the parser does.
type writer struct {
	layout
	left  int // elements and items
	start int // of the set in the buffer
}

// another counts an element or item and looks at what is written so far.
func (w *writer) another(b []byte) error {
	if w.left--; w.left < 0 {
		return fmt.Errorf("%w: more than %d elements and items", ErrLimit, MaxElements)
	}
	if len(b)-w.start > MaxBytes {
		return tooLong()
	}
	return nil
}

func (w *writer) set(b []byte, s Set, depth int) (_ []byte, err error) {
	for _, e := range s {
		if b, err = w.element(b, e, depth); err != nil {
			return b, err
		}
	}
	return b, nil
}

func (w *writer) element(b []byte, e Element, depth int) (_ []byte, err error) {
	if e.Tag>>16 == 0xFFFE || e.Tag&0xFFFF == 0 {
		return b, fmt.Errorf("%w: %v is no attribute to write", ErrSyntax, e.Tag)
	}
	if err := w.another(b); err != nil {
		return b, err
	}
	if e.Items == nil && e.VR != "SQ" {
		v := e.Value
		if w.layout == explicitBE {
			v = swap(v, width(e.VR))
		}
		return append(w.head(b, e.Tag, e.VR, len(v)), v...), nil
	}
	if depth++; depth > MaxDepth { // an empty sequence, too: so does the parser
		return b, fmt.Errorf("%w: sequences nested deeper than %d", ErrLimit, MaxDepth)
	}
	b = w.head(b, e.Tag, "SQ", 0)
	start := len(b)
	for _, item := range e.Items {
		if b, err = w.item(b, item, depth); err != nil {
			return b, err
		}
	}
	w.order.PutUint32(b[start-4:], uint32(len(b)-start))
	return b, nil
}

func (w *writer) item(b []byte, s Set, depth int) ([]byte, error) {
	if err := w.another(b); err != nil {
		return b, err
	}
	b = w.order.AppendUint32(w.appendTag(b, tagItem), 0)
	start := len(b)
	b, err := w.set(b, s, depth)
	w.order.PutUint32(b[start-4:], uint32(len(b)-start))
	return b, err
}

func (l layout) appendTag(b []byte, t Tag) []byte {
	return l.order.AppendUint16(l.order.AppendUint16(b, uint16(t>>16)), uint16(t))
}

// head writes what stands before a value. A value too long for its VR's 16 bits
// goes as UN (PS3.5 §6.2.2).
func (l layout) head(b []byte, t Tag, vr string, length int) []byte {
	b = l.appendTag(b, t)
	if len(vr) != 2 || !isVR([]byte(vr)) || short(vr) && length > 0xFFFF {
		vr = "UN"
	}
	switch {
	case l.implicit:
		return l.order.AppendUint32(b, uint32(length))
	case short(vr):
		return l.order.AppendUint16(append(b, vr...), uint16(length))
	}
	return l.order.AppendUint32(append(b, vr[0], vr[1], 0, 0), uint32(length))
}
