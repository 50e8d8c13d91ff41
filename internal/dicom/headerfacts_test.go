package dicom

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"
	"unicode/utf8"
)

// What a header says of the person, the request and the place comes out, whatever the
// layout.
func TestFactsInEveryLayout(t *testing.T) {
	for ts, l := range map[string]layout{
		ImplicitVRLittleEndian: {binary.LittleEndian, true}, ExplicitVRLittleEndian: {binary.LittleEndian, false}, ExplicitVRBigEndian: {binary.BigEndian, false},
	} {
		set := examined(l)
		if l.order == binary.BigEndian { // the test writes numbers as bytes
			set = bytes.ReplaceAll(set, []byte("US\x00\x02\x00\x02"), []byte("US\x00\x02\x02\x00"))
		}
		h, err := ReadHeader(set, ts)
		want := Facts{PatientName: "D'Agnolò^Nicolò", PatientID: "RSSMRA85T10A562S", PatientIssuer: "2.16.840.1.113883.2.9.4.3.2", BirthDate: "19851210", Sex: "M",
			Accession: "RIS-2026-00117", StudyTime: "081512.345", StudyDescription: "TC torace", Institution: "Ospedale di Esempio", Station: "CT1",
			CharacterSet: "ISO_IR 100", Rows: 512, Columns: 512, Samples: h.Samples, Bits: h.Bits, Photometric: "MONOCHROME2"}
		if err != nil || h.Facts != want {
			t.Errorf("%s: got %+v, %v; want %+v", ts, h.Facts, err, want)
		}
	}
}

// Numbers of others than the first, and who gave them, stand in items.
func TestFactsInItems(t *testing.T) {
	for _, l := range []layout{{binary.LittleEndian, true}, {binary.LittleEndian, false}} {
		item := func(elements ...[]byte) []byte {
			b := append(l.mark(tagItem, undefinedLength), bytes.Join(elements, nil)...)
			return append(b, l.mark(tagItemEnd, 0)...)
		}
		end := l.mark(tagSequenceEnd, 0)
		ids := bytes.Join([][]byte{item(l.el(0x00100020, "LO", "RSSMRA85T10A562S"), l.el(0x00100021, "LO", "MEF")), item(l.el(0x00100020, "LO", "7")), end}, nil)
		set := bytes.Join([][]byte{
			l.el(0x00080005, "CS", "ISO_IR 192"), l.el(0x00080018, "UI", "1.2.3.4"),
			l.und(0x00080051, "SQ", append(item(l.el(0x00400031, "UT", "RIS1")), end...)),
			l.und(0x00080082, "SQ", append(item(l.el(0x00080100, "SH", "010001")), end...)),
			l.el(0x00100020, "LO", "P1"),
			l.und(0x00100024, "SQ", append(item(l.el(0x00400032, "UT", "1.2.39")), end...)),
			l.el(0x00101000, "LO", `A\B\\A`), l.und(0x00101002, "SQ", ids),
		}, nil)
		ts := map[bool]string{true: ImplicitVRLittleEndian, false: ExplicitVRLittleEndian}[l.implicit]
		h, err := ReadHeader(set, ts)
		want := [maxOtherIDs]PatientID{{ID: "A"}, {ID: "B"}, {"RSSMRA85T10A562S", "MEF"}, {ID: "7"}}
		if err != nil || h.OtherIDs != want || h.AccessionIssuer != "RIS1" || h.InstitutionCode != "010001" || h.PatientIssuer != "1.2.39" || h.PatientID != "P1" {
			t.Errorf("%s: %+v, %v", ts, h.Facts, err)
		}
	}
}

// Texts are read in their character set (PS3.5 §6.1, annexes H to K), and what cannot be
// read is seen to be lost.
func TestCharacterSets(t *testing.T) {
	for _, c := range []struct {
		set, raw, want string
		lost           bool
	}{
		{"", "Rossi^Mario", "Rossi^Mario", false},
		{"", "Nicol\xf2", "Nicolò", false},
		{"", "Nicolò", "Nicolò", false},
		{"ISO_IR 100", "M\xfcller^J\xfcrgen", "Müller^Jürgen", false},
		{"ISO_IR 101", "Luk\xe1\xb9", "Lukáš", false},
		{"ISO_IR 203", "\xa4", "€", false},
		{"ISO_IR 144", "\xbb\xee\xda\x63\xb5\xdc", "ЛюкcЕм", false},
		{"ISO_IR 192", "王^小东", "王^小东", false},
		{"ISO_IR 192", "Nicol\xf2", "Nicol\uFFFD", true},
		{"GB18030", "\xcd\xf5^\xd0\xa1\xb6\xab", "王^小东", false},
		{`\ISO 2022 IR 87`, "Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B", "Yamada^Tarou=山田^太郎", false},
		{`\ISO 2022 IR 149`, "Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7", "Hong^Gildong=洪^吉洞", false},
		{`ISO 2022 IR 100\ISO 2022 IR 126`, "Buc^J\xe9r\xf4me=\x1b-F\xc4\xe9\xef", "Buc^Jérôme=Διο", false},
		{"ISO_IR 100", "A\x1bXB", "A\uFFFDXB", true},
		{"ISO_IR 7", "Nicol\xf2", "Nicolò", false},
	} {
		var d decoder
		d.use(c.set)
		if got := d.text([]byte(c.raw)); got != c.want || d.failed != c.lost {
			t.Errorf("%q in %q: got %q, lost %v", c.raw, c.set, got, d.failed)
		}
	}
}

// No text of a header is longer than what is taken out of it, or not UTF-8.
func FuzzFacts(f *testing.F) {
	f.Add("ISO_IR 100", []byte("D'Agnol\xf2^Nicol\xf2"))
	f.Add(`\ISO 2022 IR 87`, []byte("=\x1b$B;3ED\x1b(B"))
	f.Add("GB18030", []byte{0x81, 0x30, 0xff})
	f.Fuzz(func(t *testing.T, set string, raw []byte) {
		l := layout{binary.LittleEndian, true}
		b := bytes.Join([][]byte{l.el(0x00080005, "CS", set), l.el(0x00080018, "UI", "1.2.3"), l.el(0x00100010, "PN", string(raw)), l.el(0x00100040, "CS", string(raw))}, nil)
		h, _ := ReadHeader(b, ImplicitVRLittleEndian)
		for _, s := range []string{h.PatientName, h.Sex, h.CharacterSet} {
			if !utf8.ValidString(s) || len(s) > 4*maxValue || strings.Contains(s, `\`) && s != h.CharacterSet {
				t.Errorf("%q of %q", s, raw)
			}
		}
	})
}

// What is no Defined Term of PS3.3 §C.12.1.1.2 says nothing, and is not guessed at.
func TestOnlyDefinedTermsNameACharacterSet(t *testing.T) {
	for value, want := range map[string]bool{
		"ISO_IR 100": true, "ISO 2022 IR 100": true, ` ISO_IR 13 \ISO 2022 IR 87`: true, "ISO_IR 192": true, "GB18030": true, "GBK\x00": true,
		"": false, "100": false, "ISO 2022 IR 192": false, "ISO 2022 IR GBK": false, `\ISO 2022 IR 87`: false, "iso_ir 100": false,
	} {
		set, known := CharacterSet(value)
		if known != want {
			t.Errorf("%q: known %v, want %v", value, known, want)
		}
		if utf8 := known && set == nil; utf8 != (value == "ISO_IR 192") {
			t.Errorf("%q: UTF-8 is %v", value, utf8)
		}
	}
}
