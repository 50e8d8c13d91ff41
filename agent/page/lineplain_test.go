package page

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"edged/agent/status"
)

// UDP is spoken of while there is a line: a hub that answers nothing says nothing of it.
func TestNothingIsSaidOfUDPWithoutALine(t *testing.T) {
	shut := false
	for _, c := range []struct {
		uplink status.Uplink
		says   bool
	}{
		{status.Uplink{Hub: "hub:8443", UDPOpen: &shut}, false},
		{status.Uplink{Connected: true, Hub: "hub:8443", UDPOpen: &shut, Transport: status.TCP}, true},
		{status.Uplink{Connected: true, Hub: "hub:8443", Transport: status.TCP, Why: status.WhyConfigured}, false},
	} {
		d := ordinary()
		d.status.Uplink = c.uplink
		body := text(t, ask(t, d, "/line"))
		if got := strings.Contains(body, "UDP"); got != c.says {
			t.Errorf("connected %t, %q: UDP is spoken of: %t", c.uplink.Connected, c.uplink.Why, got)
		}
	}
}

// What a machine says, in English, is for support: a sentence stands before it.
func TestWhatMachinesSayIsForSupport(t *testing.T) {
	d := ordinary()
	d.status.Uplink = status.Uplink{Hub: "hub:8443", LastError: "dial: no route to host",
		Carriers: []status.Carrier{{Transport: status.TCP, Congestion: "newreno", LastError: "tls: handshake failure"}}}
	w := catalogues["it"]
	for _, path := range []string{"/", "/line"} {
		body := text(t, ask(t, d, path))
		plain, rest, _ := strings.Cut(body, `<details class="raw"`)
		says := "line.failed"
		if path == "/line" {
			says = "carrier.failed"
		}
		if !strings.Contains(plain, w.Say(says)) || !strings.Contains(rest, "no route to host") {
			t.Errorf("%s lacks the sentence, or what is for support", path)
		}
		for _, raw := range []string{"no route", "newreno", "handshake"} {
			if strings.Contains(outside(body, `<details class="raw"`, "</details>"), raw) {
				t.Errorf("%s: %q is not for support alone", path, raw)
			}
		}
	}
}

// outside is a page without what stands between two marks.
func outside(body, from, to string) string {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(body, from)
		b.WriteString(before)
		if !found {
			return b.String()
		}
		_, body, _ = strings.Cut(rest, to)
	}
}

// A start in the middle of an outage knows when it began itself, and nothing of before.
func TestAnOutageIsNoYoungerThanTheStart(t *testing.T) {
	f := facts{Status: status.Status{StartedAt: before(3 * time.Minute), Reasons: []status.Reason{{Code: status.LinkAway, Count: 3}}}, Now: morning}
	f.Status.Uplink.Hub = "hub:8443"
	for lang, sentence := range map[string]string{"it": "Da poco", "en": "moment ago", "de": "seit kurzem"} {
		w := catalogues[lang]
		if got, want := lineOf(f, w).Since, w.Say("line.atleast", "time", "08:39"); got != want {
			t.Errorf("%q, want %q", got, want)
		}
		if got := heroOf(f, w).Sentence; strings.Contains(got, sentence) || !strings.Contains(got, "3 ") {
			t.Errorf("of an outage nobody knows the beginning of: %q", got)
		}
	}
	if f.Status.Uplink.Since = before(time.Minute); lineOf(f, catalogues["en"]).Since != "since 08:41" {
		t.Errorf("one that was seen to begin: %q", lineOf(f, catalogues["en"]).Since)
	}
}

// A device that was never seen has neither a tick nor a warning.
func TestADeviceNeverSeenHasNoTick(t *testing.T) {
	d := ordinary()
	d.devices = []status.Device{{AETitle: "NEW1", Known: true}}
	body := text(t, ask(t, d, "/"))
	if !strings.Contains(body, "sign-never") || strings.Contains(body, "sign-known") || !strings.Contains(body, catalogues["it"].Say("devices.never")) {
		t.Error("a device that was never seen looks like one that sends")
	}
}

// A chart of nothing is a sentence, and one of a few minutes says since when it is.
func TestAnEmptyChartIsASentence(t *testing.T) {
	w := catalogues["it"]
	if c := dayBars(nil, morning, w); !c.Empty || c.Says != w.Say("chart.none") {
		t.Errorf("no arrivals: %+v", c)
	}
	if c := ratesOf(LineHistory{}, morning, w); !c.Empty || c.From != "" {
		t.Errorf("no minute: %+v", c)
	}
	young := LineHistory{Minutes: []LineMinute{{At: before(2 * time.Minute)}, {At: before(time.Minute)}}}
	if c := ratesOf(young, morning, w); c.Empty || c.From != w.Say("chart.from", "time", "08:40") || !strings.HasPrefix(c.Most, "0") {
		t.Errorf("two minutes: %+v", c)
	}
	old := (&madeUpLine{}).History()
	if c := ratesOf(old, morning, w); c.Empty || c.From != "" {
		t.Errorf("a day: empty %t, %q", c.Empty, c.From)
	}
	p := newPage(t, ordinary())
	p.cfg.LineDesk = emptyLine{}
	answer := httptest.NewRecorder()
	p.ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), "GET", "/", nil))
	body := answer.Body.String()
	if strings.Count(body, `<p class="nothing">`+w.Say("chart.none")) != 2 || strings.Contains(body, `class="axis"`) {
		t.Error("an empty chart is drawn")
	}
}

// emptyLine is a line of which nothing is known yet.
type emptyLine struct{ LineDesk }

func (emptyLine) History() LineHistory { return LineHistory{} }
