package dataset

import "fmt"

// Append writes the set behind b in a transfer syntax. Values are written as
// they are, also odd ones; sequences and items get defined lengths.
func (s Set) Append(b []byte, transferSyntax string) ([]byte, error) {
	start := len(b)
	if deflated(transferSyntax) {
		inner, err := s.Append(nil, ExplicitVRLittleEndian)
		if err != nil {
			return b, err
		}
		return deflate(b, inner)
	}
	out, err := layoutOf(transferSyntax, nil).set(b, s, 0)
	if err == nil && len(out)-start > MaxBytes {
		err = fmt.Errorf("%w: %d bytes, at most %d are written", ErrLimit, len(out)-start, MaxBytes)
	}
	if err != nil {
		return b, err
	}
	return out, nil
}

func (l layout) set(b []byte, s Set, depth int) (_ []byte, err error) {
	if depth > MaxDepth {
		return b, fmt.Errorf("%w: sequences nested deeper than %d", ErrLimit, MaxDepth)
	}
	for _, e := range s {
		if b, err = l.element(b, e, depth); err != nil {
			return b, err
		}
	}
	return b, nil
}

func (l layout) element(b []byte, e Element, depth int) (_ []byte, err error) {
	if e.Tag>>16 == 0xFFFE || e.Tag&0xFFFF == 0 {
		return b, fmt.Errorf("%w: %v is no attribute to write", ErrSyntax, e.Tag)
	}
	if e.Items == nil && e.VR != "SQ" {
		v := e.Value
		if l == explicitBE {
			v = swap(v, width(e.VR))
		}
		return append(l.head(b, e.Tag, e.VR, len(v)), v...), nil
	}
	b = l.head(b, e.Tag, "SQ", 0)
	start := len(b)
	for _, item := range e.Items {
		if b, err = l.item(b, item, depth+1); err != nil {
			return b, err
		}
	}
	l.order.PutUint32(b[start-4:], uint32(len(b)-start))
	return b, nil
}

func (l layout) item(b []byte, s Set, depth int) ([]byte, error) {
	b = l.order.AppendUint32(l.appendTag(b, tagItem), 0)
	start := len(b)
	b, err := l.set(b, s, depth)
	l.order.PutUint32(b[start-4:], uint32(len(b)-start))
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
