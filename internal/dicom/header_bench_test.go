package dicom

import (
	"encoding/binary"
	"testing"
)

// What a look at the beginning of an object costs ingest.
func BenchmarkReadHeader(b *testing.B) {
	l := layout{binary.LittleEndian, false}
	for name, set := range map[string][]byte{"bare": sample(l), "person": examined(l)} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := ReadHeader(set, ExplicitVRLittleEndian); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// examined is a data set as a modality of today writes it.
func examined(l layout) []byte {
	var b []byte
	for _, e := range []struct {
		tag       uint32
		vr, value string
	}{
		{0x00080005, "CS", "ISO_IR 100"}, {0x00080008, "CS", `ORIGINAL\PRIMARY\AXIAL`},
		{0x00080016, "UI", "1.2.840.10008.5.1.4.1.1.2"}, {0x00080018, "UI", "1.2.3.4"},
		{0x00080020, "DA", "20261122"}, {0x00080021, "DA", "20261122"}, {0x00080023, "DA", "20261122"},
		{0x00080030, "TM", "081512.345"}, {0x00080031, "TM", "081512"},
		{0x00080050, "SH", "RIS-2026-00117"}, {0x00080060, "CS", "CT"}, {0x00080070, "LO", "Maker"},
		{0x00080080, "LO", "Ospedale di Esempio"}, {0x00080090, "PN", "Bianchi^Anna"},
		{0x00081010, "SH", "CT1"}, {0x00081030, "LO", "TC torace"}, {0x0008103E, "LO", "2 mm"}, {0x00081090, "LO", "Scanner"},
		{0x00100010, "PN", "D'Agnol\xf2^Nicol\xf2"}, {0x00100020, "LO", "RSSMRA85T10A562S"}, {0x00100021, "LO", "2.16.840.1.113883.2.9.4.3.2"},
		{0x00100030, "DA", "19851210"}, {0x00100040, "CS", "M"}, {0x00101010, "AS", "040Y"},
		{0x00180015, "CS", "CHEST"}, {0x00180050, "DS", "2.0"}, {0x00180060, "DS", "120"}, {0x00181030, "LO", "Thorax routine"},
		{0x0020000D, "UI", "1.2.3"}, {0x0020000E, "UI", "1.2.3.1"}, {0x00200010, "SH", "117"}, {0x00200011, "IS", "2"}, {0x00200013, "IS", "41"},
		{0x00280002, "US", "\x01\x00"}, {0x00280004, "CS", "MONOCHROME2"}, {0x00280010, "US", "\x00\x02"}, {0x00280011, "US", "\x00\x02"},
		{0x00280100, "US", "\x10\x00"}, {0x00280101, "US", "\x10\x00"}, {0x00281050, "DS", "40"}, {0x00281051, "DS", "400"},
	} {
		b = append(b, l.el(e.tag, e.vr, e.value)...)
	}
	return append(b, l.el(0x7FE00010, "OW", string(make([]byte, 1000)))...)
}
