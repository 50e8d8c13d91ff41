package main

import (
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"edged/agent/page"
	"edged/agent/status"
)

var alarmNoon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

func days(n float64) *float64 { return &n }

// Each limit of the configuration is an alarm above it and none below, red where somebody
// must act.
func TestAlarmsBeginAtTheirLimits(t *testing.T) {
	why := func(code status.ReasonCode) func(*alarmFacts) {
		return func(f *alarmFacts) { f.status.Reasons = []status.Reason{{Code: code, Count: 2}} }
	}
	cert := func(in time.Duration) func(*alarmFacts) {
		return func(f *alarmFacts) { f.certificates = []page.Certificate{{ID: "page", Until: alarmNoon.Add(in)}} }
	}
	device := func(d alarmDevice) func(*alarmFacts) {
		return func(f *alarmFacts) { d.title = "CT1"; f.devices = []alarmDevice{d} }
	}
	fiscal := func(wrong, of uint32) func(*alarmFacts) {
		d := alarmDevice{known: true}
		d.custom.today.Hours[9], d.custom.today.Fiscal = of, wrong
		return device(d)
	}
	away := func(d time.Duration) func(*alarmFacts) {
		return func(f *alarmFacts) {
			f.audit = syslogStatus{On: true, Error: "refused", Since: alarmNoon.Add(-d), Waiting: 2}
		}
	}
	const day = 24 * time.Hour
	for _, c := range []struct {
		name string
		set  func(*alarmFacts)
		want status.AlarmCode
		red  bool
	}{
		{"nothing", func(*alarmFacts) {}, "", false},
		{"the disk fails", why(status.SpoolFailed), status.AlarmSpool, true},
		{"the disk is full", why(status.SpoolFull), status.AlarmSpool, true},
		{"no certificate", why(status.Unenrolled), status.AlarmEnrolment, true},
		{"held", why(status.HeldBack), status.AlarmHeld, false},
		{"little room", why(status.SpaceLow), status.AlarmSpaceLow, false},
		{"refused for room", why(status.NoRoom), status.AlarmSpaceLow, false},
		{"the line is away for a moment", why(status.LinkAway), "", false},
		{"3.1 days", func(f *alarmFacts) { f.status.Spool.DaysLeft = days(3.1) }, "", false},
		{"2.9 days", func(f *alarmFacts) { f.status.Spool.DaysLeft = days(2.9) }, status.AlarmSpace3, false},
		{"0.9 days", func(f *alarmFacts) { f.status.Spool.DaysLeft = days(.9) }, status.AlarmSpace1, true},
		{"lost images", func(f *alarmFacts) { f.status.Spool.Damage.NoOtherCopy = 1 }, status.AlarmDamage, true},
		{"quarantined", func(f *alarmFacts) { f.status.Spool.Quarantined = 1 }, status.AlarmQuarantine, true},
		{"59 minutes in the queue", func(f *alarmFacts) { f.oldest = alarmNoon.Add(-59 * time.Minute) }, "", false},
		{"61 minutes in the queue", func(f *alarmFacts) { f.oldest = alarmNoon.Add(-61 * time.Minute) }, status.AlarmQueue, true},
		{"61 minutes without a hub", func(f *alarmFacts) { f.shadow, f.oldest = true, alarmNoon.Add(-61*time.Minute) }, "", false},
		{"late", func(f *alarmFacts) { f.late = 1 }, status.AlarmLate, false},
		{"urgent", func(f *alarmFacts) { f.urgent = 1 }, status.AlarmUrgent, true},
		{"9 refused", device(alarmDevice{refused: 9}), "", false},
		{"10 refused", device(alarmDevice{refused: 10}), status.AlarmRefused, false},
		{"a device that is late", device(alarmDevice{known: true, custom: custom{late: true, byMinute: 600}}), status.AlarmSilent, false},
		{"a clock 60 s ahead", device(alarmDevice{known: true, custom: custom{clock: true, ahead: time.Minute}}), "", false},
		{"a clock 61 s ahead", device(alarmDevice{known: true, custom: custom{clock: true, ahead: 61 * time.Second}}), status.AlarmClock, false},
		{"a clock 3 h behind", device(alarmDevice{known: true, custom: custom{clock: true, ahead: -3 * time.Hour}}), "", false},
		{"1 of 20 without codice fiscale", fiscal(1, 20), "", false},
		{"2 of 20", fiscal(2, 20), status.AlarmFiscal, false},
		{"19 of 19", fiscal(19, 19), "", false},
		{"31 days", cert(31*day + time.Hour), "", false},
		{"29 days", cert(29*day + time.Hour), status.AlarmCertSoon, false},
		{"6 days", cert(6*day + time.Hour), status.AlarmCertNow, true},
		{"ended", cert(-day), status.AlarmCertNow, true},
		{"not synchronised", func(f *alarmFacts) { f.clock = page.Clock{Known: true} }, status.AlarmTime, false},
		{"nobody knows the time", func(f *alarmFacts) { f.clock = page.Clock{} }, "", false},
		{"84 degrees", func(f *alarmFacts) { f.heat = 84 }, "", false},
		{"85 degrees", func(f *alarmFacts) { f.heat = 85 }, status.AlarmHot, true},
		{"59 minutes without the repository", away(59 * time.Minute), "", false},
		{"60 minutes without the repository", away(time.Hour), status.AlarmAuditAway, false},
		{"a repository that is not configured", func(f *alarmFacts) { f.audit = syslogStatus{} }, "", false},
		{"lost audit messages", func(f *alarmFacts) { f.lost = 3 }, status.AlarmAuditLost, false},
	} {
		f := alarmFacts{now: alarmNoon}
		c.set(&f)
		got := defaultAlarms().judge(f)
		switch {
		case c.want == "" && len(got) == 0:
		case len(got) != 1 || got[0].Code != c.want || got[0].Red != c.red:
			t.Errorf("%s: %+v, want %q, red %v", c.name, got, c.want, c.red)
		case got[0].Safe != (c.want != status.AlarmDamage):
			t.Errorf("%s: safe is %v", c.name, got[0].Safe)
		}
	}
}

// An alarm opens when something has held for a minute, is over when it has not for two,
// and what comes and goes in between is one alarm; who took it in charge and what is over
// are there after a restart.
func TestAlarmsDoNotFlapAndClearThemselves(t *testing.T) {
	file := filepath.Join(t.TempDir(), alarmsFile)
	b, err := openAlarms(file)
	ok(t, err)
	hold := []status.Alarm{{Code: status.AlarmTime, Safe: true}}
	now := alarmNoon
	steps := func(n int, holds []status.Alarm) {
		for range n {
			b.step(now, holds, true)
			now = now.Add(20 * time.Second)
		}
	}
	counts := func(open, over int, when string) {
		t.Helper()
		o, v := b.alarms()
		if len(o) != open || len(v) != over {
			t.Fatalf("%s: %d open, %d over; want %d, %d", when, len(o), len(v), open, over)
		}
	}
	for range 10 {
		steps(2, hold)
		steps(1, nil)
	}
	counts(0, 0, "forty seconds at a time")
	began := now
	steps(3, hold)
	counts(0, 0, "not a minute yet")
	steps(1, hold)
	counts(1, 0, "a minute")
	open, _ := b.alarms()
	if !open[0].Since.Equal(began) {
		t.Errorf("since %s, want %s", open[0].Since, began)
	}
	for range 5 {
		steps(4, nil)
		steps(1, hold)
	}
	counts(1, 0, "it comes and goes")
	ok(t, b.acknowledge(open[0].ID, "anna", now))
	if b, err = openAlarms(file); err != nil {
		t.Fatal(err)
	}
	if open, _ = b.alarms(); len(open) != 1 || open[0].AckedBy != "anna" {
		t.Fatalf("after a restart: %+v", open)
	}
	ended := now
	steps(7, nil)
	counts(0, 1, "two minutes of calm")
	if _, over := b.alarms(); !over[0].Until.Equal(ended) {
		t.Errorf("until %s, want %s", over[0].Until, ended)
	}
	ok(t, b.save())
	if b, err = openAlarms(file); err != nil {
		t.Fatal(err)
	}
	counts(0, 1, "after another restart")
	for range maxOver + 20 {
		steps(4, hold)
		steps(7, nil)
	}
	counts(0, maxOver, "for ever")
	if err := b.acknowledge("none", "anna", now); err == nil {
		t.Error("what is over can be taken in charge")
	}
}

// Two certificates are two alarms, and one device's are not another's.
func TestAlarmsAreToldApart(t *testing.T) {
	b, err := openAlarms(filepath.Join(t.TempDir(), alarmsFile))
	ok(t, err)
	holds := []status.Alarm{{Code: status.AlarmCertSoon, Value: "cert:page"}, {Code: status.AlarmCertSoon, Value: "cert:uplink"},
		{Code: status.AlarmRefused, Device: "A"}, {Code: status.AlarmRefused, Device: "B"}}
	for i := range 4 {
		b.step(alarmNoon.Add(time.Duration(i)*20*time.Second), holds, true)
	}
	if open, _ := b.alarms(); len(open) != 4 {
		t.Errorf("%+v", open)
	}
}

// What was refused long ago is no alarm of now.
func TestRefusalsCountWithinTheHour(t *testing.T) {
	d := &alarmDesk{refused: make(map[seenKey][]refusedThen)}
	key, now, total, most := seenKey{title: "CT1"}, alarmNoon, int64(5000), int64(0)
	for range 24 * 12 { // a day, one refusal each five minutes
		most = max(most, d.refusedLately(key, total, now))
		total, now = total+1, now.Add(5*time.Minute)
	}
	if most < 11 || most > 13 || len(d.refused[key]) > 14 {
		t.Errorf("%d refusals an hour, %d samples", most, len(d.refused[key]))
	}
}

func TestAlarmsConfigurationIsChecked(t *testing.T) {
	a := defaultAlarms()
	a.Archive, a.Refused, a.Fiscal, a.Heat, a.SpaceNow = 0, 0, 101, 5, -1
	var said []string
	a.check(func(key, _ string, _ ...any) { said = append(said, key) })
	if all := strings.Join(said, " "); len(said) != 5 {
		t.Errorf("complaints: %s", all)
	}
}

// Lost audit messages are news for a day; more of them begin another.
func TestLostAuditMessagesAreNewsForADay(t *testing.T) {
	d := new(alarmDesk)
	for _, c := range []struct {
		after      time.Duration
		lost, want int64
	}{{0, 0, 0}, {time.Hour, 3, 3}, {24 * time.Hour, 3, 3}, {25 * time.Hour, 3, 0}, {48 * time.Hour, 4, 4}, {73 * time.Hour, 4, 0}} {
		if got := d.lostLately(c.lost, alarmNoon.Add(c.after)); got != c.want {
			t.Errorf("after %s with %d: %d, want %d", c.after, c.lost, got, c.want)
		}
	}
}

// The terminal says of the audit repository what the page says.
func TestTheTerminalSaysHowTheRepositoryIs(t *testing.T) {
	for _, c := range []struct {
		st   syslogStatus
		want string
	}{
		{syslogStatus{}, "not configured: the audit trail is on this appliance only"},
		{syslogStatus{On: true, Server: "a:1"}, "works · a:1 · Messages waiting: 0 · Messages lost since the start: none"},
		{syslogStatus{On: true, Server: "a:1", Waiting: 4, Lost: 1, Error: "no\x1b route", Since: alarmNoon.Add(-90 * time.Second)}, "does not answer (since: 11:58); messages wait here · a:1 · no\ufffd route · Messages waiting: 4 · Messages lost since the start: 1"},
	} {
		if got := c.st.said().Said(alarmNoon, "en").Says; got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

// While the spool cannot be asked no alarm is over, however long that takes: it would open
// anew, and nobody would have taken it in charge. New ones open all the same.
func TestNoAlarmIsOverWhileNobodyCanLook(t *testing.T) {
	b, err := openAlarms(filepath.Join(t.TempDir(), alarmsFile))
	ok(t, err)
	now := alarmNoon
	steps := func(known bool, holds ...status.Alarm) (open, over []status.Alarm) {
		for range 30 {
			b.step(now, holds, known)
			now = now.Add(20 * time.Second)
		}
		return b.alarms()
	}
	open, _ := steps(true, status.Alarm{Code: status.AlarmQuarantine})
	ok(t, b.acknowledge(open[0].ID, "maria", now))
	if open, over := steps(false, status.Alarm{Code: status.AlarmSpool}); len(open) != 2 || len(over) != 0 || open[0].AckedBy != "maria" {
		t.Errorf("%+v, over %+v", open, over)
	}
	if open, over := steps(true, status.Alarm{Code: status.AlarmQuarantine}); len(open) != 1 || len(over) != 1 || open[0].AckedBy != "maria" {
		t.Errorf("%+v, over %+v", open, over)
	}
}

// An appliance whose spool is still being opened keeps the alarms of before.
func TestAStartKeepsTheAlarms(t *testing.T) {
	cfg := defaultConfig()
	cfg.DataDir = t.TempDir()
	a, err := newAppliance(cfg, slog.New(slog.DiscardHandler))
	ok(t, err)
	a.alarms.book.open = []status.Alarm{{Code: status.AlarmQuarantine, ID: "1"}}
	now := alarmNoon
	a.alarms.now = func() time.Time { return now }
	for range 30 {
		a.alarms.look()
		now = now.Add(alarmEvery)
	}
	if open, _ := a.alarms.Alarms(); len(open) == 0 || open[0].ID != "1" {
		t.Errorf("%+v", open)
	}
}
