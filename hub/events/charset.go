package events

import (
	"bytes"
	"unicode/utf8"

	"edged/internal/dicom"
)

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
	set, known := dicom.CharacterSet(charset)
	if !known {
		return "", false
	}
	if set != nil {
		decoded, err := set.NewDecoder().Bytes(value)
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
