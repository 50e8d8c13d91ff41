package status

import (
	"strings"
	"unicode"
)

// maxShown bounds, in runes, what is shown of one value from outside; of an error, which
// says where, with what and why not, more is needed.
const (
	maxShown = 64
	maxError = 400
)

// maxMarks bounds the accents that may be stacked on one letter.
const maxMarks = 2

// Shown makes a value that came over the wire fit to stand in a page or a
// terminal: what is not printable (controls, escape sequences, right-to-left
// overrides, invisible joiners, broken UTF-8) becomes U+FFFD, towers of accents
// are cut, and so is the length. The stored value is never changed by this, and
// markup is not escaped here: that is the template's work.
func Shown(s string) string { return shown(s, maxShown) }

// ShownError is Shown for the text of an error, which may hold such values.
func ShownError(s string) string { return shown(s, maxError) }

func shown(s string, most int) string {
	var b strings.Builder
	runes, marks := 0, 0
	for _, r := range s {
		if runes == most {
			b.WriteRune('…')
			break
		}
		if unicode.Is(unicode.M, r) {
			if marks++; marks > maxMarks || runes == 0 {
				continue
			}
		} else {
			marks, runes = 0, runes+1
		}
		if !unicode.IsPrint(r) {
			r = unicode.ReplacementChar
		}
		b.WriteRune(r)
	}
	return strings.TrimSpace(b.String())
}
