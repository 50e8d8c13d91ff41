package page

import (
	"context"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"edged/agent/account"
	"edged/agent/status"
)

// twoWrong is a desk with what is wrong with two studies of a device.
type twoWrong struct{}

const hostileName = `<img src=x onerror=alert(1)>^` + "\u202eoiraM"

func (twoWrong) FixGroups() FixGroups {
	return FixGroups{Came: map[string]FixWeeks{"CT1": {This: 120, Last: 300}}, Groups: []FixGroup{
		{Cause: "origin", Device: "US7", Level: status.LevelInfo, Weeks: FixWeeks{Before: 9}},
		{Cause: "fiscal_code", Device: "CT1", Level: status.LevelWarn, Weeks: FixWeeks{This: 3, Last: 1}, Open: 4},
		{Cause: "object", Device: "<b>MR</b>", Level: status.LevelHold, Weeks: FixWeeks{This: 1}, Open: 1},
	}}
}

func (twoWrong) FixStudies(cause, device string, limit int) ([]FixStudy, int) {
	c := status.Card{Study: status.Study{Key: "0011223344556677", Modality: "CT", FirstReceived: time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)},
		Person: status.Person{Name: hostileName, BirthDate: "19720626"}, Accession: "A1", Description: "TC <torace>", Findings: []status.Finding{
			{Code: "fiscal.check", Level: status.LevelWarn, Cause: "fiscal_code", Values: [2]string{"RSSMRA72H26F941A", "L"}, Count: 3},
			{Code: "accession.missing", Level: status.LevelWarn, Cause: "accession"},
		}}
	return []FixStudy{{Card: c}}, 61
}

func (twoWrong) FixDone(context.Context, string, account.Actor) error { return nil }

func sayPlainly(language string, f status.Finding) (cause, says string) {
	return "CAUSE " + f.Cause, f.Code + " " + f.Values[0] + " " + f.Values[1]
}

// fixed is the page as somebody sees it.
func fixed(full bool, cause, device string) string {
	f := fixFacts{W: catalogues["it"], Now: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC), Full: full, Groups: twoWrong{}.FixGroups(),
		Devices: []status.Device{{AETitle: "CT1", Name: "TC 1"}}}
	f.Say = func(x status.Finding) (string, string) { return sayPlainly("it", x) }
	if cause != "" {
		f.Cause, f.Device = cause, device
		f.Studies, f.Total = twoWrong{}.FixStudies(cause, device, shownFix)
	}
	p, _ := New(Config{Source: ordinary(), Sentence: sayPlainly, Fix: twoWrong{}, Location: time.UTC})
	rec := httptest.NewRecorder()
	rq := p.request(httptest.NewRequest("GET", "/fix", nil))
	p.draw(rec, rq, p.fixLeaves()[0], fixPageOf(f))
	return rec.Body.String()
}

// What is to be corrected is counted by cause and device and week, the worst first, with
// its level in a word; who has logged in sees which studies it is, and what to do.
func TestFixPageSaysWhatIsToBeCorrected(t *testing.T) {
	all := fixed(true, "fiscal_code", "CT1")
	inOrder(t, all, "CAUSE object", "In attesa al centro regionale", "CAUSE fiscal_code", `/fix?cause=fiscal_code&amp;device=CT1#studies`, "TC 1", "Da correggere", "3 su 120", "1 su 300", "CAUSE origin", "Solo un’informazione",
		"fix-studies", "/studies/0011223344556677", "26/06/1972", "A1", "fiscal.check RSSMRA72H26F941A L", "3 immagini", "e altri 60")
	if strings.Contains(all, "accession.missing") {
		t.Error("a finding of another cause is among them")
	}
	for _, wrong := range []string{"<img src=x", "<b>MR", "\u202e", "<torace>"} {
		if strings.Contains(all, wrong) {
			t.Errorf("hostile text is shown as %q", wrong)
		}
	}
}

// Who has not logged in sees counts alone: no study, no person, no number; not by asking
// for them either.
func TestFixPageShowsNobodyToStrangers(t *testing.T) {
	p, err := New(Config{Source: ordinary(), Sentence: sayPlainly, Fix: twoWrong{}, Anonymous: AnonymousMasked, Location: time.UTC})
	if err != nil {
		t.Fatal(err)
	}
	rec := httptest.NewRecorder()
	p.ServeHTTP(rec, httptest.NewRequest("GET", "http://127.0.0.1/fix?cause=fiscal_code&device=CT1", nil))
	body := rec.Body.String()
	if rec.Code != 200 || !strings.Contains(body, "CAUSE fiscal_code") {
		t.Fatalf("%d %s", rec.Code, body)
	}
	for _, wrong := range []string{"RSSMRA", "/studies/", "1972", "A1<", "onerror", `href="/fix?cause=`} {
		if strings.Contains(body, wrong) {
			t.Errorf("a stranger sees %q", wrong)
		}
	}
}

func inOrder(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		i := strings.Index(text, part)
		if i < 0 {
			t.Errorf("%q is not there, or not behind the one before", part)
			continue
		}
		text = text[i:]
	}
}
