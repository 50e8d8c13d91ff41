package dicom

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"
)

// walked is what is said of a data set that comes in pieces of n bytes.
func walked(ts string, set []byte, n int) End {
	w := NewWalker(ts)
	for piece := range chunks(set, n) {
		w.Write(piece)
	}
	return w.Close()
}

func chunks(b []byte, n int) func(func([]byte) bool) {
	return func(yield func([]byte) bool) {
		for len(b) > 0 && yield(b[:min(n, len(b))]) {
			b = b[min(n, len(b)):]
		}
	}
}

// A data set that ends between two elements is whole, those of items too, since some devices
// leave out what delimits them at the end; at every other byte it is cut, however it comes.
func TestWalkerSeesEveryCut(t *testing.T) {
	for ts, l := range map[string]layout{
		ImplicitVRLittleEndian: {binary.LittleEndian, true}, ExplicitVRLittleEndian: {binary.LittleEndian, false}, ExplicitVRBigEndian: {binary.BigEndian, false},
	} {
		set := sample(l)
		whole := map[int]bool{0: true, len(set): true}
		scanner{set, l}.top(func(e span) { whole[e.end] = true })
		item := l.mark(tagItem, undefinedLength)
		within := bytes.Index(set, item) + len(item)
		inner := l.el(0x00080100, "SH", "1234")
		for _, end := range []int{within - len(item), within, within + len(inner), within + len(inner) + 8} {
			whole[end] = true
		}
		for _, n := range []int{1, 7, 64, 1 << 20} {
			last := 0
			for end := range len(set) + 1 {
				if whole[end] {
					last = end
				} else if end-last < 2 || end-last < 8 && len(bytes.Trim(set[last:end], "\x00")) == 0 {
					continue // zeros behind the end are allowed, and one byte whatever it is
				}
				got := walked(ts, set[:end], n)
				if !got.Judged || got.Cut == whole[end] {
					t.Fatalf("%s, %d of %d bytes in pieces of %d: %+v", ts, end, len(set), n, got)
				}
			}
			if got := walked(ts, set, n); !got.Pixels || !got.Native || got.Bytes != 1000 {
				t.Errorf("%s: %+v", ts, got)
			}
		}
	}
}

func encapsulated(fragments ...string) []byte {
	l := layout{binary.LittleEndian, false}
	b := l.und(tagPixels, "OB", l.mark(tagItem, 0))
	for _, f := range fragments {
		b = append(append(b, l.mark(tagItem, uint32(len(f)))...), f...)
	}
	return append(b, l.mark(tagSequenceEnd, 0)...)
}

// Of compressed pixels the fragments are counted, and it is seen whether the last ends.
func TestWalkerSeesTheEndOfCompressedPixels(t *testing.T) {
	for _, c := range []struct {
		set       []byte
		fragments int64
		mark, cut bool
	}{
		{encapsulated("\xff\xd8abc\xff\xd9"), 1, true, false},
		{encapsulated("\xff\xd8abc\xff\xd9", "\xff\xd8abc\xff\xd9\x00\x00\x00"), 2, true, false},
		{encapsulated("\xff\xd8abc\xff\xd9", "\xff\xd8abcdef"), 2, false, false},
		{encapsulated("\xff\xd8abc", "def\xff\xd9"), 2, true, false},
		{encapsulated("\xff\xd8abc\xff\x00\xd9"), 1, false, false},
		{encapsulated("\xff\xd8abc\xff\xd9\xff\xff \x00"), 1, true, false}, // other padding
		{encapsulated("\xff\xd8abc\xff", "\xd9"), 2, false, false},
		{append(encapsulated("\xff\xd8abc\xff\xd9"), "\n\r\n"...), 1, true, false},
		{encapsulated("\xff\xd8abc\xff\xd9")[:12+8+8+7], 1, true, false}, // no delimiter
		{encapsulated("\xff\xd8abc\xff\xd9")[:12+8+8+6], 1, false, true},
		{encapsulated(), 0, false, false},
		{encapsulated("\xff\xd8abc\xff\xd9")[:30], 1, false, true},
	} {
		for _, n := range []int{1, 3, 1000} {
			got := walked("1.2.840.10008.1.2.4.70", c.set, n)
			if !got.Judged || got.Native || got.Fragments != c.fragments || got.EndMark != c.mark || got.Cut != c.cut {
				t.Errorf("%q in pieces of %d: %+v", c.set, n, got)
			}
		}
	}
}

// What is no data set that can be followed is not judged: nothing is held for that.
func TestWalkerDoesNotGuess(t *testing.T) {
	l := layout{binary.LittleEndian, false}
	for ts, set := range map[string][]byte{
		ExplicitVRLittleEndian:         append(l.el(0x00080018, "UI", "1.2"), "????????????"...),
		DeflatedExplicitVRLittleEndian: []byte("anything"),
		"1.2.99.1":                     sample(l),
		"1.2.840.113619.5.2":           sample(l),
	} {
		if got := walked(ts, set, 5); got.Judged || got.Cut {
			t.Errorf("%s: %+v", ts, got)
		}
	}
	if got := walked(ExplicitVRLittleEndian, append(sample(l), 0, 0), 100); got.Cut || !got.Judged {
		t.Errorf("two zeros behind the end: %+v", got)
	}
}

// Real files are whole.
func TestWalkerOfFiles(t *testing.T) {
	dir := os.Getenv("EDGED_DICOM_FILES")
	if dir == "" {
		t.Skip("EDGED_DICOM_FILES names no folder of real files")
	}
	files, _ := filepath.Glob(filepath.Join(dir, "*", "*.dcm"))
	for _, name := range files {
		f, err := OpenFile(name)
		if err != nil {
			continue
		}
		w := NewWalker(f.TransferSyntax)
		f.WriteTo(w)
		f.Close()
		t.Logf("%s: %+v", name, w.Close())
	}
}

func FuzzWalker(f *testing.F) {
	f.Add(ExplicitVRLittleEndian, sample(layout{binary.LittleEndian, false}), 3)
	f.Add("1.2.840.10008.1.2.4.70", encapsulated("\xff\xd8\xff\xd9"), 5)
	f.Fuzz(func(t *testing.T, ts string, set []byte, n int) {
		a, b := walked(ts, set, max(n, 1)), walked(ts, set, len(set)+1)
		if a != b || b.Bytes > int64(len(set)) || b.Fragments > int64(len(set)) || b.Cut && !b.Judged {
			t.Errorf("in pieces %+v, whole %+v", a, b)
		}
	})
}

// What following an object costs.
func BenchmarkWalker(b *testing.B) {
	set := append(examined(layout{binary.LittleEndian, false}), bytes.Repeat([]byte{0}, 8)...)
	set = append(set[:len(set)-1008-4], layout{binary.LittleEndian, false}.el(tagPixels, "OW", string(make([]byte, 512<<10)))...)
	b.SetBytes(int64(len(set)))
	for b.Loop() {
		walked(ExplicitVRLittleEndian, set, 64<<10)
	}
}

// Behind the pixels some devices write what is no element, or not all of one: the image is whole.
func TestWalkerSeesNoCutBehindThePixels(t *testing.T) {
	l := layout{binary.LittleEndian, false}
	for _, behind := range []string{"\x08\x00\x01\x00LO\x00\x00\x04\x00\x00\x00FUZZ", "\xfa\xff\xfa\xffSQ\x00\x00\x40\x00\x00\x00abc", "12345"} {
		for _, set := range [][]byte{sample(l), encapsulated("\xff\xd8abc\xff\xd9")} {
			if got := walked(ExplicitVRLittleEndian, append(set, behind...), 7); got.Cut {
				t.Errorf("%q behind: %+v", behind, got)
			}
		}
	}
	if got := walked(ExplicitVRLittleEndian, sample(l)[:len(sample(l))-1], 7); !got.Cut {
		t.Error("one byte of the pixels is missing")
	}
}

// What is written in another way than was agreed has its bytes, or not: that cannot be told.
func TestWalkerLeavesOtherLayoutsAlone(t *testing.T) {
	explicit, implicit := layout{binary.LittleEndian, false}, layout{binary.LittleEndian, true}
	private := explicit.mark(tagItem, undefinedLength)
	private = append(private, explicit.el(0x20051010, "DS", "1.5 ")...)
	private = append(append(private, explicit.mark(tagItemEnd, 0)...), explicit.mark(tagSequenceEnd, 0)...)
	for name, c := range map[string]struct {
		ts  string
		set []byte
	}{
		"explicit as implicit":  {ImplicitVRLittleEndian, sample(explicit)},
		"implicit as explicit":  {ExplicitVRLittleEndian, sample(implicit)},
		"UN with VRs inside":    {ExplicitVRLittleEndian, append(explicit.und(0x20051080, "UN", private), sample(explicit)...)},
		"UN as in the standard": {ExplicitVRLittleEndian, explicit.und(0x20051080, "UN", append(append(implicit.mark(tagItem, undefinedLength), implicit.el(0x20051010, "DS", "1.5 ")...), append(implicit.mark(tagItemEnd, 0), implicit.mark(tagSequenceEnd, 0)...)...))},
	} {
		if got := walked(c.ts, c.set, 3); got.Cut || got.Judged != (name == "UN as in the standard") {
			t.Errorf("%s: %+v", name, got)
		}
	}
}
