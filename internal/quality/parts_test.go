package quality

import (
	"math"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// Whoever is called nearly as a test is somebody.
func TestNamesForTrying(t *testing.T) {
	k, _ := New(Config{TestNames: []string{"Müster^Max", ""}})
	for name, want := range map[string]bool{
		"TEST^": true, "test": true, "Test^Uno": true, "Rossi^PROVA": true, "PROVA01^X": true, "Test Paziente": true, "ANONYMOUS^": true, "QC-Phantom^CT": true,
		"xx^xx": true, "XXX": true, "aa^bb^": true, "MÜSTER^max": true, "^^=Test^": true,
		"Testa^Mario": false, "Provasi^Eva": false, "Contesti^Ugo": false, "X^Y": false, "Xx^Anna": false, "": false, "123^456": false, "11^22": false, "Rossi^Mario^TEST": false,
	} {
		if got := k.test(name); got != want {
			t.Errorf("%q: %v", name, got)
		}
	}
}

func TestDamagedAccentsAreRead(t *testing.T) {
	for text, want := range map[string]string{
		"NicolÃ²": "Nicolò", "Ã¨": "è", "MÃ¼ller": "Müller", "MÃœLLER": "MÜLLER", "M\u00c3\u009cLLER": "MÜLLER", "Ãˆ": "È", "StraÃŸe": "Straße", "Å¡": "š", "Dâ€™AngelÃ²": "D’Angelò", "Â°": "°",
		"Nicolò": "", "Müller": "", "TOMÁŠ": "", "MATÚŠ": "", "ÄŠ": "", "Ã": "", "Ãx": "", "SÃO": "", "â€": "", "": "", "Đặng": "", "山田": "",
	} {
		if got, ok := repaired(text); ok != (want != "") || ok && got != want {
			t.Errorf("%q: %q %v, want %q", text, got, ok, want)
		}
	}
	for _, text := range []string{"àèìòù ÀÈÉÌÒÙ äöüß ÄÖÜ ç ñ š ž č ć"} {
		broken := new(strings.Builder)
		for _, b := range []byte(text) {
			broken.WriteRune(rune(b)) // as ISO 8859-1 reads it
		}
		if got, _ := repaired(broken.String()); got != text {
			t.Errorf("%q, want %q", got, text)
		}
	}
}

// The length of pixels is that of PS3.5 §8.1.1, and no number of a stranger overflows it.
func TestLengthOfPixels(t *testing.T) {
	for _, c := range []struct {
		p           Pixels
		least, most int64
	}{
		{Pixels{Rows: 512, Columns: 512, Samples: 1, Bits: 16}, 524288, 524288},
		{Pixels{Rows: 10, Columns: 10, Samples: 3, Bits: 8, Frames: 7}, 2100, 2100},
		{Pixels{Rows: 3, Columns: 3, Samples: 1, Bits: 1, Frames: 3}, 4, 4}, // 27 bits
		{Pixels{Rows: 3, Columns: 3, Samples: 1, Bits: 12}, 14, 14},         // 108 bits
		{Pixels{Rows: 10, Columns: 10, Samples: 3, Bits: 8, Photometric: "YBR_FULL_422"}, 200, 300},
		{Pixels{Rows: 10, Columns: 10, Samples: 3, Bits: 8, Photometric: "YBR_PARTIAL_420"}, 150, 300},
		{Pixels{Rows: 65535, Columns: 65535, Samples: 3, Bits: 16, Frames: 1 << 20}, 65535 * 65535 * 6 << 20, 65535 * 65535 * 6 << 20},
		{Pixels{Rows: math.MaxInt64, Columns: 2, Samples: 1, Bits: 8}, math.MaxInt64/8 + 1, math.MaxInt64/8 + 1},
		{Pixels{Rows: 512, Columns: 512, Samples: 1}, 0, 0},
		{Pixels{Rows: -1, Columns: 512, Samples: 1, Bits: 8}, 0, 0},
	} {
		if least, most, known := expected(c.p); least != c.least || most != c.most || known != (c.most > 0) {
			t.Errorf("%+v: %d %d", c.p, least, most)
		}
	}
}

func TestTimesOfTheStandard(t *testing.T) {
	for s, want := range map[string]time.Duration{
		"10": 10 * time.Hour, "1015": 615 * time.Minute, "101530": 615*time.Minute + 30*time.Second, "101530.5": 615*time.Minute + 30*time.Second,
		"101530.123456": 615*time.Minute + 30*time.Second, "10:15:30": 615*time.Minute + 30*time.Second, "235960": 24 * time.Hour,
		"": -1, "1": -1, "24": -1, "1060": -1, "101561": -1, "101530.": -1, "101530.1234567": -1, "1015.5": -1, "10153": -1, "-10000": -1, "１０": -1,
	} {
		if got, ok := parseTime(s); ok != (want >= 0) || ok && got != want {
			t.Errorf("%q: %s %v", s, got, ok)
		}
	}
	for s, want := range map[string]int{"+0100": 3600, "-0330": -12600, "+1400": 50400, "-1200": -43200, "+0000": 0} {
		zone, ok := parseZone(s)
		if !ok {
			t.Errorf("%q is none", s)
			continue
		}
		if _, got := time.Unix(0, 0).In(zone).Zone(); got != want {
			t.Errorf("%q: %d", s, got)
		}
	}
	for _, s := range []string{"", "0100", "+1401", "-1201", "+0160", "-0000", "+01:0", "+010a"} {
		if _, ok := parseZone(s); ok {
			t.Errorf("%q is one", s)
		}
	}
	for _, s := range []string{"", "00000101", "20260001", "2026-1-1", "20260229", "2026.1.01"} {
		if d, ok := parseDate(s); ok {
			t.Errorf("%q: %s", s, d)
		}
	}
}

// A number of a hospital is no codice fiscale that somebody mistyped.
func TestOtherNumbersAreNoFiscalCodes(t *testing.T) {
	k, _ := New(Config{})
	for s, want := range map[string]bool{
		"RSSMRA72H26F941L": true, "RSSMRA72H26F941X": true, "RSSMRA72H26F941": true, "RSSMRA72H26F9411": true, "RSSMRA7OH26F941L": true,
		"RSSMRATNHNSFVQMA": true, // all digits are letters, and the last is wrong
		"4711":             false, "HOSPITALANAGRAFE": false, "RSSMRATNONSFVQMA": false, "": false, "HOSPIT0000012345": false, "ABCDEFGHIJKLMNOP": false, "2026112212345678": false, "STP1234567890123": true, "01234567897": false,
	} {
		if got := k.meant(s, "H"); got != want {
			t.Errorf("%q: %v", s, got)
		}
	}
	if !k.meant("4711", codeIssuer) {
		t.Error("who gives them gives no others")
	}
}

var placeholder = regexp.MustCompile(`\{[^}]*\}`)

// Each code has a sentence in each language, with the values that it has and no others;
// each cause has a heading.
func TestEveryCodeHasWordsInThreeLanguages(t *testing.T) {
	for _, language := range Languages {
		w := Words(language)
		for _, e := range Table() {
			var want []string
			for n, kind := range e.Kinds {
				if kind != None {
					want = append(want, []string{"{a}", "{b}"}[n])
				}
			}
			s := w[string(e.Code)]
			got := placeholder.FindAllString(s, -1)
			slices.Sort(got)
			if !slices.Equal(got, want) || !strings.HasSuffix(s, ".") || strings.ContainsAny(s, "<>&'\"") {
				t.Errorf("%s %s: %q, values %q", language, e.Code, s, want)
			}
			delete(w, string(e.Code))
		}
		for _, c := range causes {
			if w["cause."+string(c)] == "" {
				t.Errorf("%s: no heading for %s", language, c)
			}
			delete(w, "cause."+string(c))
		}
		if len(w) > 0 {
			t.Errorf("%s: words for nothing: %v", language, w)
		}
	}
	if Words("fr") != nil {
		t.Error("fr has words")
	}
}

func TestASentenceSaysBothValues(t *testing.T) {
	got := strings.NewReplacer("{a}", "26/06/1972", "{b}", "26/07/1972").Replace(Words("it")[string(FiscalBirth)])
	if want := "La data di nascita nel codice fiscale (26/06/1972) è diversa da quella dell’esame (26/07/1972). Correggi nel RIS e rinvia."; got != want {
		t.Error(got)
	}
}

func TestALongValueShowsThatItIsCut(t *testing.T) {
	for s, want := range map[string]string{
		strings.Repeat("è", maxValue):   strings.Repeat("è", maxValue),
		strings.Repeat("è", maxValue+1): strings.Repeat("è", maxValue) + "…",
		"\xe8":                          "\uFFFD",
	} {
		if got := value(s); got != want {
			t.Errorf("%q", got)
		}
	}
	if got := clip(strings.Repeat("x", maxText-1) + "è"); got != strings.Repeat("x", maxText-1) {
		t.Errorf("%q", got[maxText-2:])
	}
}

func TestInvisibleCharactersAreSeen(t *testing.T) {
	for _, r := range "\x00\x1b\n\x7f\u0085\u202a\u202e\u2066\u2069" {
		if !strange(r) {
			t.Errorf("%q", r)
		}
	}
	if strings.ContainsFunc("D’Angelò Müller 山田 =^", strange) {
		t.Error("a name is strange")
	}
}

// A code stands once, in the order of the checks, with what it looks at.
func TestTheTableIsInOrder(t *testing.T) {
	last := 0
	for n, e := range table {
		if order[e.Code] != n || e.About == "" || e.Cause.Number() < last || e.Kinds[0] == None && e.Kinds[1] != None {
			t.Errorf("%+v", e)
		}
		last = e.Cause.Number()
		if e.Tags == "" && e.Code != Unreadable && e.Code != Cut {
			t.Errorf("%s: which attributes?", e.Code)
		}
	}
	if last != 10 {
		t.Errorf("%d checks", last)
	}
	if _, ok := Lookup("x"); ok || Cause("x").Number() != 0 {
		t.Error("x is known")
	}
}
