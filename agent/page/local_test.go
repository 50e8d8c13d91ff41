package page

import (
	"encoding/xml"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"edged/agent/status"
)

// Each alarm has a sentence and something to do in each language, and no more than three
// steps; each step of a self-test, and each test, has words.
func TestEveryAlarmAndTestHasWords(t *testing.T) {
	for _, l := range languages {
		w := catalogues[l.code]
		for _, code := range status.AlarmCodes {
			for _, n := range []int64{1, 2} {
				what, steps := alarmSays(status.Alarm{Code: code, Count: n, Device: "CT1", Value: "cert:page"}, "TC 1", w)
				if len(steps) == 0 || len(steps) > 3 || strings.Contains(what+strings.Join(steps, ""), "⟦") || strings.Contains(what, "{") || what == w.Say("warning.other", "code", string(code)) {
					t.Errorf("%s %s: %q, %q", l.code, code, what, steps)
				}
			}
			if w.has("alarm." + string(code) + ".step4") {
				t.Errorf("%s %s has a fourth step, which nobody sees", l.code, code)
			}
		}
		for _, id := range StepIDs {
			if !w.has("selftest.step." + id) {
				t.Errorf("%s lacks selftest.step.%s", l.code, id)
			}
		}
		for _, test := range SelfTests {
			for _, id := range []string{"", ".about", ".do"} {
				if !w.has("selftest." + test + id) {
					t.Errorf("%s lacks selftest.%s%s", l.code, test, id)
				}
			}
		}
	}
}

// Whoever reads only the sheet knows what to type at the modality, in each language, and
// on the one for Bolzano in two.
func TestTheSheetIsEnoughToPointAModalityHere(t *testing.T) {
	s := Sheet{AETitle: "EDGED", Serial: "AB12-CD34", Contact: "Assistenza 02 1234567", Networks: []Network{{"eth0", "10.0.0.5", "255.255.255.0", "10.0.0.1"}}, Port: 11112, TLSPort: 2762, TLSPrint: "AB:CD",
		Page: "https://10.0.0.5:8443", PagePrint: "EF:01", MaxPDU: 131072, MaxTotal: 64, MaxDevice: 32, Idle: 10 * time.Minute, Connect: 30 * time.Second,
		Device: &SheetDevice{Title: "CT1", Name: "TC 1", Address: "10.0.0.9", Port: 104, Priority: "routine", Commitment: "received", NewAssociation: true, TLS: "any"}}
	f := facts{Now: morning}
	for _, l := range languages {
		v := sheetViewOf(s, f, catalogues[l.code], false)
		all := saidOn(v)
		for _, want := range []string{"EDGED", "10.0.0.5", "255.255.255.0", "10.0.0.1", "11112", "2762", "AB:CD", "EF:01", "https://10.0.0.5:8443", "CT1", "TC 1", "10.0.0.9", "104", "C-ECHO", "JPEG-LS", "MPPS", "131", "Assistenza", "AB12-CD34"} {
			if !strings.Contains(all, want) {
				t.Errorf("%s: the sheet lacks %q", l.code, want)
			}
		}
		if len(v.Columns[0].Steps) != 5 || !strings.Contains(v.Columns[0].Steps[0], "EDGED") || strings.Contains(all, "⟦") || strings.Contains(all, "{") {
			t.Errorf("%s: %q", l.code, all)
		}
	}
	both := sheetViewOf(s, f, catalogues["en"], true)
	if len(both.Columns) != 2 || both.Columns[0].Lang != "de" || both.Columns[1].Lang != "it" {
		t.Errorf("the sheet in two languages: %+v", both.Columns)
	}
	s.Port, s.Device = 0, nil
	if v := sheetViewOf(s, f, catalogues["it"], false); v.Port != "2762" || !strings.Contains(v.Columns[0].Steps[0], "2762") {
		t.Errorf("with TLS alone the port is %s", v.Port)
	}
}

func saidOn(v sheetView) string {
	said := []string{v.AETitle, v.Port, v.Serial}
	for _, c := range v.Columns {
		said = append(said, c.Steps...)
		for _, p := range c.Parts {
			for _, r := range p.Rows {
				said = append(said, r.Label, r.Says)
			}
		}
	}
	return strings.Join(said, "\n")
}

// The drawing is XML, whatever is in the address, and too much of it is no drawing.
func TestTheQRCodeIsADrawing(t *testing.T) {
	for _, text := range []string{"http://10.0.0.5:8080/devices", `http://a/devices/of/%22%3E%3Cscript%3E`, "ü"} {
		drawing, err := qrOf(text)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(drawing, "script") || !strings.Contains(drawing, "h1v1h-1z") {
			t.Errorf("%s: %.80s", text, drawing)
		}
		for d := xml.NewDecoder(strings.NewReader(drawing)); ; {
			if _, err := d.Token(); err == io.EOF {
				break
			} else if err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := qrOf(strings.Repeat("x", 5000)); err == nil {
		t.Error("5000 bytes are drawn")
	}
}

// What nobody has seen comes first, the worst first of these; who took it in charge is
// told to who is logged in.
func TestAlarmsAreInTheOrderOfHaste(t *testing.T) {
	at := before(time.Hour)
	open := []status.Alarm{
		{ID: "1", Code: status.AlarmTime, Since: at, Safe: true},
		{ID: "2", Code: status.AlarmSpool, Since: at, Red: true, Safe: true, AckedAt: at, AckedBy: "anna"},
		{ID: "3", Code: status.AlarmQueue, Since: at, Red: true, Safe: true},
		{ID: "4", Code: "of a later version", Since: at},
	}
	v := alarmsViewOf(open, slices.Repeat(open[:1], 150), facts{Now: morning}, false, catalogues["it"])
	var ids []string
	for _, a := range v.Open {
		ids = append(ids, a.ID)
	}
	if got := strings.Join(ids, ""); v.New != 3 || got != "4312" || v.Open[3].Heading == "" || v.Open[0].Heading != "" {
		t.Errorf("order %s, %d new: %+v", got, v.New, v.Open)
	}
	if strings.Contains(v.Open[3].Seen, "anna") || len(v.Over) != shownOver {
		t.Errorf("%q, %d that are over", v.Open[3].Seen, len(v.Over))
	}
	in := alarmsViewOf(open, nil, facts{Now: morning}, true, catalogues["it"])
	if !strings.Contains(in.Open[3].Seen, "anna") {
		t.Errorf("who is logged in sees %q", in.Open[3].Seen)
	}
}

// A clock is called wrong where it is surely so, and a slow one is not told from who
// sends late.
func TestAClockIsCalledWrongWhereItIs(t *testing.T) {
	w := catalogues["en"]
	for _, c := range []struct {
		h    Habit
		says string
		off  bool
	}{
		{Habit{}, "", false},
		{Habit{ClockKnown: true, Ahead: -15 * time.Minute}, "right", false},
		{Habit{ClockKnown: true, Ahead: time.Minute}, "right", false},
		{Habit{ClockKnown: true, Ahead: 5 * time.Minute}, "About 5 minutes fast", true},
		{Habit{ClockKnown: true, Ahead: 5 * time.Minute, ClockLimit: 10 * time.Minute}, "right", false},
		{Habit{ClockKnown: true, Ahead: -9 * time.Hour}, "or they are sent late", false},
	} {
		if says, off := clockOf(c.h, w); !strings.Contains(says, c.says) || off != c.off || c.says == "" && says != "" {
			t.Errorf("%v: %q, %v", c.h.Ahead, says, off)
		}
	}
}

// The window of a trial says what was called and what is here.
func TestTheWindowSaysWhyInWords(t *testing.T) {
	l := Listening{From: before(time.Minute), Until: morning.Add(time.Minute), Heard: []Heard{
		{At: morning, Calling: "CT1", Called: "EDGE1", Address: "10.0.0.5", Code: status.WrongCalled, Detail: "EDGE1"}, {At: morning, Calling: "<b>", Called: "EDGED01", Address: "10.0.0.6"}}}
	v := testsViewOf(facts{Status: status.Status{AETitle: "EDGED01"}, Now: morning}, nil, l, nil, catalogues["it"])
	i := slices.IndexFunc(v.Tests, func(t testView) bool { return t.ID == TestWait })
	lines := v.Tests[i].Window.Lines
	if !v.Tests[i].Window.Open || lines[0].Says != "Rifiutata: il nome chiamato è «EDGE1», qui è «EDGED01»." || !lines[1].Good {
		t.Errorf("%+v", lines)
	}
	if last := v.Tests[len(v.Tests)-1]; len(last.Guide) != 6 {
		t.Errorf("the guide for a power cut: %+v", last)
	}
}
