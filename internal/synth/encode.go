package synth

import (
	"bytes"
	"cmp"
	"compress/flate"
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
)

// dataset is a set of attributes by keyword; the encoder sorts them by tag.
//
// The Go type of a value may be: string for the text VRs (several values joined
// by a backslash); int for IS, US, SS and AT; []byte for OB; []uint16 for OW,
// in the byte order of the transfer syntax; fragments for encapsulated pixel
// data; []dataset for SQ. Anything else is a mistake in this package: it panics.
type dataset map[string]any

// fragments are encapsulated pixel data, one fragment a frame (PS3.5 §A.4).
type fragments [][]byte

// with returns d and the attributes of others.
func (d dataset) with(others ...dataset) dataset {
	for _, o := range others {
		for k, v := range o {
			d[k] = v
		}
	}
	return d
}

// order is a byte order that can read and append.
type order interface {
	binary.ByteOrder
	binary.AppendByteOrder
}

// syntax is what a transfer syntax says about the encoding of a data set (PS3.5 §10, §A).
type syntax struct {
	order     order
	implicit  bool
	deflated  bool
	undefined bool // sequences and items of undefined length; both forms are legal (PS3.5 §7.5)
}

// The transfer syntaxes that are made here (PS3.6 §A).
const (
	implicitLE      = "1.2.840.10008.1.2"
	explicitLE      = "1.2.840.10008.1.2.1"
	encapsulatedRaw = "1.2.840.10008.1.2.1.98" // Encapsulated Uncompressed Explicit VR Little Endian
	deflatedLE      = "1.2.840.10008.1.2.1.99"
	explicitBE      = "1.2.840.10008.1.2.2"
	jpegBaseline    = "1.2.840.10008.1.2.4.50"
	jpegLosslessSV1 = "1.2.840.10008.1.2.4.70"
	rleLossless     = "1.2.840.10008.1.2.5"
)

func syntaxOf(transferSyntax string) syntax {
	switch transferSyntax {
	case implicitLE:
		return syntax{order: binary.LittleEndian, implicit: true, undefined: true}
	case explicitBE:
		return syntax{order: binary.BigEndian}
	case deflatedLE:
		return syntax{order: binary.LittleEndian, deflated: true}
	case jpegBaseline, rleLossless:
		return syntax{order: binary.LittleEndian, undefined: true}
	}
	return syntax{order: binary.LittleEndian}
}

// encode writes d in a transfer syntax.
func encode(d dataset, transferSyntax string) []byte {
	s := syntaxOf(transferSyntax)
	b := s.appendDataset(make([]byte, 0, sizeHint(d)), d)
	if s.deflated {
		return deflate(b)
	}
	return b
}

// sizeHint spares the growing of a large buffer.
func sizeHint(d dataset) int {
	const attributes = 4 << 10
	switch v := d["PixelData"].(type) {
	case []byte:
		return len(v) + attributes
	case []uint16:
		return 2*len(v) + attributes
	}
	return attributes
}

func (s syntax) appendDataset(b []byte, d dataset) []byte {
	keys := make([]string, 0, len(d))
	for k := range d {
		if dictionary[k].vr == "" {
			panic("synth: no attribute " + k + " in the dictionary")
		}
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b string) int { return cmp.Compare(dictionary[a].tag, dictionary[b].tag) })
	for _, k := range keys {
		b = s.appendElement(b, dictionary[k], d[k])
	}
	return b
}

func (s syntax) appendElement(b []byte, a attribute, value any) []byte {
	switch v := value.(type) {
	case []dataset:
		return s.appendSequence(b, a, v)
	case fragments:
		return s.appendFragments(b, a, v)
	case []byte:
		a.vr = "OB"
	}
	raw := s.value(a.vr, value)
	return append(s.appendHeader(b, a, uint32(len(raw))), raw...)
}

const undefinedLength = 0xFFFFFFFF

// appendHeader writes tag, VR and length (PS3.5 §7.1).
//
//	implicit        tag 4 | length 4
//	explicit short  tag 4 | VR 2 | length 2
//	explicit long   tag 4 | VR 2 | 0 0 | length 4
func (s syntax) appendHeader(b []byte, a attribute, length uint32) []byte {
	b = s.appendTag(b, a.tag)
	if s.implicit {
		return s.order.AppendUint32(b, length)
	}
	b = append(b, a.vr...)
	switch a.vr {
	case "OB", "OW", "SQ", "UT":
		return s.order.AppendUint32(append(b, 0, 0), length)
	}
	return s.order.AppendUint16(b, uint16(length))
}

func (s syntax) appendTag(b []byte, tag uint32) []byte {
	return s.order.AppendUint16(s.order.AppendUint16(b, uint16(tag>>16)), uint16(tag))
}

// value is the value field, padded to even length (PS3.5 §6.2, §7.1).
func (s syntax) value(vr string, value any) []byte {
	switch v := value.(type) {
	case string:
		return padText(vr, v)
	case []byte:
		return even(v)
	case []uint16:
		return s.words(v)
	case int:
		return s.number(vr, v)
	}
	panic(fmt.Sprintf("synth: a value of type %T", value))
}

func (s syntax) number(vr string, v int) []byte {
	switch vr {
	case "US", "SS":
		return s.order.AppendUint16(nil, uint16(v))
	case "AT":
		return s.appendTag(nil, uint32(v))
	}
	return padText(vr, strconv.Itoa(v))
}

func (s syntax) words(v []uint16) []byte {
	b := make([]byte, 2*len(v))
	if s.order == order(binary.LittleEndian) {
		for i, w := range v { // the usual case, without a call for each word
			b[2*i], b[2*i+1] = byte(w), byte(w>>8)
		}
		return b
	}
	for i, w := range v {
		s.order.PutUint16(b[2*i:], w)
	}
	return b
}

func padText(vr, v string) []byte {
	if len(v)%2 == 0 {
		return []byte(v)
	}
	if vr == "UI" {
		return append([]byte(v), 0)
	}
	return append([]byte(v), ' ')
}

func even(b []byte) []byte {
	if len(b)%2 == 1 {
		return append(slices.Clone(b), 0)
	}
	return b
}

// deflate is the whole data set as raw RFC 1951 bytes, padded to even (PS3.5 §A.5).
func deflate(b []byte) []byte {
	var out bytes.Buffer
	w, err := flate.NewWriter(&out, flate.DefaultCompression)
	if err != nil {
		panic(err) // only for a level that does not exist
	}
	w.Write(b) // a bytes.Buffer takes everything
	w.Close()
	return even(out.Bytes())
}
