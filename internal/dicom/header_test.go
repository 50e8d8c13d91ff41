package dicom

import (
	"bufio"
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// element writes one element in a layout, for the tests.
func (l layout) el(tag uint32, vr, value string) []byte {
	if len(value)%2 == 1 {
		value += "\x00"
	}
	b := make([]byte, 8)
	l.order.PutUint16(b, uint16(tag>>16))
	l.order.PutUint16(b[2:], uint16(tag))
	switch {
	case l.implicit:
		l.order.PutUint32(b[4:], uint32(len(value)))
	case longVR(vr):
		copy(b[4:], vr)
		b = append(b[:6], 0, 0, 0, 0, 0, 0)
		l.order.PutUint32(b[8:], uint32(len(value)))
	default:
		copy(b[4:], vr)
		l.order.PutUint16(b[6:], uint16(len(value)))
	}
	return append(b, value...)
}

// und writes an element of undefined length; content carries its own delimiter.
func (l layout) und(tag uint32, vr string, content []byte) []byte {
	b := l.el(tag, vr, "")
	l.order.PutUint32(b[len(b)-4:], undefinedLength)
	return append(b, content...)
}

func (l layout) mark(tag, length uint32) []byte {
	b := make([]byte, 8)
	l.order.PutUint16(b, uint16(tag>>16))
	l.order.PutUint16(b[2:], uint16(tag))
	l.order.PutUint32(b[4:], length)
	return b
}

func sample(l layout) []byte {
	nested := l.mark(tagItem, undefinedLength)
	nested = append(nested, l.el(0x00080100, "SH", "1234")...)
	nested = append(nested, l.mark(tagItemEnd, 0)...)
	nested = append(nested, l.mark(tagSequenceEnd, 0)...)
	return bytes.Join([][]byte{
		l.el(0x00080016, "UI", "1.2.840.10008.5.1.4.1.1.2"),
		l.el(0x00080018, "UI", "1.2.3.4"),
		l.el(0x00080060, "CS", "CT"),
		l.und(0x00081032, "SQ", nested),
		l.el(0x00091001, "UN", strings.Repeat("private ", 40)),
		l.el(0x0020000D, "UI", "1.2.3"),
		l.el(0x0020000E, "UI", "1.2.3.1"),
		l.el(0x7FE00010, "OW", strings.Repeat("x", 1000)),
	}, nil)
}

// The header is read in every way that elements can be written.
func TestHeaderIsReadInEveryLayout(t *testing.T) {
	var z bytes.Buffer
	w, _ := flate.NewWriter(&z, 9)
	w.Write(sample(layout{binary.LittleEndian, false}))
	w.Close()
	for ts, b := range map[string][]byte{
		ImplicitVRLittleEndian:         sample(layout{binary.LittleEndian, true}),
		ExplicitVRLittleEndian:         sample(layout{binary.LittleEndian, false}),
		"1.2.840.10008.1.2.4.70":       sample(layout{binary.LittleEndian, false}),
		ExplicitVRBigEndian:            sample(layout{binary.BigEndian, false}),
		DeflatedExplicitVRLittleEndian: z.Bytes(),
		"1.2.99.1.private":             sample(layout{binary.LittleEndian, true}),
		"1.2.840.10008.1.2.4.80":       bytes.ReplaceAll(sample(layout{binary.LittleEndian, false}), []byte("UI"), []byte("LO")),
	} {
		h, err := ReadHeader(b, ts)
		want := Header{Study: "1.2.3", Series: "1.2.3.1", SOPClass: "1.2.840.10008.5.1.4.1.1.2", SOPInstance: "1.2.3.4", Modality: "CT"}
		if err != nil || h != want {
			t.Errorf("%s: got %+v, %v; want %+v", ts, h, err, want)
		}
	}
}

// trojan is a sequence behind the tag of a UID, with 4 GiB declared inside.
func trojan() []byte {
	l := layout{binary.LittleEndian, false}
	inside := append(l.mark(tagItem, undefinedLength-1), l.el(0x00080100, "UT", "")...)
	binary.LittleEndian.PutUint32(inside[len(inside)-4:], undefinedLength-15)
	return l.el(0x00080016, "SQ", string(append(inside, "short"...)))
}

// Whatever the layout and the lengths, a look allocates little more than it
// looks at: the parser below once took a byte pattern for a length and asked for
// 436 MB.
func TestHeaderAllocatesLittle(t *testing.T) {
	big := layout{binary.BigEndian, false}
	for _, c := range []struct {
		ts string
		b  []byte
	}{
		{ImplicitVRLittleEndian, sample(layout{binary.LittleEndian, true})},
		{ExplicitVRLittleEndian, sample(layout{binary.LittleEndian, false})},
		{ExplicitVRLittleEndian, append(layout{binary.LittleEndian, false}.el(0x00080016, "UI", strings.Repeat("1", maxValue)), "rest"...)},
		{ExplicitVRBigEndian, sample(big)},
		{ExplicitVRBigEndian, append(big.el(0x00080016, "UI", strings.Repeat("1", 254)), sample(big)...)},
		{"2.25.7", sample(big)},
		{ExplicitVRLittleEndian, append(trojan(), sample(layout{binary.LittleEndian, false})...)},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range 10 {
			ReadHeader(c.b, c.ts)
		}
		runtime.ReadMemStats(&after)
		if n := (after.TotalAlloc - before.TotalAlloc) / 10; n > HeaderWindow {
			t.Errorf("%s: %d bytes allocated for a look at %d", c.ts, n, len(c.b))
		}
	}
}

// What stands before the damage is still told, and the error says so.
func TestHeaderBeforeDamageIsKept(t *testing.T) {
	l := layout{binary.LittleEndian, false}
	b := append(l.el(0x0020000D, "UI", "1.2.3"), "\x20\x00\x0e\x00??garbage"...)
	h, err := ReadHeader(b, ExplicitVRLittleEndian)
	if h.Study != "1.2.3" || !errors.Is(err, ErrHeader) {
		t.Errorf("got %+v, %v", h, err)
	}
	if _, err := ReadHeader(nil, ExplicitVRLittleEndian); !errors.Is(err, ErrHeader) {
		t.Errorf("an empty data set gave %v", err)
	}
}

// Sequences nested beyond the limit end the look, they do not recurse on.
func TestHeaderDepthIsBounded(t *testing.T) {
	l := layout{binary.LittleEndian, true}
	var b []byte
	for range 2000 {
		b = append(b, l.und(0x00081140, "SQ", l.mark(tagItem, undefinedLength))...)
	}
	if _, err := ReadHeader(b, ImplicitVRLittleEndian); !errors.Is(err, errScan) {
		t.Errorf("got %v", err)
	}
}

// A deflate bomb is inflated to the window and no further (S5).
func TestHeaderDoesNotInflateBombs(t *testing.T) {
	var z bytes.Buffer
	w, _ := flate.NewWriter(&z, 9)
	for range 1024 {
		w.Write(make([]byte, 32<<10))
	}
	w.Close()
	if n := len(inflate(z.Bytes())); n != HeaderWindow {
		t.Errorf("inflated to %d bytes, want %d", n, HeaderWindow)
	}
}

// Preface and ReadPreface agree, whatever the length of the UIDs.
func TestPrefaceRoundTrip(t *testing.T) {
	for _, n := range []Names{
		{"1.2.840.10008.1.2.1", "1.2.840.10008.5.1.4.1.1.2", "1.2.3.4"},
		{"1.2", "1.23", strings.Repeat("9", MaxUID)},
		{"private", "with blank", "x/../../y"},
	} {
		b := append(Preface(n), sample(layout{binary.LittleEndian, false})...)
		r := bufio.NewReader(bytes.NewReader(b))
		got, size, err := ReadPreface(r)
		if err != nil || got != n || size != int64(len(Preface(n))) {
			t.Errorf("%+v: got %+v, %d bytes, %v", n, got, size, err)
		}
	}
}

// The seed is part of what is promised to be stable: IDs outlive releases.
func TestIDsNeverChange(t *testing.T) {
	n := Names{"1.2.840.10008.1.2.1", "1.2.840.10008.5.1.4.1.1.2", "1.2.3"}
	h := n.NewHash()
	h.Write([]byte("data set"))
	var id ID
	copy(id[:], h.Sum(nil))
	const want = "571e8290b7df4abf9f193745b221530c51e03a9289129015200159a9f8cddea5"
	if id.String() != want {
		t.Errorf("got %s, want %s", id, want)
	}
	if back, err := ParseID(id.String()); err != nil || back != id {
		t.Errorf("ParseID: %v, %v", back, err)
	}
}

// No file of the corpus, and nothing the fuzzer makes of it, panics or blocks.
func FuzzReadHeader(f *testing.F) {
	for _, l := range []layout{{binary.LittleEndian, true}, {binary.LittleEndian, false}, {binary.BigEndian, false}} {
		f.Add(sample(l), ExplicitVRLittleEndian)
		f.Add(sample(l), ImplicitVRLittleEndian)
		f.Add(sample(l), ExplicitVRBigEndian)
		f.Add(sample(l), DeflatedExplicitVRLittleEndian)
	}
	f.Fuzz(func(t *testing.T, b []byte, ts string) {
		h, _ := ReadHeader(b, ts)
		if len(h.Study) > maxValue {
			t.Errorf("a value of %d bytes came out", len(h.Study))
		}
	})
}

func FuzzReadPreface(f *testing.F) {
	f.Add(Preface(Names{"1.2", "1.3", "1.4"}))
	f.Fuzz(func(t *testing.T, b []byte) {
		_, size, err := ReadPreface(bufio.NewReader(bytes.NewReader(b)))
		if err == nil && (size < 132 || size > int64(len(b))) {
			t.Errorf("took %d of %d bytes", size, len(b))
		}
	})
}

// Every file that is wrong in its own way, and real ones where a folder of them
// is named, is read or refused in words.
func TestHeaderOfFiles(t *testing.T) {
	files, _ := filepath.Glob("../../testdata/hostile/*.dcm")
	if dir := os.Getenv("EDGED_DICOM_FILES"); dir != "" {
		real, _ := filepath.Glob(filepath.Join(dir, "*", "*.dcm"))
		files = append(files, real...)
	}
	if len(files) < 18 {
		t.Fatalf("found %d files", len(files))
	}
	for _, name := range files {
		f, err := OpenFile(name)
		if err != nil {
			if !errors.Is(err, ErrNotPart10) {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		window, _ := f.Peek(HeaderWindow)
		h, err := ReadHeader(window, f.TransferSyntax)
		f.Close()
		if err == nil && h == (Header{}) || err != nil && !errors.Is(err, ErrHeader) {
			t.Errorf("%s: %+v, %v", name, h, err)
		}
	}
}
