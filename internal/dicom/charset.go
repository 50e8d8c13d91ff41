package dicom

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
)

// sets are the Defined Terms of Specific Character Set without code extensions (PS3.3
// §C.12.1.1.2). nil is UTF-8.
var sets = map[string]encoding.Encoding{
	"ISO_IR 100": charmap.ISO8859_1, "ISO_IR 101": charmap.ISO8859_2, "ISO_IR 109": charmap.ISO8859_3, "ISO_IR 110": charmap.ISO8859_4,
	"ISO_IR 144": charmap.ISO8859_5, "ISO_IR 127": charmap.ISO8859_6, "ISO_IR 126": charmap.ISO8859_7, "ISO_IR 138": charmap.ISO8859_8,
	"ISO_IR 148": charmap.ISO8859_9, "ISO_IR 203": charmap.ISO8859_15, "ISO_IR 166": charmap.Windows874, "ISO_IR 13": japanese.ShiftJIS,
	"ISO_IR 192": nil, "GB18030": simplifiedchinese.GB18030, "GBK": simplifiedchinese.GBK,
}

// CharacterSet is what a text begins in, by the value of (0008,0005): the first of
// several, nil for UTF-8. Of UTF-8 and GB18030 there is none with code extensions; known
// is false for what is no Defined Term, and for no value at all.
func CharacterSet(value string) (set encoding.Encoding, known bool) {
	name, _, _ := strings.Cut(value, `\`)
	name = strings.Trim(name, padding)
	if number, extended := strings.CutPrefix(name, "ISO 2022 IR "); extended && number != "192" {
		name = "ISO_IR " + number
	}
	set, known = sets[name]
	return set, known
}

// escapes change the set inside a text (PS3.3 table C.12-3, C.12-4; ISO 2022). What is
// nil is read by the set that the text began with.
var escapes = []struct {
	sequence string
	set      encoding.Encoding
	whole    bool // the decoder wants to see the sequence itself
}{
	{"(B", nil, false}, {"-A", charmap.ISO8859_1, false}, {"-B", charmap.ISO8859_2, false}, {"-C", charmap.ISO8859_3, false},
	{"-D", charmap.ISO8859_4, false}, {"-L", charmap.ISO8859_5, false}, {"-G", charmap.ISO8859_6, false}, {"-F", charmap.ISO8859_7, false},
	{"-H", charmap.ISO8859_8, false}, {"-M", charmap.ISO8859_9, false}, {"-b", charmap.ISO8859_15, false}, {"-T", charmap.Windows874, false},
	{"(J", japanese.ShiftJIS, false}, {")I", japanese.ShiftJIS, false}, {"$B", japanese.ISO2022JP, true}, {"$(D", japanese.ISO2022JP, true},
	{"$)C", korean.EUCKR, false}, {"$)A", simplifiedchinese.GBK, false},
}

// decoder makes UTF-8 of texts as (0008,0005) says they are written. Without a set that
// is known, what is UTF-8 is taken for that, and else for ISO 8859-1: so devices write
// that do not say it.
type decoder struct {
	set    encoding.Encoding // nil: see above
	utf8   bool
	failed bool // bytes that the set does not have
}

// use takes the value of (0008,0005).
func (d *decoder) use(value string) {
	set, known := CharacterSet(value)
	d.set, d.utf8 = set, known && set == nil
}

// text is b in UTF-8; what cannot be read is U+FFFD in it.
func (d *decoder) text(b []byte) string {
	escape := bytes.IndexByte(b, 0x1B)
	if escape < 0 || d.utf8 {
		return d.plain(b)
	}
	out := d.plain(b[:escape])
	for piece := range bytes.SplitSeq(b[escape+1:], []byte{0x1B}) {
		out += d.escaped(piece)
	}
	return out
}

func (d *decoder) escaped(piece []byte) string {
	for _, e := range escapes {
		rest, ok := bytes.CutPrefix(piece, []byte(e.sequence))
		switch {
		case !ok:
			continue
		case e.set == nil:
			return d.plain(rest)
		case e.whole:
			return d.by(e.set, append([]byte{0x1B}, piece...))
		}
		return d.by(e.set, rest)
	}
	d.failed = true
	return "\uFFFD" + d.plain(piece)
}

func (d *decoder) plain(b []byte) string {
	switch {
	case ascii(b):
		return string(b)
	case d.set != nil:
		return d.by(d.set, b)
	case utf8.Valid(b):
		return string(b)
	case d.utf8:
		d.failed = true
		return strings.ToValidUTF8(string(b), "\uFFFD")
	}
	return d.by(charmap.ISO8859_1, b)
}

func (d *decoder) by(e encoding.Encoding, b []byte) string {
	out, err := e.NewDecoder().Bytes(b)
	s := strings.ToValidUTF8(string(out), "\uFFFD")
	if err != nil || strings.ContainsRune(s, utf8.RuneError) {
		d.failed = true
	}
	return s
}

func ascii(b []byte) bool {
	for _, c := range b {
		if c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
