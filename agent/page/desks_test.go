package page

import (
	"context"
	"fmt"
	"io"
	"testing"
	"time"

	"edged/agent/account"
	"edged/agent/status"
)

// Made-up desks, each with something of every kind that its page can show.

type madeUpDevices struct{}

func (madeUpDevices) Habit(title string) Habit {
	h := Habit{Today: 12, Known: true, UsualByNow: 14.4, ClockKnown: true, Quiet: 5 * time.Minute}
	h.Hours[7], h.Hours[8], h.UsualHours[7], h.UsualHours[8] = 7, 5, 6.5, 7.9
	switch title {
	case "MAMMO":
		h.Today, h.Hours, h.Late, h.By = 0, [24]int64{}, true, "08:10"
	case "RM1":
		h.Ahead = 3 * time.Minute
	case "ECO1":
		return Habit{}
	}
	return h
}
func (madeUpDevices) Offered() []string                          { return []string{"store", "query"} }
func (madeUpDevices) Admit(account.Actor, Admission) error       { return nil }
func (madeUpDevices) Ignore(account.Actor, string, string) error { return nil }
func (madeUpDevices) Hear(account.Actor, string, string) error   { return nil }
func (madeUpDevices) Ignored() []Stranger {
	return []Stranger{{"OLD_US", "192.0.2.77", morning.AddDate(0, 0, 9)}}
}
func (madeUpDevices) Sheet(title string) (Sheet, bool) {
	s := Sheet{FacilityCode: "000000", Serial: "c0ffee", Contact: "Assistenza, 0000 000000", AETitle: "EDGED", Networks: []Network{{"eth0", "192.0.2.2", "255.255.255.0", "192.0.2.1"}},
		Port: 11112, TLSPort: 2762, TLSPrint: "AB:CD", TLSClients: true, PagePrint: "EF:01", Page: "https://10.0.0.9:8443", MaxPDU: 131072, MaxTotal: 64, MaxDevice: 8,
		Idle: time.Minute, Connect: 30 * time.Second, NTP: []string{"192.0.2.1"}}
	if title != "" {
		s.Device = &SheetDevice{Title: title, Name: "TC 1", Address: "192.0.2.11", Port: 104, Priority: "routine", Services: []string{"store"}, Commitment: "archived", NewAssociation: true, TLS: "server", Echo: before(time.Hour)}
	}
	return s, true
}

type madeUpStudies struct{}

func (madeUpStudies) card(i int) status.Card {
	c := status.Card{Study: ordinary().studies[i], UID: "1.2.3", Accession: "A000123", StudyDate: "20261121", StudyTime: "083500", Description: "TORACE",
		Person: status.Person{Name: "PROVA^MARIA", Initials: "P.M.", BirthDate: "19720626", BirthYear: 1972, Sex: "F", ID: "77", Fiscal: "RSSMRA72H26F941L"}}
	if i == 1 {
		c.Findings = []status.Finding{{Code: "accession_missing", Level: status.LevelWarn, Cause: "accession", Count: 2}}
	}
	return c
}
func (s madeUpStudies) Search(q StudyQuery) (l StudyList) {
	for i := range ordinary().studies {
		l.Cards = append(l.Cards, s.card(i))
	}
	l.Total, l.Devices = 2*q.Limit+len(l.Cards), []string{"CT1", "RM1"}
	return l
}
func (s madeUpStudies) Study(key string, instances bool) (StudyDetail, bool) {
	for i, st := range ordinary().studies {
		if st.Key == key {
			return StudyDetail{Card: s.card(i), Series: 3, Late: 12, Here: 842, FirstHub: before(5 * time.Minute), LastHub: before(time.Minute)}, true
		}
	}
	return StudyDetail{}, false
}
func (madeUpStudies) Resend(context.Context, string, account.Actor) (int64, error) { return 7, nil }

type madeUpTests struct{}

func (madeUpTests) Run(context.Context, account.Actor, string, string) error { return nil }
func (madeUpTests) Results() map[string]TestResult {
	all := map[string]TestResult{}
	for _, id := range SelfTests {
		all[id] = TestResult{At: before(time.Minute), Steps: []TestStep{{ID: "echo", State: StepOK, Took: 40 * time.Millisecond}, {ID: "store", State: StepBad, Value: "<b>"}, {ID: "taken", State: StepNote}}}
	}
	return all
}
func (madeUpTests) Listening() Listening { return Listening{} }
func (madeUpTests) Callable() []string   { return []string{"CT1"} }

type madeUpAlarms struct{}

func (madeUpAlarms) Alarms() (open, over []status.Alarm) {
	for i, code := range status.AlarmCodes {
		a := status.Alarm{ID: string(code), Code: code, Device: "CT1", Count: int64(i), Value: "3", Red: i%2 == 0, Safe: i%3 != 0, Since: before(time.Hour)}
		open = append(open, a)
		a.ID, a.Until, a.AckedAt, a.AckedBy = a.ID+"-over", before(time.Minute), before(30*time.Minute), "m.rossi"
		over = append(over, a)
	}
	return open, over
}
func (madeUpAlarms) Acknowledge(account.Actor, string) error { return nil }
func (madeUpAlarms) Unmeasured() []string                    { return nil }
func (madeUpAlarms) Contact() string                         { return "Assistenza, 0000 000000" }

type madeUpSystem struct{}

func (madeUpSystem) System() System {
	return System{Encrypted: true, Limits: SystemLimits{3, 1, 30, 7}, Certificates: []Certificate{{"uplink", morning.AddDate(0, 0, 20), "AB:CD"}, {"page", morning.AddDate(0, 0, 300), "EF"}},
		Clock: Clock{Known: true, Synced: true, Error: 4 * time.Millisecond}, TotalBytes: 2e12, FreeBytes: 1.7e12, Degrees: 44, Runtime: "go", Booted: before(40 * time.Hour),
		Repository: Repository{Server: "audit.example.org:6514", Waiting: 12, Trouble: "refused", Since: before(time.Hour)}}
}
func (madeUpSystem) Bundle(account.Actor, io.Writer) error { return nil }

// How the audit repository is stands on the system page in words: none, well, away, lost.
func TestSystemPageSaysHowTheRepositoryIs(t *testing.T) {
	f, w := facts{Now: morning}, catalogues["en"]
	for _, c := range []struct {
		r    Repository
		want string
	}{
		{Repository{}, "[{Connection not configured: the audit trail is on this appliance only   }]"},
		{Repository{Server: "a:1"}, "[{Connection works a:1 ok good} {Messages waiting 0   } {Messages lost since the start none  ok good}]"},
		{Repository{Server: "a:1", Trouble: "x", Waiting: 5, Lost: 2}, "[{Connection does not answer: messages wait here a:1 look have a look} {Messages waiting 5   } {Messages lost since the start 2  look have a look}]"},
	} {
		if got := fmt.Sprint(repositoryOf(c.r, f, w)); got != c.want {
			t.Errorf("%s\nwant %s", got, c.want)
		}
	}
}

// A test study that has not reached the hub is not called well.
func TestATestStudyUnderWayIsNotCalledWell(t *testing.T) {
	var v testView
	received := TestStep{ID: "received", State: StepOK}
	v.result(TestResult{At: morning, Steps: []TestStep{received, {ID: "athub", State: StepNote}}}, facts{Now: morning}, catalogues["en"])
	if v.Worst != "note" || v.Says != "Well so far, but it has not reached the hub yet" {
		t.Errorf("%s: %s", v.Worst, v.Says)
	}
	v.result(TestResult{At: morning, Steps: []TestStep{received, {ID: "athub", State: StepOK}}}, facts{Now: morning}, catalogues["en"])
	if v.Worst != "ok" {
		t.Errorf("%s: %s", v.Worst, v.Says)
	}
}
