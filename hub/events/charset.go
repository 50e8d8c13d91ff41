package events

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/simplifiedchinese"
)

// charsets are the Defined Terms of Specific Character Set (PS3.3 §C.12.1.1.2), without
// and with code extensions: of the latter only what has no escape sequence is decoded.
// nil is UTF-8.
var charsets = map[string]encoding.Encoding{
	"ISO_IR 100": charmap.ISO8859_1, "ISO 2022 IR 100": charmap.ISO8859_1,
	"ISO_IR 101": charmap.ISO8859_2, "ISO 2022 IR 101": charmap.ISO8859_2,
	"ISO_IR 109": charmap.ISO8859_3, "ISO 2022 IR 109": charmap.ISO8859_3,
	"ISO_IR 110": charmap.ISO8859_4, "ISO 2022 IR 110": charmap.ISO8859_4,
	"ISO_IR 144": charmap.ISO8859_5, "ISO 2022 IR 144": charmap.ISO8859_5,
	"ISO_IR 127": charmap.ISO8859_6, "ISO 2022 IR 127": charmap.ISO8859_6,
	"ISO_IR 126": charmap.ISO8859_7, "ISO 2022 IR 126": charmap.ISO8859_7,
	"ISO_IR 138": charmap.ISO8859_8, "ISO 2022 IR 138": charmap.ISO8859_8,
	"ISO_IR 148": charmap.ISO8859_9, "ISO 2022 IR 148": charmap.ISO8859_9,
	"ISO_IR 203": charmap.ISO8859_15, "ISO 2022 IR 203": charmap.ISO8859_15,
	"ISO_IR 166": charmap.Windows874, "ISO 2022 IR 166": charmap.Windows874, // TIS 620-2533
	"ISO_IR 13": japanese.ShiftJIS, "ISO 2022 IR 13": japanese.ShiftJIS,
	"ISO_IR 192": nil,
	"GB18030":    simplifiedchinese.GB18030, "GBK": simplifiedchinese.GBK,
}

// decode gives the text of a value without its padding, and whether its bytes can be
// read in the character set of its data set. ASCII can be read in all of them.
func decode(value []byte, vr, charset string) (string, bool) {
	value = bytes.TrimRight(value, "\x00 ")
	ascii := true
	for _, c := range value {
		if c >= 0x80 || c == 0x1b {
			ascii = false
		}
	}
	if ascii {
		return string(value), true
	}
	if bytes.IndexByte(value, 0x1b) >= 0 || !localized(vr) {
		return "", false // code extensions (PS3.5 §6.1.2.5), or a VR of the default repertoire
	}
	first, _, _ := strings.Cut(charset, `\`)
	e, known := charsets[strings.Trim(first, "\x00 ")]
	if !known {
		return "", false
	}
	if e != nil {
		decoded, err := e.NewDecoder().Bytes(value)
		if err != nil || bytes.ContainsRune(decoded, utf8.RuneError) {
			return "", false
		}
		value = decoded
	}
	return string(value), utf8.Valid(value)
}

// localized: Specific Character Set is about these VRs alone (PS3.5 §6.2).
func localized(vr string) bool {
	switch vr {
	case "LO", "LT", "PN", "SH", "ST", "UC", "UT":
		return true
	}
	return false
}
