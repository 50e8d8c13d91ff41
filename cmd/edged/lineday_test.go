package main

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"edged/agent/account"
	"edged/agent/page"
)

var lineNoon = time.Date(2026, 11, 21, 12, 0, 30, 0, time.UTC)

func lookAt(l *lineDay, minute int, sent, received, waiting int64) {
	at := lineNoon.Add(time.Duration(minute) * time.Minute)
	l.look(at, lineFacts{lineCounts{at, sent, received}, waiting})
}

// The day of the line is what was sent between two looks; it ends after a day.
func TestTheDayOfTheLineIsADayLong(t *testing.T) {
	l := newLineDay(nil, nil)
	for minute := range 3 * lineDayMinutes {
		lookAt(l, minute, int64(minute)*60e6, 10*int64(minute), 7)
	}
	h := l.history(lineNoon, -1)
	last := h.Minutes[len(h.Minutes)-1]
	if len(h.Minutes) != lineDayMinutes || last.Bits != 8e6 || last.Waiting != 7 {
		t.Errorf("%d minutes, the last %+v", len(h.Minutes), last)
	}
	if n := len(h.Arrivals); n < lineDayHours || n > lineDayHours+1 {
		t.Errorf("%d hours", n)
	}
	for i, a := range h.Arrivals[1 : len(h.Arrivals)-1] {
		if a.Images != 600 || !a.Hour.After(h.Arrivals[i].Hour) {
			t.Errorf("hour %s has %d images", a.Hour, a.Images)
		}
	}
}

// What began anew, and what nobody counted, is not taken for a flood or for nothing.
func TestCountersThatBeginAnewMakeNoFlood(t *testing.T) {
	l := newLineDay(nil, nil)
	lookAt(l, 0, 900e9, 5000, 0) // the first look: nobody knows since when
	lookAt(l, 1, 6e6, -1, 0)     // another uplink; the spool is away
	lookAt(l, 2, 12e6, 5010, 0)
	lookAt(l, 3, 18e6, 5011, 0)
	h := l.history(lineNoon, -1)
	if len(h.Minutes) != 3 || h.Minutes[0].Bits != 0 || h.Minutes[1].Bits != 800e3 {
		t.Errorf("%+v", h.Minutes)
	}
	if len(h.Arrivals) != 1 || h.Arrivals[0].Images != 1 {
		t.Errorf("%+v", h.Arrivals)
	}
}

// What has just come is counted at once, and not once more at the next look.
func TestWhatHasJustComeIsOfTheDay(t *testing.T) {
	l := newLineDay(nil, nil)
	images := func(at time.Time, received int64) (n int64) {
		for _, a := range l.history(at, received).Arrivals {
			n += a.Images
		}
		return n
	}
	if n := images(lineNoon, 7); n != 0 {
		t.Errorf("%d before the first look: nobody knows since when", n)
	}
	lookAt(l, 0, 0, 100, 0)
	soon := lineNoon.Add(20 * time.Second)
	if n := images(soon, 103); n != 3 {
		t.Errorf("%d of 3 a moment after they came", n)
	}
	if n := images(soon, 2); n != 0 {
		t.Errorf("%d from a counter that began anew", n)
	}
	lookAt(l, 1, 0, 103, 0)
	if n := images(soon.Add(time.Minute), 104); n != 4 {
		t.Errorf("%d of 4 after a look", n)
	}
}

// A pause from the page is recorded before it is one, and what cannot be recorded is
// not done.
func TestAPauseOnThePageIsRecordedFirst(t *testing.T) {
	var did []string
	recorded := error(nil)
	d := &lineDesk{
		paused: func() time.Time { return time.Time{} },
		rest: func(who string, long time.Duration) (time.Time, error) {
			did = append(did, "rest "+who+" "+long.String())
			return time.Time{}, nil
		},
		audited: func(by account.Actor, action, object, reason string, act func() error) error {
			if recorded != nil {
				return recorded
			}
			did = append(did, action+" "+object+" "+reason)
			return act()
		},
	}
	who := account.Actor{Name: "m.rossi", Address: netip.MustParseAddr("192.0.2.7")}
	for _, long := range []time.Duration{30 * time.Minute, 0} {
		if err := d.Pause(t.Context(), who, long); err != nil {
			t.Fatal(err)
		}
	}
	recorded = errors.New("no key")
	if err := d.Pause(t.Context(), who, time.Hour); !errors.Is(err, recorded) {
		t.Errorf("a pause that is not recorded: %v", err)
	}
	want := []string{"pause uplink for 30m0s", "rest m.rossi from 192.0.2.7 (page) 30m0s", "resume uplink ", "rest m.rossi from 192.0.2.7 (page) 0s"}
	if len(did) != len(want) {
		t.Fatalf("%q", did)
	}
	for i := range want {
		if did[i] != want[i] {
			t.Errorf("%q, want %q", did[i], want[i])
		}
	}
}

// The page has words for what a technician meets.
func TestThePageHasWordsForALineThatCannotBeTested(t *testing.T) {
	audited := func(_ account.Actor, _, _, _ string, act func() error) error { return act() }
	d := &lineDesk{paused: func() time.Time { return time.Now().Add(time.Hour) }, audited: audited,
		rest:  func(string, time.Duration) (time.Time, error) { return time.Time{}, refusedError{errNothingSent} },
		tests: &lineTests{busy: true}}
	if err := d.Test(t.Context(), account.Actor{}); !errors.Is(err, page.ErrLinePaused) {
		t.Errorf("paused: %v", err)
	}
	d.paused = func() time.Time { return time.Time{} }
	if err := d.Test(t.Context(), account.Actor{}); !errors.Is(err, page.ErrLineBusy) {
		t.Errorf("busy: %v", err)
	}
	if err := d.Pause(t.Context(), account.Actor{}, time.Minute); !errors.Is(err, page.ErrNoLine) {
		t.Errorf("no line: %v", err)
	}
}
