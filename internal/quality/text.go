package quality

import (
	"slices"
	"strings"
	"unicode"
)

// text is check 10. Texts are looked at as the caller decoded them.
func (l *list) text(i Instance) {
	texts := []string{i.PatientName, i.Institution, i.Station, i.StudyDescription}
	declared := strings.Join(i.CharacterSet, `\`)
	for _, s := range i.CharacterSet {
		l.addIf(!sets[s], SetUnknown, s)
	}
	l.addIf(i.DecodeFailed, SetDecode, declared)
	for _, s := range texts {
		l.addIf(strings.Trim(declared, `\`) == "" && !ascii(s), SetUndeclared, s)
		l.damage(s)
	}
	l.addIf(doubtful(i.PatientName), TextQuestion, i.PatientName)
}

func (l *list) damage(s string) {
	if strings.ToValidUTF8(s, "") != s || strings.ContainsRune(s, unicode.ReplacementChar) {
		l.add(TextReplaced, s)
		return
	}
	if meant, ok := repaired(s); ok {
		l.add(TextMojibake, s, meant)
		return
	}
	l.addIf(strings.ContainsFunc(s, strange), TextControl, s)
}

// strange characters have no place in a name: C0 and C1, and what turns the direction
// of writing (Unicode TR 36).
func strange(r rune) bool {
	return r < ' ' || r >= 0x7f && r <= 0x9f || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069
}

// doubtful: a question mark right behind a letter, as in NICOL? and M?LLER. A group of
// question marks alone is what a device writes for letters that it does not have.
func doubtful(name string) bool {
	letter := false
	for _, r := range name {
		if r == '?' && letter {
			return true
		}
		letter = unicode.IsLetter(r)
	}
	return false
}

func ascii(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r > unicode.MaxASCII })
}

// repaired undoes the reading of UTF-8 as ISO 8859-1 or Windows 1252: Ã¨ was è. It looks
// for the Latin letters with marks (U+0080 to U+017F) and for typographic marks
// (U+2000 to U+203F): no language of this place writes their halves side by side.
// Gap: Greek and Cyrillic that went through the same are not seen.
func repaired(s string) (string, bool) {
	var out strings.Builder
	runes, found := []rune(s), false
	for n := 0; n < len(runes); n++ {
		if r, used := half(runes[n:]); used > 0 {
			out.WriteRune(r)
			n += used - 1
			found = true
			continue
		}
		out.WriteRune(runes[n])
	}
	return out.String(), found
}

// half reads one character of such UTF-8 at the start, and how many of the runes it takes.
func half(runes []rune) (r rune, used int) {
	if len(runes) < 2 {
		return 0, 0
	}
	second, ok := continuation(runes[1])
	switch lead := runes[0]; {
	case !ok:
	case lead >= 0xc2 && lead <= 0xc5 && (lead == 0xc3 || !unicode.IsLetter(runes[1])): // Š and ž are letters of their own but behind Ã
		return lead&0x1f<<6 | second, 2
	case lead == 0xe2 && second == 0 && len(runes) > 2:
		if third, ok := continuation(runes[2]); ok {
			return 0x2000 | third, 3
		}
	}
	return 0, 0
}

// continuation is the six bits of a byte 80 to BF as one of the two sets shows it.
func continuation(r rune) (rune, bool) {
	if r >= 0x80 && r <= 0xbf {
		return r & 0x3f, true
	}
	i := slices.Index(windows, r)
	return rune(i), i >= 0 && r != 0
}

// windows are the characters of Windows 1252 for the bytes 80 to 9F; 0: none.
var windows = []rune{'€', 0, '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', 0, 'Ž', 0,
	0, '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', 0, 'ž', 'Ÿ'}

// sets are the defined terms of PS3.3 §C.12.1.1.2; none, in the first place, is the default
// repertoire, and ISO_IR 6 is what some devices call it.
var sets = set("", "ISO_IR 6", "ISO_IR 100", "ISO_IR 101", "ISO_IR 109", "ISO_IR 110", "ISO_IR 144", "ISO_IR 127", "ISO_IR 126", "ISO_IR 138",
	"ISO_IR 148", "ISO_IR 203", "ISO_IR 13", "ISO_IR 166", "ISO_IR 192", "GB18030", "GBK",
	"ISO 2022 IR 6", "ISO 2022 IR 100", "ISO 2022 IR 101", "ISO 2022 IR 109", "ISO 2022 IR 110", "ISO 2022 IR 144", "ISO 2022 IR 127",
	"ISO 2022 IR 126", "ISO 2022 IR 138", "ISO 2022 IR 148", "ISO 2022 IR 203", "ISO 2022 IR 13", "ISO 2022 IR 166", "ISO 2022 IR 87",
	"ISO 2022 IR 159", "ISO 2022 IR 149", "ISO 2022 IR 58")
