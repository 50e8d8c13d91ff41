package dataset

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Tag is an attribute tag: group<<16 | element.
type Tag uint32

// String is the tag as PS3.5 writes it, (GGGG,EEEE).
func (t Tag) String() string { return fmt.Sprintf("(%04X,%04X)", uint32(t)>>16, uint32(t)&0xFFFF) }

// Private says whether the tag is of a private group (PS3.5 §7.8.1).
func (t Tag) Private() bool { return t>>16&1 == 1 }

// Element is one attribute.
type Element struct {
	Tag   Tag
	VR    string // as sent, or from the dictionary in an implicit syntax
	Value []byte // padded as sent, numbers little-endian; nil when empty. It may share memory with what was parsed.
	Items []Set  // not nil for an SQ, even an empty one
}

// Set is a data set: elements by ascending tag.
type Set []Element

// Find gives the first element of a tag.
func (s Set) Find(t Tag) (Element, bool) {
	i, ok := s.search(t)
	if !ok {
		return Element{}, false
	}
	return s[i], true
}

func (s Set) search(t Tag) (int, bool) {
	return slices.BinarySearchFunc(s, t, func(e Element, t Tag) int { return cmp.Compare(e.Tag, t) })
}

// Text is the first value of an element as it stands, without padding.
func (s Set) Text(t Tag) string {
	if v := s.Texts(t); len(v) > 0 {
		return v[0]
	}
	return ""
}

// UID is the first value of an element without the padding of PS3.5 §9.1.
func (s Set) UID(t Tag) string { return strings.Trim(s.Text(t), " \x00") }

// Texts are all values of an element; none when it is absent or empty.
func (s Set) Texts(t Tag) []string {
	e, _ := s.Find(t)
	return e.Texts()
}

// Items are the items of a sequence.
func (s Set) Items(t Tag) []Set {
	e, _ := s.Find(t)
	return e.Items
}

// Texts are the values of an element, split at the backslash where its VR allows
// several (PS3.5 §6.4), numbers in decimal.
//
// Gap: in GB18030 and GBK 5CH may be the second byte of a character (PS3.5
// §6.1.2.3): there the split may fall into one.
func (e Element) Texts() []string {
	if len(e.Value) == 0 {
		return nil
	}
	if n, size := numbers(e); size > 0 {
		return n
	}
	trim := trimmer(e.VR)
	if single(e.VR) {
		return []string{trim(string(e.Value))}
	}
	v := strings.Split(string(e.Value), `\`)
	for i := range v {
		v[i] = trim(v[i])
	}
	return v
}

// single says that a backslash is a character like others in this VR.
func single(vr string) bool { return vr == "LT" || vr == "ST" || vr == "UT" || vr == "UR" }

// trimmer takes the padding away: leading spaces are significant in text
// (PS3.5 Table 6.2-1), everywhere else they are not.
func trimmer(vr string) func(string) string {
	if single(vr) {
		return func(s string) string { return strings.TrimRight(s, " \x00") }
	}
	return func(s string) string { return strings.Trim(s, " \x00") }
}

// numbers formats binary integers; size is zero for any other VR.
func numbers(e Element) (v []string, size int) {
	switch e.VR {
	case "US", "SS":
		size = 2
	case "UL", "SL":
		size = 4
	default:
		return nil, 0
	}
	for b := e.Value; len(b) >= size; b = b[size:] {
		v = append(v, number(e.VR, b))
	}
	return v, size
}

func number(vr string, b []byte) string {
	switch vr {
	case "US":
		return strconv.Itoa(int(binary.LittleEndian.Uint16(b)))
	case "SS":
		return strconv.Itoa(int(int16(binary.LittleEndian.Uint16(b))))
	case "UL":
		return strconv.FormatUint(uint64(binary.LittleEndian.Uint32(b)), 10)
	}
	return strconv.Itoa(int(int32(binary.LittleEndian.Uint32(b))))
}

// Set puts an element in its place, instead of any there is; values are joined
// by backslashes and padded to even length: UI with NUL, the rest with a space
// (PS3.5 §6.2). Without values it is empty.
func (s *Set) Set(t Tag, vr string, values ...string) {
	v := strings.Join(values, `\`)
	if len(v)%2 == 1 {
		v += pad(vr)
	}
	s.Put(Element{Tag: t, VR: vr, Value: nonEmpty([]byte(v))})
}

func pad(vr string) string {
	if vr == "UI" || vr == "OB" || vr == "UN" {
		return "\x00"
	}
	return " "
}

// SetUint16 puts a US element.
func (s *Set) SetUint16(t Tag, values ...uint16) {
	var b []byte
	for _, v := range values {
		b = binary.LittleEndian.AppendUint16(b, v)
	}
	s.Put(Element{Tag: t, VR: "US", Value: b})
}

// SetItems puts a sequence.
func (s *Set) SetItems(t Tag, items []Set) {
	if items == nil {
		items = []Set{}
	}
	s.Put(Element{Tag: t, VR: "SQ", Items: items})
}

// Put puts an element in its place, instead of any there are of its tag.
func (s *Set) Put(e Element) {
	s.Remove(e.Tag)
	i, _ := s.search(e.Tag)
	*s = slices.Insert(*s, i, e)
}

// Remove takes the elements of a tag away.
func (s *Set) Remove(t Tag) {
	i, ok := s.search(t)
	if !ok {
		return
	}
	end := i
	for end < len(*s) && (*s)[end].Tag == t {
		end++
	}
	*s = slices.Delete(*s, i, end)
}

// Equal says whether two sets hold the same elements with the same bytes.
func (s Set) Equal(other Set) bool { return slices.EqualFunc(s, other, Element.equal) }

func (e Element) equal(o Element) bool {
	return e.Tag == o.Tag && e.VR == o.VR && bytes.Equal(e.Value, o.Value) &&
		(e.Items == nil) == (o.Items == nil) && slices.EqualFunc(e.Items, o.Items, Set.Equal)
}

// nonEmpty is nil for no bytes: an empty value has one form.
func nonEmpty(b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	return b
}
