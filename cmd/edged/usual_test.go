package main

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A device is late when it had always sent something by now on this day of the week, in
// three weeks at least, and today nothing came, half an hour later.
func TestADeviceIsLateWhenItAlwaysHadSentByNow(t *testing.T) {
	zone, err := time.LoadLocation("Europe/Rome")
	ok(t, err)
	now := time.Date(2026, 11, 2, 8, 5, 0, 0, zone) // a Monday
	file := filepath.Join(t.TempDir(), usualFile)
	clock := func() time.Time { return now }
	u := newUsual(file, zone, clock, slog.New(slog.DiscardHandler))
	nothing := func(time.Time) firstLook { return firstLook{} }
	for week := range 4 {
		if c := u.of("CT1"); c.late || c.known != (week >= leastWeeks) {
			t.Errorf("week %d: %+v", week, c)
		}
		for study := range 3 {
			u.arrived("CT1", string(rune('a'+study)), nothing)
			u.arrived("CT1", string(rune('a'+study)), nothing) // the same study
			now = now.Add(30 * time.Minute)
		}
		u.save()
		now = now.AddDate(0, 0, 7).Add(-90 * time.Minute)
		u = newUsual(file, zone, clock, slog.New(slog.DiscardHandler)) // a restart, and days without the appliance
	}
	for _, c := range []struct {
		at   string
		late bool
	}{{"08:00", false}, {"08:34", false}, {"08:35", true}, {"23:59", true}} {
		at, _ := time.Parse("15:04", c.at)
		now = time.Date(2026, 11, 30, at.Hour(), at.Minute(), 0, 0, zone)
		if got := u.of("CT1"); got.late != c.late || minuteOf(got.byMinute) != "08:05" {
			t.Errorf("at %s: late is %v, by %s", c.at, got.late, minuteOf(got.byMinute))
		}
	}
	if got := u.of("CT1"); got.byNow < 2.9 || got.byNow > 3.1 || got.today.total() != 0 {
		t.Errorf("usually %.2f studies, today %d", got.byNow, got.today.total())
	}
	u.arrived("CT1", "z", nothing)
	if u.of("CT1").late {
		t.Error("it has sent, and is late")
	}
	if now = now.AddDate(0, 0, 1); u.of("CT1").late {
		t.Error("late on a day of which nothing is known")
	}
}

// A clock is ahead by the median of the last studies: one study that is wrong is no
// clock, and a clock that was put right is soon believed.
func TestAClockIsJudgedByTheMedian(t *testing.T) {
	now := time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC)
	u := newUsual(filepath.Join(t.TempDir(), usualFile), time.UTC, func() time.Time { return now }, slog.New(slog.DiscardHandler))
	study := 0
	send := func(lead time.Duration) {
		study++
		u.arrived("CT1", strings.Repeat("x", study), func(at time.Time) firstLook {
			d, known := leadOf(at.Add(lead).Format("20060102"), at.Add(lead).Format("150405.000"), at)
			return firstLook{lead: d, clock: known}
		})
	}
	for range 4 {
		send(5 * time.Minute)
	}
	if u.of("CT1").clock {
		t.Error("four studies are enough")
	}
	send(-3 * time.Hour)
	if c := u.of("CT1"); !c.clock || c.ahead != 5*time.Minute {
		t.Errorf("%v %v, want five minutes ahead", c.ahead, c.clock)
	}
	for range 5 {
		send(-4 * time.Minute)
	}
	if c := u.of("CT1"); c.ahead != -4*time.Minute {
		t.Errorf("put right: %v", c.ahead)
	}
	for _, wrong := range [][2]string{{"", ""}, {"20261120", ""}, {"20261120", "9:00"}, {"2026", "090000"}, {"20100101", "090000"}, {"20261120", "996161"}} {
		if d, known := leadOf(wrong[0], wrong[1], now); known {
			t.Errorf("%q gives %v", wrong, d)
		}
	}
}

// Strangers cannot make the memory of what is usual grow without end.
func TestWhatIsUsualIsBounded(t *testing.T) {
	now := time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC)
	u := newUsual(filepath.Join(t.TempDir(), usualFile), time.UTC, func() time.Time { return now }, slog.New(slog.DiscardHandler))
	for i := range 3 * maxUsual {
		u.arrived(strings.Repeat("A", 1+i%16)+time.Duration(i).String(), "s", func(time.Time) firstLook { return firstLook{} })
	}
	if len(u.devices) != maxUsual {
		t.Errorf("%d devices", len(u.devices))
	}
}

func FuzzUsual(f *testing.F) {
	f.Add([]byte(`{"version":1,"devices":{"CT1":{"weeks":[[],[],[],[],[],[],[]],"today":{"date":"2026-11-20","first":-1,"hours":[]}}}}`))
	f.Add([]byte(`{"version":1,"devices":{"CT1":null}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		devices, err := parseUsual(text)
		if err != nil {
			return
		}
		now := time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC)
		u := &usual{zone: time.UTC, now: func() time.Time { return now }, devices: devices, met: make(map[uint64]struct{})}
		for title := range devices {
			u.of(title)
		}
	})
}

// Images need the lock: it is not held while what was learned is put into text, and where
// nothing was learned there is no text.
func TestNoImageWaitsForWhatIsUsualToBeWritten(t *testing.T) {
	u := newUsual(filepath.Join(t.TempDir(), usualFile), time.UTC, time.Now, slog.New(slog.DiscardHandler))
	encoded, plain := 0, encodeUsual
	defer func() { encodeUsual = plain }()
	encodeUsual = func(c usualContent) ([]byte, error) {
		if encoded++; !u.mu.TryLock() {
			t.Error("the lock is held")
		} else {
			u.devices["CT1"].Leads = append(u.devices["CT1"].Leads, 7)
			u.mu.Unlock()
		}
		if len(c.Devices["CT1"].Leads) != 0 {
			t.Error("what is written changes meanwhile")
		}
		return plain(c)
	}
	u.arrived("CT1", "1.2", func(time.Time) (f firstLook) { return f })
	u.save()
	u.save()
	if encoded != 1 {
		t.Errorf("encoded %d times", encoded)
	}
}

// Images come some time after their study began: that is no wrong clock. One that is ahead
// of ours is.
func TestADeviceThatSendsLateHasNoWrongClock(t *testing.T) {
	for lead, want := range map[time.Duration]time.Duration{-25 * time.Minute: 0, -61 * time.Second: 0, 5 * time.Minute: 5 * time.Minute} {
		now := time.Date(2026, 11, 20, 9, 0, 0, 0, time.UTC)
		a := &appliance{}
		a.usual = newUsual(filepath.Join(t.TempDir(), usualFile), time.UTC, func() time.Time { return now }, slog.New(slog.DiscardHandler))
		for n := range leastLeads {
			a.usual.arrived("MR1", fmt.Sprint(n), func(time.Time) firstLook { return firstLook{lead: lead, clock: true} })
		}
		if got, known := a.clockOf("MR1"); !known || got != want {
			t.Errorf("%v: %v %t, want %v", lead, got, known, want)
		}
	}
}

// A number that is wrong makes the alarm; that there is none, or a provisional one, is a note,
// unless the configuration says otherwise.
func TestNotesAboutTheCodiceFiscaleMakeNoAlarm(t *testing.T) {
	a := &appliance{judge: newClinic(t, nil).door.judge}
	for code, want := range map[string]bool{"fiscal.check": true, "fiscal.length": true, "fiscal.missing": false, "fiscal.special": false, "accession.missing": false} {
		if got := a.wrongFiscal(metaFinding{Code: code}); got != want {
			t.Errorf("%s: %t", code, got)
		}
	}
	a.judge = newClinic(t, func(q *Quality) { q.Actions = []QualityAction{{Finding: "fiscal.missing", Level: "warn"}} }).door.judge
	if !a.wrongFiscal(metaFinding{Code: "fiscal.missing"}) {
		t.Error("what the configuration warns of makes none")
	}
}
