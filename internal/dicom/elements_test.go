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
		got, err := ReadElements(bytes.NewReader(identified(l)), ts, someWanted)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %v\ngot  %v\nwant %v", ts, err, got, want)
		}
	}
}

// A data set that is cut, or is none, gives what stands before.
func TestElementsOfACutDataSet(t *testing.T) {
	whole := identified(layout{binary.LittleEndian, false})
	before, borders := 0, map[int]bool{}
	s := scanner{whole, layout{binary.LittleEndian, false}}
	if err := s.top(func(e span) { borders[e.start], borders[e.end] = true, true }); err != nil {
		t.Fatal(err)
	}
	for n := range len(whole) - len("pixels") - 10 { // where it says what follows nothing is missing

		got, err := ReadElements(bytes.NewReader(whole[:n]), ExplicitVRLittleEndian, someWanted)
		if len(got) < before {
			t.Fatalf("%d elements of %d bytes, %d of fewer", len(got), n, before)
		}
		if err == nil && !borders[n] {
			t.Errorf("nothing is missing when it ends inside an element, behind %d bytes", n)
		}
		before = len(got)
	}
	if _, err := ReadElements(strings.NewReader("no data set at all"), ExplicitVRLittleEndian, someWanted); !errors.Is(err, ErrHeader) {
		t.Errorf("of other bytes: %v", err)
	}
}

// P9: a value, and the items of a sequence, are bounded whatever a peer writes, and it is
// said that not all is there.
func TestElementsAreBounded(t *testing.T) {
	l := layout{binary.LittleEndian, false}
	items := bytes.Repeat(l.mark(tagItem, 0), 5000)
	b := bytes.Join([][]byte{l.el(0x00100020, "LO", strings.Repeat("x", maxValue+2)), l.und(0x00101002, "SQ", append(items, l.mark(tagSequenceEnd, 0)...))}, nil)
	got, err := ReadElements(bytes.NewReader(b), ExplicitVRLittleEndian, someWanted)
	if !errors.Is(err, ErrLeftOut) || len(got) != 1 || len(got[0].Items) != maxItems {
		t.Errorf("%d elements, %v: %.100s", len(got), err, fmt.Sprint(got))
	}
}

// references are n items as an enhanced object has before the patient.
func (l layout) references(n int) []byte {
	one := append(l.el(0x00081150, "UI", "1.2.840.10008.5.1.4.1.1.2"), l.el(0x00081155, "UI", "1.2.826.0.1.3680043.8.498.12345678901234567890123456789012345")...)
	return bytes.Repeat(append(l.mark(tagItem, uint32(len(one))), one...), n)
}

// counted is a data set in memory that counts what is read of it.
type counted struct {
	*bytes.Reader
	read int64
}

func (c *counted) ReadAt(b []byte, at int64) (int, error) {
	n, err := c.Reader.ReadAt(b, at)
	c.read += int64(n)
	return n, err
}

// However long what stands before the patient is, the patient is found where lengths
// lead there, or a bounded way does; where not it is said.
func TestThePatientIsFoundBehindALongSequence(t *testing.T) {
	for _, l := range []layout{{binary.LittleEndian, true}, {binary.LittleEndian, false}} {
		ts := map[bool]string{true: ImplicitVRLittleEndian, false: ExplicitVRLittleEndian}[l.implicit]
		for _, c := range []struct {
			n       int
			lengths bool
			found   bool
		}{{0, true, true}, {700, true, true}, {700, false, true}, {5000, true, true}, {5000, false, true}, {40_000, true, true}, {40_000, false, false}} {
			refs := l.references(c.n)
			sequence := l.el(0x00081140, "SQ", string(refs))
			if !c.lengths {
				sequence = l.und(0x00081140, "SQ", append(refs, l.mark(tagSequenceEnd, 0)...))
			}
			set := &counted{Reader: bytes.NewReader(bytes.Join([][]byte{l.el(0x00080005, "CS", "ISO_IR 100"), sequence, l.el(0x00091001, "UN", strings.Repeat("x", 100_000)),
				l.el(0x00100020, "LO", "ID7"), l.el(0x52009230, "SQ", string(refs)), l.el(0x7FE00010, "OW", strings.Repeat("p", 4<<20))}, nil))}
			got, err := ReadElements(set, ts, someWanted)
			found := len(got) == 2 && string(got[1].Value) == "ID7\x00"
			if found != c.found || found != (err == nil) || !found && !errors.Is(err, ErrLeftOut) || set.read > maxLooked {
				t.Errorf("%d items, lengths %v: %d elements, %v, %d bytes read", c.n, c.lengths, len(got), err, set.read)
			}
		}
	}
}

// A wanted sequence that does not fit is left out, and what follows is read.
func TestWhatIsLeftOutIsSaid(t *testing.T) {
	l := layout{binary.LittleEndian, false}
	for name, wrong := range map[string][]byte{
		"too long":    l.el(0x00101002, "SQ", string(l.references(20_000))),
		"no items":    l.el(0x00101002, "SQ", "this is no item of a sequence"),
		"an item cut": l.el(0x00101002, "SQ", string(append(l.mark(tagItem, 100), "short"...))),
		"no sequence": l.el(0x00101002, "LO", "text"),
		"too many":    l.el(0x00101002, "SQ", string(l.references(65))),
	} {
		set := bytes.Join([][]byte{l.el(0x00100020, "LO", "ID7"), wrong, l.el(0x00280010, "US", "\x01\x00")}, nil)
		got, err := ReadElements(bytes.NewReader(set), ExplicitVRLittleEndian, someWanted)
		if !errors.Is(err, ErrLeftOut) || len(got) < 2 || string(got[len(got)-1].Value) != "1" {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	gone := errors.New("the disk is away")
	if _, err := ReadElements(broken{gone}, ExplicitVRLittleEndian, someWanted); !errors.Is(err, gone) {
		t.Errorf("of a store that is away: %v", err)
	}
}

// broken cannot be read.
type broken struct{ err error }

func (b broken) ReadAt([]byte, int64) (int, error) { return 0, b.err }
func (broken) Size() int64                         { return 1000 }

func FuzzReadElements(f *testing.F) {
	for _, l := range []layout{{binary.LittleEndian, true}, {binary.LittleEndian, false}, {binary.BigEndian, false}} {
		f.Add(identified(l), 0)
	}
	syntaxes := []string{ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian, "1.2.3"}
	f.Fuzz(func(t *testing.T, b []byte, n int) {
		got, err := ReadElements(bytes.NewReader(b), syntaxes[uint(n)%uint(len(syntaxes))], someWanted)
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
		if size > maxLooked {
			t.Fatalf("%d bytes of values from %d", size, len(b))
		}
	})
}
