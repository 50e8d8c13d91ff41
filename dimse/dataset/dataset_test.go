package dataset

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

var syntaxes = []string{ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian}

// sample has what the services send: text, UIDs, numbers, nested sequences, an
// empty sequence, an empty item, private and unknown attributes.
func sample() Set {
	var inner, s Set
	inner.Set(0x00080100, "SH", "T-D1100")
	inner.Set(0x0020000D, "UI", "1.2.3")
	inner.SetItems(0x00081140, []Set{{}, {{Tag: 0x00081155, VR: "UI", Value: []byte("1.2\x00")}}})
	s.Set(0x00100010, "PN", "Rossi^Maria")
	s.Set(0x00080005, "CS", "ISO_IR 100")
	s.Set(0x00080061, "CS", "CT", "MR")
	s.SetUint16(0x00280010, 512)
	s.SetItems(0x00081115, []Set{inner, {}})
	s.SetItems(0x00081199, nil)
	s.Put(Element{Tag: 0x00091001, VR: "UN", Value: []byte("odd")})
	s.Set(0x00090010, "LO", "ACME 1.1")
	s.Set(0x00201208, "IS")
	s.Put(Element{Tag: 0x00720078, VR: "UL", Value: []byte{1, 2, 3, 4}})
	return s
}

// What is written in a transfer syntax is read again from it, element by element.
func TestEverySyntaxIsReadAsItIsWritten(t *testing.T) {
	for _, ts := range syntaxes {
		b, err := sample().Append([]byte("before"), ts)
		if err != nil || string(b[:6]) != "before" {
			t.Fatalf("%s: %v", ts, err)
		}
		got, err := Parse(b[6:], ts)
		if err != nil || !got.Equal(sample()) {
			t.Errorf("%s: %v\n got %v\nwant %v", ts, err, got, sample())
		}
	}
}

// The accessors say what stands in the set, without padding.
func TestAccessorsGiveValuesWithoutPadding(t *testing.T) {
	s := sample()
	for _, c := range []struct{ what, got, want string }{
		{"text", s.Text(0x00100010), "Rossi^Maria"},
		{"texts", strings.Join(s.Texts(0x00080061), "+"), "CT+MR"},
		{"number", s.Text(0x00280010), "512"},
		{"nested uid", s.Items(0x00081115)[0].UID(0x0020000D), "1.2.3"},
		{"absent", s.Text(0x00100020), ""},
		{"empty", fmt.Sprint(s.Texts(0x00201208)), "[]"},
	} {
		if c.got != c.want {
			t.Errorf("%s: got %q, want %q", c.what, c.got, c.want)
		}
	}
	s.Remove(0x00100010)
	if _, ok := s.Find(0x00100010); ok || len(s) != len(sample())-1 {
		t.Error("a removed element is there")
	}
}

func el(l layout, tag Tag, vr, value string) []byte {
	return append(l.head(nil, tag, vr, len(value)), value...)
}

func mark(l layout, tag Tag, length uint32) []byte {
	return l.order.AppendUint32(l.appendTag(nil, tag), length)
}

func undefinedSQ(l layout, tag Tag, vr string, inside []byte) []byte {
	b := l.head(nil, tag, vr, 0)
	l.order.PutUint32(b[len(b)-4:], undefined)
	return append(append(b, inside...), mark(l, tagSequenceEnd, 0)...)
}

// Sequences and items of undefined length are read like those of defined length
// (PS3.5 §7.5), and a UN of undefined length is a sequence in Implicit VR Little
// Endian whatever surrounds it (PS3.5 §6.2.2 note 6).
func TestUndefinedLengthsAreRead(t *testing.T) {
	for _, l := range []layout{implicitLE, explicitLE, explicitBE} {
		for _, vr := range []string{"SQ", "UN"} {
			in := l
			if vr == "UN" {
				in = implicitLE
			}
			item := append(mark(in, tagItem, undefined), el(in, 0x00081155, "UI", "1.2\x00")...)
			item = append(item, mark(in, tagItemEnd, 0)...)
			seq := undefinedSQ(in, 0x00081199, "SQ", item) // with an item around it
			seq = append(append(mark(in, tagItem, undefined), seq...), mark(in, tagItemEnd, 0)...)
			b := l.head(nil, 0x00081115, vr, 0)
			l.order.PutUint32(b[len(b)-4:], undefined)
			b = append(append(b, seq...), mark(in, tagSequenceEnd, 0)...)
			b = append(b, el(l, 0x00100020, "LO", "4711")...)
			ts := map[layout]string{implicitLE: ImplicitVRLittleEndian, explicitLE: ExplicitVRLittleEndian, explicitBE: ExplicitVRBigEndian}[l]
			s, err := Parse(b, ts)
			if err != nil || s.Text(0x00100020) != "4711" {
				t.Fatalf("%s %s: %v, %v", ts, vr, s, err)
			}
			if got := s.Items(0x00081115)[0].Items(0x00081199)[0].UID(0x00081155); got != "1.2" {
				t.Errorf("%s %s: got %q", ts, vr, got)
			}
		}
	}
}

// What peers get wrong in small things does not lose the rest.
func TestOddThingsAreTolerated(t *testing.T) {
	l := implicitLE
	for _, c := range []struct {
		what string
		b    []byte
	}{
		{"group length", el(l, 0x00100000, "UL", "\x04\x00\x00\x00")},
		{"stray delimiter", mark(l, tagItemEnd, 0)},
		{"odd length", el(l, 0x00080061, "CS", "odd")},
		{"text where a sequence should be", el(l, 0x00081115, "SQ", "not a sequence")},
		{"private", el(l, 0x00091010, "UN", "????")},
		{"unknown", el(l, 0x00089999, "UN", "????")},
		{"out of order", el(l, 0x00400244, "DA", "20260101")},
		{"a duplicate", el(l, 0x00100020, "LO", "second")},
	} {
		b := append(append(c.b, el(l, 0x00100020, "LO", "4711")...), el(l, 0x00100010, "PN", "A^B ")...)
		s, err := Parse(b, ImplicitVRLittleEndian)
		if c.what == "a duplicate" {
			s, err = Parse(append(b[len(c.b):], c.b...), ImplicitVRLittleEndian)
		}
		if err != nil || s.Text(0x00100020) != "4711" || s.Text(0x00100010) != "A^B" {
			t.Errorf("%s: %v, %v", c.what, s, err)
		}
	}
}

// What is no data set, or too much of one, is refused with a reason.
func TestWhatIsNoDataSetIsRefused(t *testing.T) {
	nest := func(n int) (b []byte) {
		for range n {
			b = append(b, undefinedSQ(implicitLE, 0x00081140, "SQ", nil)[:8]...)
			b = append(b, mark(implicitLE, tagItem, undefined)...)
		}
		return b
	}
	for _, c := range []struct {
		what, ts string
		b        []byte
		want     error
	}{
		{"cut value", ImplicitVRLittleEndian, el(implicitLE, 0x00100010, "PN", "A^B ")[:10], ErrSyntax},
		{"declared 4 GiB", ImplicitVRLittleEndian, mark(implicitLE, 0x00100010, undefined-1), ErrSyntax},
		{"no VR", ExplicitVRLittleEndian, el(implicitLE, 0x00100010, "PN", "A^B "), ErrSyntax},
		{"pixel data", ExplicitVRLittleEndian, undefinedSQ(explicitLE, 0x7FE00010, "OB", nil), ErrPixelData},
		{"too deep", ImplicitVRLittleEndian, nest(MaxDepth + 1), ErrLimit},
		{"too many", ImplicitVRLittleEndian, bytes.Repeat(mark(implicitLE, 0x00080061, 0), MaxElements+1), ErrLimit},
		{"too long", ImplicitVRLittleEndian, make([]byte, MaxBytes+1), ErrLimit},
		{"not deflated", DeflatedExplicitVRLittleEndian, []byte("....."), ErrSyntax},
	} {
		if _, err := Parse(c.b, c.ts); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.what, err, c.want)
		}
	}
}

// A bomb of a few KiB is inflated to the limit and no further (P9).
func TestDeflateBombIsRefused(t *testing.T) {
	bomb, err := deflate(nil, make([]byte, MaxBytes+1))
	if err != nil || len(bomb) > MaxBytes/16 {
		t.Fatal(len(bomb), err)
	}
	if _, err := Parse(bomb, DeflatedExplicitVRLittleEndian); !errors.Is(err, ErrLimit) {
		t.Errorf("got %v", err)
	}
}

// The memory of a Set is bounded by what came, not by what it declares (P9).
func TestParseAllocatesByWhatCameOnly(t *testing.T) {
	b := bytes.Repeat(mark(implicitLE, 0x00080061, 0), 1000)
	b = append(b, mark(implicitLE, 0x00100010, undefined-1)...)
	var before, after runtime.MemStats
	Parse(b, ImplicitVRLittleEndian)
	runtime.ReadMemStats(&before)
	Parse(b, ImplicitVRLittleEndian)
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 1<<20 {
		t.Errorf("%d bytes allocated for %d", n, len(b))
	}
}

// Head takes the elements that are whole and stops before the pixels.
func TestHeadGivesWhatIsWholeInTheWindow(t *testing.T) {
	for _, ts := range syntaxes[:3] {
		b, _ := sample().Append(nil, ts)
		l := layoutOf(ts, b)
		b = append(b, mark(l, 0x7FE00010, undefined)...)
		if s, err := Head(b, ts); err != nil || !s.Equal(sample()) {
			t.Errorf("%s: %v, %v", ts, s, err)
		}
		for n := range b { // every cut is read in peace
			if _, err := Head(b[:n], ts); err != nil {
				t.Errorf("%s cut at %d: %v", ts, n, err)
			}
		}
	}
}

// The dictionary knows what the services ask for.
func TestDictionary(t *testing.T) {
	for tag, want := range map[Tag]string{
		0x0020000D: "UI", 0x00100010: "PN", 0x00081115: "SQ", 0x00404052: "DT", 0x00280010: "US",
		0x60020010: "US", 0x00090010: "LO", 0x00091001: "UN", 0x00089999: "UN", 0x00100000: "UL", 0x00201208: "IS",
	} {
		if got := VR(tag); got != want {
			t.Errorf("%v: got %s, want %s", tag, got, want)
		}
	}
}

// Another implementation writes, we read and write again, it reads the same.
func TestDCMTKReadsWhatWeWriteAsWhatItWrote(t *testing.T) {
	for _, tool := range []string{"dump2dcm", "dcmdump"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip("DCMTK is not installed: ", err)
		}
	}
	dir := t.TempDir()
	for ts, options := range map[string][]string{
		ImplicitVRLittleEndian: {"+ti", "-e"}, ExplicitVRLittleEndian: {"+te", "+e"}, ExplicitVRBigEndian: {"+tb", "-e"}, DeflatedExplicitVRLittleEndian: {"+td", "+e"},
	} {
		theirs, ours := filepath.Join(dir, ts), filepath.Join(dir, ts+".ours")
		if out, err := exec.Command("dump2dcm", append(options, "testdata/step.dump", theirs)...).CombinedOutput(); err != nil {
			t.Fatalf("dump2dcm: %v: %s", err, out)
		}
		file, err := os.ReadFile(theirs)
		if err != nil {
			t.Fatal(err)
		}
		meta := 144 + int(binary.LittleEndian.Uint32(file[140:])) // PS3.10 §7.1
		s, err := Parse(file[meta:], ts)
		if err != nil || s.Items(0x00400340)[0].Items(0x00081140)[1].UID(0x00081155) != "1.2.3.4.2" {
			t.Fatalf("%s: %v, %v", ts, s, err)
		}
		written, err := s.Append(file[:meta:meta], ts)
		if err == nil {
			err = os.WriteFile(ours, written, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		if a, b := dcmdump(t, theirs), dcmdump(t, ours); a != b || !strings.Contains(a, "1.2.3.4.2") {
			t.Errorf("%s: they wrote\n%s\nand read of us\n%s", ts, a, b)
		}
	}
}

// dcmdump prints values without the lengths of sequences, whose form is free.
func dcmdump(t *testing.T, file string) string {
	out, err := exec.Command("dcmdump", "-q", "--print-all", file).Output()
	if err != nil {
		t.Fatalf("dcmdump: %v: %s", err, out)
	}
	var kept []string
	for line := range strings.Lines(string(out)) {
		line, _, _ = strings.Cut(line, "#")
		line = strings.NewReplacer("with explicit length", "", "with undefined length", "").Replace(strings.TrimRight(line, " \n"))
		if f := strings.TrimSpace(line); f != "" && !strings.HasPrefix(f, "(fffe,e0") {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "\n")
}

// TestWhatIsWrittenCanBeRead: Append has the limits of Parse. At each of them a
// set goes out and comes back, one beyond it is ErrLimit.
func TestWhatIsWrittenCanBeRead(t *testing.T) {
	nested := func(depth int) (s Set) {
		for range depth {
			s = Set{{Tag: 0x00081140, VR: "SQ", Items: []Set{s}}}
		}
		return s
	}
	emptyAt := func(depth int) Set { // the innermost sequence has no item
		s := Set{{Tag: 0x00081140, VR: "SQ", Items: []Set{}}}
		for range depth - 1 {
			s = Set{{Tag: 0x00081140, VR: "SQ", Items: []Set{s}}}
		}
		return s
	}
	many := func(n int) Set { // a sequence, its items, and one element in each
		items := make([]Set, (n-1)/2)
		for i := range items {
			items[i] = Set{{Tag: 0x00081150, VR: "UI"}}
		}
		s := Set{{Tag: 0x00081140, VR: "SQ", Items: items}}
		for len(s)+2*len(items) < n {
			s = append(s, Element{Tag: 0x00091000 + Tag(len(s)), VR: "LO"})
		}
		return s
	}
	long := func(n int) Set { return Set{{Tag: 0x00091000, VR: "UN", Value: make([]byte, n-12)}} }
	for name, c := range map[string]struct{ fits, beyond Set }{
		"depth":          {nested(MaxDepth), nested(MaxDepth + 1)},
		"empty sequence": {emptyAt(MaxDepth), emptyAt(MaxDepth + 1)},
		"elements":       {many(MaxElements), many(MaxElements + 1)},
		"bytes":          {long(MaxBytes), long(MaxBytes + 2)},
	} {
		for _, ts := range []string{ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian} {
			b, err := c.fits.Append(nil, ts)
			if err != nil {
				t.Errorf("%s in %s: %v", name, ts, err)
				continue
			}
			if got, err := Parse(b, ts); err != nil || !got.Equal(c.fits) {
				t.Errorf("%s in %s: not read again: %v", name, ts, err)
			}
			if b, err := c.beyond.Append([]byte("before"), ts); !errors.Is(err, ErrLimit) || string(b) != "before" {
				t.Errorf("%s in %s, one more: %d bytes, %v, want ErrLimit", name, ts, len(b), err)
			}
		}
	}
}
