package discovery

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// The name of a facility is text from a file: it fits, does not turn around what stands
// beside it, and the appliance's own name always leads.
func TestAnInstanceIsUniqueAndFits(t *testing.T) {
	for facility, want := range map[string]string{
		"":                              "edged-1",
		"Ospedale di Esempio":           "edged-1 Ospedale di Esempio",
		" A.\tB \n":                     "edged-1 A. B",
		"Hôpital d'Aoste.":              "edged-1 Hôpital d'Aoste",
		"a\u202eb\u0000c\xff":           "edged-1 abc",
		strings.Repeat("ä", 100):        "edged-1 " + strings.Repeat("ä", 27),
		strings.Repeat("x", 54) + ". .": "edged-1 " + strings.Repeat("x", 54),
	} {
		got := Instance("edged-1", facility)
		if got != want || len(got) > maxLabel || !utf8.ValidString(got) {
			t.Errorf("%q: %q, want %q", facility, got, want)
		}
		if _, err := New(Config{ID: "edged-1", Instance: got}); err != nil {
			t.Errorf("%q: %v", got, err)
		}
	}
}

// Two appliances have two names, one keeps its own, and it tells nothing of what it is made of.
func TestAnIDIsOfOneAppliance(t *testing.T) {
	one, other := ID([]byte("0123456789abcdef")), ID([]byte("0123456789abcdeg"))
	if one == other || one != ID([]byte("0123456789abcdef")) || len(one) != len("edged-")+8 {
		t.Error(one, other)
	}
}

// The library compares names as its parser writes them: what is not plain is escaped.
func TestALabelIsWrittenAsTheLibraryReadsIt(t *testing.T) {
	for name, want := range map[string]string{"plain": "plain", "a b.c": `a\ b\.c`, "è": `\195\168`} {
		if got, err := label(name); err != nil || got != want {
			t.Errorf("%q: %q, %v; want %q", name, got, err, want)
		}
	}
}

func TestWhatIsWrongIsToldBeforeTheStart(t *testing.T) {
	for _, c := range []Config{{}, {ID: "a.b"}, {ID: "a b"}, {ID: "a", Instance: strings.Repeat("x", 64)}} {
		if _, err := New(c); err == nil {
			t.Errorf("%+v is taken", c)
		}
	}
}
