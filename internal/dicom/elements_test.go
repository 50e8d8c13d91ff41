package dicom

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

var someWanted = Wanted{
	0x00080005: {VR: "CS"}, 0x00100020: {VR: "LO"}, 0x00280010: {VR: "US"},
	0x00101002: {VR: "SQ", Items: Wanted{0x00100020: {VR: "LO"}, 0x00100024: {VR: "SQ", Items: Wanted{0x00400032: {VR: "UT"}}}}},
}

// identified is a data set with other patient IDs in items of both kinds of length.
func identified(l layout) []byte {
	inner := l.mark(tagItem, undefinedLength)
	inner = append(inner, l.el(0x00400032, "UT", "1.2.3")...)
	inner = append(inner, l.mark(tagItemEnd, 0)...)
	inner = append(inner, l.mark(tagSequenceEnd, 0)...)
	first := append(l.el(0x00100020, "LO", "other"), l.el(0x00100022, "CS", "TEXT")...)
	items := append(l.mark(tagItem, uint32(len(first))), first...)
	items = append(items, l.mark(tagItem, undefinedLength)...)
	items = append(items, l.el(0x00100020, "LO", "third")...)
	items = append(items, l.und(0x00100024, "SQ", inner)...)
	items = append(items, l.mark(tagItemEnd, 0)...)
	rows := make([]byte, 2)
	l.order.PutUint16(rows, 512)
	return bytes.Join([][]byte{
		l.el(0x00080005, "CS", "ISO_IR 100"),
		l.el(0x00100010, "PN", "not asked for"),
		l.el(0x00100020, "LO", "ID\xe0 "),
		l.und(0x00101002, "SQ", append(items, l.mark(tagSequenceEnd, 0)...)),
		l.el(0x00280010, "US", string(rows)),
		l.el(0x7FE00010, "OW", "pixels"),
	}, nil)
}

// What was asked for is read as it stands there, from nested items too, in every
// layout; nothing else is.
func TestWantedElementsAreReadAsTheyStand(t *testing.T) {
	want := []Element{
		{Tag: 0x00080005, VR: "CS", Value: []byte("ISO_IR 100")},
		{Tag: 0x00100020, VR: "LO", Value: []byte("ID\xe0 ")},
		{Tag: 0x00101002, VR: "SQ", Items: [][]Element{
			{{Tag: 0x00100020, VR: "LO", Value: []byte("other\x00")}},
			{{Tag: 0x00100020, VR: "LO", Value: []byte("third\x00")}, {Tag: 0x00100024, VR: "SQ", Items: [][]Element{{{Tag: 0x00400032, VR: "UT", Value: []byte("1.2.3\x00")}}}}}}},
		{Tag: 0x00280010, VR: "US", Value: []byte("512")},
	}
	for ts, l := range map[string]layout{
		ImplicitVRLittleEndian: {binary.LittleEndian, true},
		ExplicitVRLittleEndian: {binary.LittleEndian, false},
		ExplicitVRBigEndian:    {binary.BigEndian, false},
	} {
		got, err := ReadElements(identified(l), ts, someWanted)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v\ngot  %v\nwant %v", ts, err, got, want)
		}
	}
}

// A data set that is cut, or is none, gives what stands before.
func TestElementsOfACutDataSet(t *testing.T) {
	whole := identified(layout{binary.LittleEndian, false})
	before := 0
	for n := range len(whole) {
		got, _ := ReadElements(whole[:n], ExplicitVRLittleEndian, someWanted)
		if len(got) < before {
			t.Fatalf("%d elements of %d bytes, %d of fewer", len(got), n, before)
		}
		before = len(got)
	}
	if _, err := ReadElements([]byte("no data set at all"), ExplicitVRLittleEndian, someWanted); !errors.Is(err, ErrHeader) {
		t.Errorf("of other bytes: %v", err)
	}
}

// P9: a value, and the items of a sequence, are bounded whatever a peer writes.
func TestElementsAreBounded(t *testing.T) {
	l := layout{binary.LittleEndian, false}
	items := bytes.Repeat(l.mark(tagItem, 0), 5000)
	b := bytes.Join([][]byte{l.el(0x00100020, "LO", strings.Repeat("x", maxValue+2)), l.und(0x00101002, "SQ", append(items, l.mark(tagSequenceEnd, 0)...))}, nil)
	got, err := ReadElements(b, ExplicitVRLittleEndian, someWanted)
	if err != nil || len(got) != 1 || len(got[0].Items) != maxItems {
		t.Errorf("%d elements, %v: %.100s", len(got), err, fmt.Sprint(got))
	}
}

func FuzzReadElements(f *testing.F) {
	for _, l := range []layout{{binary.LittleEndian, true}, {binary.LittleEndian, false}, {binary.BigEndian, false}} {
		f.Add(identified(l), 0)
	}
	syntaxes := []string{ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian, "1.2.3"}
	f.Fuzz(func(t *testing.T, b []byte, n int) {
		got, err := ReadElements(b, syntaxes[uint(n)%uint(len(syntaxes))], someWanted)
		if err == nil && len(got) == 0 {
			t.Fatal("nothing, and no error")
		}
		size := 0
		for _, e := range got {
			size += len(e.Value)
			for _, i := range e.Items {
				for _, e := range i {
					size += len(e.Value)
				}
			}
		}
		if size > HeaderWindow {
			t.Fatalf("%d bytes of values from %d", size, len(b))
		}
	})
}
