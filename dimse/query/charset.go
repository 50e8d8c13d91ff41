package query

import (
	"strings"
	"unicode/utf8"

	"edged/dimse/dataset"
)

// decoder gives the values of a data set as Unicode (PS3.5 §6.1.2). See doc.go
// for what of the other character sets becomes.
func decoder(s dataset.Set) func([]string) []string {
	decode := decoding(s.Texts(CharacterSet))
	return func(v []string) []string {
		for i := range v {
			v[i] = decode(v[i])
		}
		return v
	}
}

// Text is the first value of an attribute as Unicode.
func Text(s dataset.Set, t dataset.Tag) string {
	return decoding(s.Texts(CharacterSet))(s.Text(t))
}

func decoding(charset []string) func(string) string {
	last := ""
	if len(charset) > 0 {
		last = charset[len(charset)-1] // ISO 2022 names several; the last one that is not ASCII counts
	}
	switch last {
	case "ISO_IR 192":
		return utf8Text
	case "ISO_IR 100", "ISO 2022 IR 100":
		return latin1
	case "", "ISO_IR 6", "ISO 2022 IR 6":
		return lenient
	}
	return opaque
}

// latin1 maps byte by byte; the escape that says so is passed over (PS3.5
// §6.1.2.5.3, Table C.12-3).
func latin1(s string) string {
	return mapped(strings.ReplaceAll(s, "\x1b\x2d\x41", ""), func(b byte) rune { return rune(b) })
}

// opaque bytes are equal to themselves: above ASCII they stand in a private area.
func opaque(s string) string {
	return mapped(s, func(b byte) rune { return 0xF700 + rune(b) })
}

// utf8Text leaves what is no UTF-8 opaque.
func utf8Text(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return opaque(s)
}

// lenient reads what is sent without a character set although it is not ASCII:
// UTF-8 if it is that, else Latin-1.
func lenient(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return latin1(s)
}

func mapped(s string, high func(byte) rune) string {
	var out strings.Builder
	for i := range len(s) {
		if b := s[i]; b < utf8.RuneSelf {
			out.WriteByte(b)
		} else {
			out.WriteRune(high(b))
		}
	}
	return out.String()
}
