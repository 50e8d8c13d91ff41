package main

import (
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"edged/agent/status"
)

// timeSync says whether the clock of this machine is synchronised: the kernel knows what
// chrony, ntpd or systemd-timesyncd tell it (adjtimex(2); nothing is set). Where the call
// is refused, as by a syscall filter, the mark of systemd-timesyncd is looked for; where
// there is none either, nobody knows, which is no alarm.
type timeSync struct {
	ask  func(*unix.Timex) (state int, err error)
	mark string // exists when systemd-timesyncd has synchronised
	now  func() time.Time

	mu   sync.Mutex // guards what follows
	last status.Clock
	at   time.Time
}

const (
	timesyncMark = "/run/systemd/timesync/synchronized"
	timeError    = 5               // TIME_ERROR
	clockEvery   = 5 * time.Second // the kernel is not asked more often
)

func newTimeSync() *timeSync {
	return &timeSync{ask: unix.Adjtimex, mark: timesyncMark, now: time.Now}
}

// status is cheap.
func (t *timeSync) status() status.Clock {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	if !t.at.IsZero() && now.Sub(t.at) >= 0 && now.Sub(t.at) < clockEvery {
		return t.last
	}
	c := t.look()
	if c.Since = t.last.Since; c.State != t.last.State || c.Since.IsZero() {
		c.Since = now
	}
	t.last, t.at = c, now
	return c
}

func (t *timeSync) look() status.Clock {
	var x unix.Timex // Modes zero: it is only read
	state, err := t.ask(&x)
	if err != nil {
		return t.lookAtMark()
	}
	if state == timeError || x.Status&unix.STA_UNSYNC != 0 {
		return status.Clock{State: status.ClockAlone}
	}
	unit := 1e6
	if x.Status&unix.STA_NANO != 0 {
		unit = 1e9
	}
	return status.Clock{State: status.ClockSynced, OffsetSeconds: float64(x.Offset) / unit, ErrorSeconds: float64(x.Maxerror) / 1e6}
}

func (t *timeSync) lookAtMark() status.Clock {
	if _, err := os.Stat(t.mark); err == nil {
		return status.Clock{State: status.ClockSynced}
	}
	return status.Clock{State: status.ClockUnknown}
}
