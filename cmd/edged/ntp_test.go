package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"edged/agent/status"
)

// The kernel's word counts; where it is refused (EPERM of a syscall filter) the mark of
// systemd-timesyncd does, and without both it is not known, never an error.
func TestWhetherTheClockIsSynchronisedIsToldOrNotKnown(t *testing.T) {
	mark := filepath.Join(t.TempDir(), "synchronized")
	kernel := func(state int, x unix.Timex, err error) func(*unix.Timex) (int, error) {
		return func(into *unix.Timex) (int, error) {
			if into.Modes != 0 {
				t.Error("the clock would be set")
			}
			*into = x
			return state, err
		}
	}
	for name, c := range map[string]struct {
		ask  func(*unix.Timex) (int, error)
		mark bool
		want status.Clock
	}{
		"synchronised, nanoseconds":  {kernel(0, unix.Timex{Status: unix.STA_NANO | unix.STA_PLL, Offset: -1_500_000, Maxerror: 20_000}, nil), false, status.Clock{State: status.ClockSynced, OffsetSeconds: -0.0015, ErrorSeconds: 0.02}},
		"synchronised, microseconds": {kernel(0, unix.Timex{Offset: 250}, nil), false, status.Clock{State: status.ClockSynced, OffsetSeconds: 0.00025}},
		"flag":                       {kernel(0, unix.Timex{Status: unix.STA_UNSYNC}, nil), true, status.Clock{State: status.ClockAlone}},
		"state":                      {kernel(timeError, unix.Timex{}, nil), false, status.Clock{State: status.ClockAlone}},
		"refused, with a mark":       {kernel(-1, unix.Timex{}, unix.EPERM), true, status.Clock{State: status.ClockSynced}},
		"refused":                    {kernel(-1, unix.Timex{}, unix.EPERM), false, status.Clock{State: status.ClockUnknown}},
	} {
		os.Remove(mark)
		if c.mark {
			ok(t, os.WriteFile(mark, nil, 0o600))
		}
		now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
		s := &timeSync{ask: c.ask, mark: mark, now: func() time.Time { return now }}
		first := s.status()
		now = now.Add(time.Hour)
		c.want.Since = now.Add(-time.Hour)
		if got := s.status(); got != c.want || first != c.want {
			t.Errorf("%s: %+v, then %+v, want %+v", name, first, got, c.want)
		}
	}
}

// The real call, with no rights: whatever this machine says, it is said.
func TestTheRealClockIsAsked(t *testing.T) {
	s := newTimeSync()
	if c := s.status(); c.State == "" || c.Since.IsZero() {
		t.Errorf("%+v", c)
	}
	var x unix.Timex
	if _, err := unix.Adjtimex(&x); err == nil && s.status().State == status.ClockUnknown {
		t.Error("the kernel answers and nothing is known")
	}
}
