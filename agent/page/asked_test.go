package page

import (
	"net/url"
	"testing"
)

// What an address asks of a list is bounded, whoever wrote it.
func TestWhatAnAddressAsksIsBounded(t *testing.T) {
	for text, want := range map[string][2]int{"": {1, 0}, "3": {3, 100}, "0": {1, 0}, "-7": {1, 0}, "x": {1, 0}, "99999999999999999999": {1 << 20, 50 * (1<<20 - 1)}} {
		if n, offset := pageAsked(url.Values{"page": {text}}, 50); n != want[0] || offset != want[1] {
			t.Errorf("page %q: got %d at %d, want %v", text, n, offset, want)
		}
	}
	for text, want := range map[string]string{" Rossi ": "Rossi", "Rossi^Mario": "Rossi^M", "Nicolòò": "Nicolò", "a\xffb": "ab"} {
		if got := wordsAsked(text, 7); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}
