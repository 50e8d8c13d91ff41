package status

import (
	"slices"
	"testing"
	"time"
)

// An open alarm stands in the state, however well the rest is; what somebody has seen, what
// is over and what another reason tells does not stand there again. It never stops anything.
func TestOpenAlarmsStandInTheState(t *testing.T) {
	clock := Alarm{ID: "1", Code: AlarmTime, Since: noon}
	for _, c := range []struct {
		name  string
		spoil func(*Facts)
		state State
		count int64 // of the reason; 0: there is none
	}{
		{"none", func(*Facts) {}, OK, 0},
		{"one", func(f *Facts) { f.Alarms = []Alarm{clock} }, Attention, 1},
		{"a red one", func(f *Facts) { f.Alarms = []Alarm{{Code: AlarmHot, Red: true}, clock} }, Attention, 2},
		{"one that somebody has seen", func(f *Facts) { f.Alarms = []Alarm{{Code: AlarmTime, AckedAt: noon}} }, OK, 0},
		{"one that is over", func(f *Facts) { f.Alarms = []Alarm{{Code: AlarmTime, Until: noon}} }, OK, 0},
		{"without a hub", func(f *Facts) { f.Shadow, f.Connected, f.Alarms = true, false, []Alarm{clock} }, Attention, 1},
		{"told already", func(f *Facts) { f.Held, f.Alarms = 2, []Alarm{{Code: AlarmHeld}, clock} }, Attention, 1},
		{"a queue that moves", func(f *Facts) {
			f.BacklogObjects, f.OldestBacklog, f.LinkSince, f.LastProgress = 3, ago(2*time.Hour), ago(time.Minute), ago(time.Second)
			f.Alarms = []Alarm{{Code: AlarmQueue, Red: true}}
		}, Attention, 1},
		{"strangers", func(f *Facts) { f.UnknownCallers, f.Alarms = 1, []Alarm{{Code: AlarmRefused}} }, Attention, 0},
		{"space", func(f *Facts) { f.FreeBytes, f.Alarms = 1<<30, []Alarm{{Code: AlarmSpaceLow}, {Code: AlarmSpace3}} }, Attention, 0},
		{"the certificate of the page", func(f *Facts) { f.Alarms = []Alarm{{Code: AlarmCertSoon, Value: "cert:page"}} }, Attention, 1},
		{"that of the uplink", func(f *Facts) {
			f.CertificateUntil, f.Alarms = ago(-24*time.Hour), []Alarm{{Code: AlarmCertNow, Value: "cert:uplink"}}
		}, Attention, 0},
	} {
		f := healthy()
		c.spoil(&f)
		state, reasons := Derive(f, Limits{})
		got := int64(0)
		for _, r := range reasons {
			if r.Code == Alarms {
				got = r.Count
			}
		}
		if state != c.state || got != c.count {
			t.Errorf("%s: %s with %d alarms, want %s with %d (%v)", c.name, state, got, c.state, c.count, reasons)
		}
	}
}

// What keeps images from leaving is told before what is to be corrected some time.
func TestWhatKeepsImagesIsToldFirst(t *testing.T) {
	f := healthy()
	f.Held, f.ToFix, f.UnknownCallers, f.Alarms = 1, 3, 2, []Alarm{{Code: AlarmTime}}
	f.Connected, f.LinkSince, f.BacklogObjects, f.OldestBacklog = false, ago(time.Minute), 4, ago(time.Minute)
	want := []Reason{{HeldBack, 1}, {LinkAway, 4}, {UnknownCallers, 2}, {ToFix, 3}, {Alarms, 1}}
	if state, got := Derive(f, Limits{}); state != Attention || !slices.Equal(got, want) {
		t.Errorf("%s %v, want %v", state, got, want)
	}
	f.LinkSince, f.Held = ago(time.Hour), 0
	want = []Reason{{LinkDown, 4}, {UnknownCallers, 2}, {ToFix, 3}, {Alarms, 1}}
	if state, got := Derive(f, Limits{}); state != Stopped || !slices.Equal(got, want) {
		t.Errorf("%s %v, want %v", state, got, want)
	}
	f = healthy()
	f.DevicesUnread = true
	if state, got := Derive(f, Limits{}); state != Attention || !slices.Equal(got, []Reason{{DevicesUnread, 0}}) {
		t.Errorf("not all admitted devices are known: %s %v", state, got)
	}
	f = healthy()
	f.NoRoom = true
	if state, got := Derive(f, Limits{}); state != Attention || !slices.Equal(got, []Reason{{NoRoom, 0}}) {
		t.Errorf("refused for room: %s %v", state, got)
	}
	f.SpoolFull = true
	if state, got := Derive(f, Limits{}); state != Stopped || !slices.Equal(got, []Reason{{SpoolFull, 0}}) {
		t.Errorf("full: %s %v", state, got)
	}
}
