package status

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestHostileTextIsShownHarmlessly(t *testing.T) {
	cases := []struct{ name, in, want string }{
		{"an ordinary title", "CT_1", "CT_1"},
		{"padding", "CT1             ", "CT1"},
		{"letters of other countries stay", "MÜNCHEN è 東", "MÜNCHEN è 東"},
		{"right-to-left override", "abc\u202Etxt.exe", "abc\uFFFDtxt.exe"},
		{"isolates and joiners", "\u2066a\u200Db\u2069", "\uFFFDa\uFFFDb\uFFFD"},
		{"terminal escape", "\x1b[2J", "\uFFFD[2J"},
		{"line breaks", "a\r\nb\u2028c", "a\uFFFD\uFFFDb\uFFFDc"},
		{"C1 controls", "a\u009bb", "a\uFFFDb"},
		{"broken UTF-8", "a\xff\xfeb", "a\uFFFD\uFFFDb"},
		{"NUL", "a\x00", "a\uFFFD"},
	}
	for _, c := range cases {
		if got := Shown(c.in); got != c.want {
			t.Errorf("%s: %q is shown as %q, want %q", c.name, c.in, got, c.want)
		}
	}
}

func TestShownIsBounded(t *testing.T) {
	for _, in := range []string{strings.Repeat("x", 64<<10), "e" + strings.Repeat("\u0301", 64<<10), strings.Repeat("\u0301", 64<<10)} {
		if n := utf8.RuneCountInString(Shown(in)); n > maxShown*(1+maxMarks)+1 {
			t.Errorf("%d runes are shown", n)
		}
	}
}

// The reason stands at the end of an error, behind where and with what.
func TestAnErrorIsShownToItsEnd(t *testing.T) {
	in := "QUIC: greet [2001:db8:1234:5678:9abc:def0:1234:5678]:8443: CRYPTO_ERROR 0x12a (remote): tls: bad certificate\x1b[2J"
	if got, want := ShownError(in), strings.ReplaceAll(in, "\x1b", "\uFFFD"); got != want {
		t.Errorf("%q", got)
	}
	if n := utf8.RuneCountInString(ShownError(strings.Repeat("x", 64<<10))); n != maxError+1 {
		t.Errorf("%d runes are shown", n)
	}
}

func FuzzShown(f *testing.F) {
	for _, seed := range []string{"CT1", "\u202Eabc", "\x1b[2J", "e\u0301\u0301\u0301", "\xff", strings.Repeat("東", 100)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in string) {
		out := Shown(in)
		if !utf8.ValidString(out) || utf8.RuneCountInString(out) > maxShown*(1+maxMarks)+1 {
			t.Errorf("%q is shown as %q", in, out)
		}
		for _, r := range out {
			if !unicode.IsPrint(r) {
				t.Errorf("%q shows %U", in, r)
			}
		}
	})
}
