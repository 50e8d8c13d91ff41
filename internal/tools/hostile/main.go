// Hostile writes testdata/hostile: small DICOM files of the kinds that broken
// devices send and careless readers fall over. Each is a well-formed File Meta
// in front of a data set that is wrong in one way. They are made here, from
// nothing, so that they carry no licence and no person; running it again gives
// the same bytes.
package main

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"edged/internal/dicom"
)

const (
	ctImage = "1.2.840.10008.5.1.4.1.1.2"
	dir     = "testdata/hostile"
)

// el is an element in Explicit VR Little Endian with the length that is given,
// whatever the value.
func el(group, element uint16, vr string, length int, value string) []byte {
	b := binary.LittleEndian.AppendUint16(nil, group)
	b = binary.LittleEndian.AppendUint16(b, element)
	b = append(b, vr...)
	switch vr {
	case "OB", "OW", "SQ", "UN", "UT":
		b = binary.LittleEndian.AppendUint32(append(b, 0, 0), uint32(length))
	default:
		b = binary.LittleEndian.AppendUint16(b, uint16(length))
	}
	return append(b, value...)
}

func uid(group, element uint16, v string) []byte {
	if len(v)%2 == 1 {
		v += "\x00"
	}
	return el(group, element, "UI", len(v), v)
}

// head is the beginning that all share: they differ in what follows.
func head(instance string) []byte {
	return bytes.Join([][]byte{uid(8, 0x16, ctImage), uid(8, 0x18, instance), el(8, 0x60, "CS", 2, "CT"),
		uid(0x20, 0x0D, "2.25.1"), uid(0x20, 0x0E, "2.25.1.1")}, nil)
}

func mark(element uint16, length uint32) []byte {
	b := []byte{0xFE, 0xFF, byte(element), byte(element >> 8)}
	return binary.LittleEndian.AppendUint32(b, length)
}

// kinds are the ways to be wrong, by file name.
func kinds() map[string]struct {
	ts   string
	tail []byte
} {
	type kind = struct {
		ts   string
		tail []byte
	}
	const explicit, undefined = dicom.ExplicitVRLittleEndian, 0xFFFFFFFF
	deep := bytes.Repeat(append(el(0x40, 0xA730, "SQ", undefined, ""), mark(0xE000, undefined)...), 60)
	return map[string]kind{
		"length_beyond_end":      {explicit, el(0x7FE0, 0x10, "OW", 1<<31, "short")},
		"length_4gib":            {explicit, el(0x7FE0, 0x10, "OB", undefined-1, "short")},
		"odd_lengths":            {explicit, el(0x28, 0x10, "US", 3, "abc")},
		"unknown_vr":             {explicit, el(0x29, 0x1010, "ZZ", 4, "abcd")},
		"no_vr":                  {explicit, []byte{0x28, 0, 0x10, 0, 0, 0, 0, 0, 1, 2}},
		"missing_delimiters":     {explicit, append(el(0x40, 0xA730, "SQ", undefined, ""), mark(0xE000, undefined)...)},
		"stray_delimiter":        {explicit, append(mark(0xE0DD, 0), el(0x28, 0x10, "US", 2, "\x01\x00")...)},
		"nested_60_deep":         {explicit, deep},
		"tags_out_of_order":      {explicit, append(el(0x28, 0x10, "US", 2, "\x01\x00"), el(8, 0x20, "DA", 8, "20260101")...)},
		"fragments_without_end":  {"1.2.840.10008.1.2.4.50", append(el(0x7FE0, 0x10, "OB", undefined, ""), append(mark(0xE000, 0), mark(0xE000, 1<<20)...)...)},
		"implicit_in_explicit":   {dicom.ImplicitVRLittleEndian, nil},
		"private_syntax":         {"2.25.77.1", el(9, 0x1001, "UN", 4, "priv")},
		"deflate_that_is_none":   {dicom.DeflatedExplicitVRLittleEndian, nil},
		"text_of_64kib":          {explicit, el(0x10, 0x4000, "UT", 64<<10, strings.Repeat("PROVA ", (64<<10)/6+1)[:64<<10])},
		"markup_and_direction":   {explicit, el(8, 0x1030, "LO", 30, "<b>PROVA</b>\u202ePROVA&\"'       ")[:8+30]},
		"truncated_in_a_header":  {explicit, []byte{0x28, 0, 0x10}},
		"group_lengths":          {explicit, append(el(0x28, 0, "UL", 4, "\x0a\x00\x00\x00"), el(0x28, 0x10, "US", 2, "\x01\x00")...)},
		"deflate_bomb":           {dicom.DeflatedExplicitVRLittleEndian, bomb()}, // 64 MiB out of 64 KiB
		"escapes_in_a_name":      {explicit, el(0x10, 0x10, "PN", 14, "\x1b[2J\x1b$B\x00\r\nX^ ")},
		"ten_thousand_elements":  {explicit, bytes.Repeat(el(0x29, 0x1010, "LO", 0, ""), 10_000)},
		"vr_in_lower_case":       {explicit, el(0x28, 0x10, "us", 2, "\x01\x00")},
		"meta_in_the_data":       {explicit, el(2, 0x10, "UI", 6, "1.2.3\x00")},
		"trailing_padding_wrong": {explicit, el(0xFFFC, 0xFFFC, "OB", 7, "padding")},
	}
}

// bomb is a deflate stream (RFC 1951) that grows a thousandfold.
func bomb() []byte {
	var b bytes.Buffer
	w, _ := flate.NewWriter(&b, flate.BestCompression) // the level is valid
	for range 64 {
		w.Write(make([]byte, 1<<20)) // a Buffer takes everything
	}
	w.Close()
	return b.Bytes()
}

func main() {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		fail(err)
	}
	for name, k := range kinds() {
		instance := "2.25.1.1." + fmt.Sprint(len(name))
		file := dicom.Preface(dicom.Names{TransferSyntax: k.ts, SOPClass: ctImage, SOPInstance: instance + digits(name)})
		if name != "deflate_bomb" { // that is deflated from its first byte on
			file = append(file, head(instance+digits(name))...)
		}
		file = append(file, k.tail...)
		if err := os.WriteFile(filepath.Join(dir, name+".dcm"), file, 0o644); err != nil {
			fail(err)
		}
	}
}

// digits makes a UID component of a name.
func digits(name string) string {
	sum := uint32(2166136261)
	for i := range len(name) {
		sum = (sum ^ uint32(name[i])) * 16777619
	}
	return fmt.Sprintf(".%d", sum)
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "hostile:", err)
	os.Exit(1)
}
