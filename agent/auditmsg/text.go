package auditmsg

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxBytes is what a message is at most: with the header of syslog it stays below the
// 32768 bytes that every receiver takes (PS3.15 §A.6).
const MaxBytes = 30 << 10

// The bounds that make it so.
const (
	MaxTitles     = 8    // AE titles of a party
	MaxOthers     = 8    // launchers, performers, others
	MaxClasses    = 32   // SOP classes that are counted each by itself
	MaxAccessions = 16   // of a study
	MaxText       = 2048 // bytes of the description of an alert

	maxTitle  = 32  // an AE title has 16 characters; escaped they may be longer
	maxID     = 64  // a UID has 64 characters, an accession number 16
	maxName   = 255 // a name of a host
	maxReason = 512
)

// clean makes a text of s that is legal, harmless and, escaped, at most limit bytes long.
func clean(s string, limit int) string {
	var b strings.Builder
	size, blank := 0, false
	for i := 0; i < len(s) && size < limit; {
		r, n := utf8.DecodeRuneInString(s[i:])
		i += n
		if unicode.IsSpace(r) {
			blank = size > 0
			continue
		}
		if !unicode.IsGraphic(r) {
			continue
		}
		if blank && size+1+escaped(r) <= limit {
			b.WriteByte(' ')
			size++
		}
		blank = false
		if size += escaped(r); size <= limit {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// escaped is how many bytes encoding/xml makes of r.
func escaped(r rune) int {
	switch r {
	case '"', '\'', '&', '<', '>':
		return 5 // &amp; and &#34; alike
	}
	return utf8.RuneLen(r)
}

func orUnknown(s string) string {
	if s == "" {
		return "unknown"
	}
	return s
}
