package page

import (
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"edged/agent/status"
)

var placeholder = regexp.MustCompile(`\{[a-z]+\}`)

// A text that one language lacks, or that loses its number in translation, is
// found here and not by somebody in Bolzano.
func TestThreeLanguagesAreComplete(t *testing.T) {
	reference := catalogues["it"].texts
	for _, l := range languages {
		texts := catalogues[l.code].texts
		if len(texts) != len(reference) {
			t.Errorf("%s has %d texts, it has %d", l.code, len(texts), len(reference))
		}
		for id, text := range reference {
			other := texts[id]
			if strings.TrimSpace(other) == "" {
				t.Errorf("%s lacks %s", l.code, id)
			}
			if a, b := placeholders(text), placeholders(other); !slices.Equal(a, b) {
				t.Errorf("%s %s has %v, it has %v", l.code, id, b, a)
			}
		}
	}
}

// Of an id that stands twice in a file the last one would hold, and nobody would see it.
func TestNoIDStandsTwiceInAFile(t *testing.T) {
	id := regexp.MustCompile(`(?m)^\s*"([^"]+)":`)
	names, err := filepath.Glob("words/*/*.json")
	if err != nil || len(names) < 3*10 {
		t.Fatal(len(names), err)
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		met := map[string]bool{}
		for _, m := range id.FindAllStringSubmatch(string(text), -1) {
			if met[m[1]] {
				t.Errorf("%s: %s", name, m[1])
			}
			met[m[1]] = true
		}
		if len(met) == 0 {
			t.Errorf("%s: no id was found", name)
		}
	}
}

func placeholders(text string) []string {
	found := placeholder.FindAllString(text, -1)
	slices.Sort(found)
	return slices.Compact(found)
}

// Words that once meant something else to whoever grew up with the language:
// rifiuti are waste, and rinviare an examination is to put it off.
func TestWordsMeanWhatIsMeant(t *testing.T) {
	for lang, want := range map[string]string{"it": "Rifiutati (immagini e collegamenti)", "en": "Refused (images and connections)", "de": "Abgelehnt (Bilder und Verbindungen)"} {
		if got := catalogues[lang].Say("count.refused"); got != want {
			t.Errorf("%s: what is refused is %q, want %q", lang, got, want)
		}
	}
	for id, text := range catalogues["it"].texts {
		for _, wrong := range []string{"rifiuti", "rinvia", "dalle ieri"} {
			if text = strings.ReplaceAll(text, "{time}", "ieri 17:42"); strings.Contains(strings.ToLower(text), wrong) {
				t.Errorf("%s says %q: %s", id, wrong, text)
			}
		}
	}
}

// Who was turned away at the door has sent nothing, and may not have wanted to; and
// what is not switched on for a device is not always an image.
func TestARefusedDeviceIsNotSaidToHaveSent(t *testing.T) {
	for lang, says := range map[string][3]string{
		"it": {"provato a collegarsi", "attivato per questa apparecchiatura", "invia"},
		"en": {"tried to connect", "switched on for this device", "send"},
		"de": {"sich verbinden", "für diese Modalität nicht freigeschaltet", "senden"},
	} {
		for _, n := range []int64{1, 3} {
			said := catalogues[lang].Count("reason.unknown_callers", n)
			if !strings.Contains(said, says[0]) || strings.Contains(said, says[2]) {
				t.Errorf("%s says of unknown callers: %s", lang, said)
			}
		}
		if said := catalogues[lang].Say("refusal.nothing_in_common"); !strings.Contains(said, says[1]) {
			t.Errorf("%s says of what has nothing in common: %s", lang, said)
		}
	}
}

func TestEveryCodeHasWords(t *testing.T) {
	it := catalogues["it"]
	var ids []string
	for _, s := range status.States {
		ids = append(ids, "state."+string(s))
	}
	for _, h := range status.AllHops {
		ids = append(ids, "hop."+string(h))
	}
	for _, w := range status.Warnings {
		ids = append(ids, "warning."+string(w))
	}
	for _, r := range status.RefusalCodes {
		ids = append(ids, "refusal."+string(r))
	}
	for _, c := range status.WhyCodes {
		ids = append(ids, "why."+string(c))
	}
	for _, c := range status.Transports {
		ids = append(ids, "carrier."+string(c))
	}
	for _, r := range status.ContextResults {
		ids = append(ids, "context."+string(r))
	}
	for _, id := range ids {
		if !it.has(id) {
			t.Errorf("no words for %s", id)
		}
	}
	for _, code := range status.ReasonCodes {
		for _, n := range []int64{0, 1, 2} {
			if text := reasonOf(status.Reason{Code: code, Count: n}, it); strings.Contains(text, string(code)) || strings.Contains(text, "⟦") {
				t.Errorf("no words for %d %s: %q", n, code, text)
			}
		}
	}
}

// No text is carried that nothing shows: a word is either in the template, in
// the code, or begins with a prefix that the code completes.
func TestNoWordIsUnused(t *testing.T) {
	var source strings.Builder
	for _, pattern := range []string{"*.go", "templates/*.html"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			source.Write(raw)
		}
	}
	built := []string{"state.", "hop.", "warning.", "refusal.", "reason.", "modality.", "step.", "devices.", "context.", "why.", "carrier.", "notice.", "page.role.", "alarm.", "selftest.", "sheet.device.tls.", "sheet.priority.", "sheet.commitment.", "sheet.tls.", "device.service.", "help.", "access.", "privacy.", "system.part.", "system.mark.", "cert.", "audit.alarm."}
	for id := range catalogues["it"].texts {
		base := strings.TrimSuffix(strings.TrimSuffix(id, ".one"), ".other")
		if slices.ContainsFunc(built, func(p string) bool { return strings.HasPrefix(id, p) }) {
			continue
		}
		if !strings.Contains(source.String(), `"`+base+`"`) {
			t.Errorf("%s is used nowhere", id)
		}
	}
}

func TestLanguageIsChosenByAddressThenCookieThenBrowser(t *testing.T) {
	cases := []struct{ name, path, cookie, accept, want string }{
		{"nothing said", "/", "", "", "it"},
		{"the browser's first of ours", "/", "", "fr-FR, de-AT;q=0.8, en;q=0.9", "en"},
		{"a region of ours", "/", "", "de-IT,de;q=0.9,it;q=0.8", "de"},
		{"refused by weight", "/", "", "en;q=0", "it"},
		{"nonsense", "/", "", ";;;q=,,*;q=9,en;q=x", "it"},
		{"the cookie before the browser", "/", "de", "en", "de"},
		{"the address before the cookie", "/?lang=en", "de", "it", "en"},
		{"an unknown address", "/?lang=xx", "de", "en", "de"},
		{"an unknown cookie", "/", "<script>", "en", "en"},
		{"ten thousand languages", "/", "", strings.Repeat("fr,", 10000) + "en", "it"},
	}
	for _, c := range cases {
		r := httptest.NewRequest("GET", c.path, nil)
		r.Header.Set("Cookie", languageCookie+"="+c.cookie)
		r.Header.Set("Accept-Language", c.accept)
		if got := chooseWords(r, "it").lang; got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

func TestAChosenLanguageIsRemembered(t *testing.T) {
	answer := ask(t, ordinary(), "/?lang=de")
	cookies := answer.Cookies()
	if len(cookies) != 1 || cookies[0].Value != "de" || !cookies[0].HttpOnly {
		t.Fatalf("cookies %v", cookies)
	}
	if got := ask(t, ordinary(), "/", "Cookie", cookies[0].Name+"="+cookies[0].Value).Header.Get("Content-Language"); got != "de" {
		t.Errorf("the next page is in %q", got)
	}
}

func TestNumbersAndTimesFollowTheLanguage(t *testing.T) {
	it, en, de := catalogues["it"], catalogues["en"], catalogues["de"]
	cases := []struct{ got, want string }{
		{it.number(1248036), "1.248.036"}, {en.number(1248036), "1,248,036"}, {de.number(-1000), "-1.000"}, {it.number(999), "999"},
		{it.bytes(0), "0\u00a0B"}, {it.bytes(999), "999\u00a0B"}, {it.bytes(1_234_000_000), "1,2\u00a0GB"}, {en.bytes(1_234_000_000), "1.2\u00a0GB"},
		{it.bytes(999_999), "1,0\u00a0MB"}, {it.bytes(9_960_000), "10\u00a0MB"}, {de.bytes(31_400_000_000), "31\u00a0GB"},
		{it.rate(940_000_000), "940\u00a0Mbit/s"}, {it.rate(0), "0\u00a0bit/s"},
		{it.decimal(0), "0"}, {it.decimal(0.002), "< 0,01"}, {en.decimal(0.024), "0.02"}, {de.decimal(1.44), "1,4"}, {it.decimal(21.3), "21"},
		{it.duration(0), "1 secondo"}, {it.duration(12 * time.Second), "12 secondi"}, {en.duration(61 * time.Second), "2 minutes"},
		{de.duration(time.Hour), "1 Stunde"}, {it.duration(30 * 24 * time.Hour), "30 giorni"},
		{it.moment(before(time.Minute), morning), "08:41"}, {de.moment(before(15*time.Hour), morning), "gestern 17:42"},
		{it.moment(before(48*time.Hour), morning), "19/11/2026 08:42"}, {de.moment(before(48*time.Hour), morning), "19.11.2026 08:42"},
		{en.moment(before(48*time.Hour), morning), "19 Nov 2026 08:42"}, {it.moment(time.Time{}, morning), ""},
	}
	for _, c := range cases {
		if c.got != c.want {
			t.Errorf("%q, want %q", c.got, c.want)
		}
	}
}

// The night when clocks go back has 25 hours; yesterday is still yesterday.
func TestYesterdayIsByCalendarNotByHours(t *testing.T) {
	now := time.Date(2026, 10, 25, 23, 50, 0, 0, rome)
	if got := catalogues["en"].moment(now.Add(-24*time.Hour), now); got != "00:50" {
		t.Errorf("24 hours earlier is %q; that day began after it", got)
	}
	if got := catalogues["en"].moment(now.Add(-25*time.Hour), now); got != "yesterday 23:50" {
		t.Errorf("25 hours earlier is %q", got)
	}
}

func FuzzPreferred(f *testing.F) {
	for _, seed := range []string{"de-IT,de;q=0.9,it;q=0.8", ";;;q=,,*;q=9,en;q=x", "en;q=NaN", "it;q=1e-9", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		if w := preferred(header); w != nil && catalogues[w.lang] != w {
			t.Errorf("%q chooses %v", header, w.lang)
		}
	})
}
