package status

import (
	"slices"
	"time"
)

// Facts is what Derive decides on.
type Facts struct {
	Now time.Time

	Starting    bool  // the spool is being read after a start, and nothing can be received yet
	SpoolFailed bool  // a write or flush failed; nothing can be received (P8)
	KeyMissing  bool  // nothing here opens what is on the disk; nothing can be received
	SpoolFull   bool  // new images are refused (P7)
	FreeBytes   int64 // what the spool may still take

	Shadow           bool      // no hub configured
	Enrolled         bool      // there is a certificate to call the hub with
	Connected        bool      // the uplink has a working connection
	CertificateUntil time.Time // when it ends; zero: not known

	PausedUntil time.Time // somebody paused sending; it goes on then, or was going on since; zero: never paused
	LinkSince   time.Time // of that connection, or of its loss; start of the process when there never was one

	BacklogObjects   int64     // received, not yet at the hub, not in quarantine
	OldestBacklog    time.Time // when the oldest of them was received
	LastProgress     time.Time // when bytes last went to the hub; zero: never
	OldestUnarchived time.Time // when the oldest instance arrived at the hub that is neither archived nor held; zero: none

	Held           int64 // instances refused for good or kept back before the archive, now
	Damaged        int64 // instances damaged or gone here of which the hub has a good copy
	Lost           int64 // instances damaged or gone here of which no other copy is known
	Quarantined    int64 // instances in quarantine now for another reason than these two
	UnknownCallers int64 // devices refused as unknown within the last hour

	ToFix int64 // studies of the last days whose data is to be corrected, and nobody has seen to them

	Alarms []Alarm // those that are open
	NoRoom bool    // an image was refused within the last hour because it did not fit

	DevicesUnread bool // not all devices are known that were admitted on the page

	Refused    int64 // instances that the hub refuses as they are, and that rest
	Mismatched int64 // instances that arrived damaged at the hub again and again, though they are good here
	Unread     int64 // instances that the disk here did not give again and again, which is no damage

	HubsAside  int64     // nodes of the hub that are left alone now
	HubDoubted time.Time // when one last gave reason to be left or left alone; zero: never
}

// Limits are the thresholds. A zero field takes the default that it names.
type Limits struct {
	LinkDown     time.Duration // If zero, 5 minutes without the hub, with images waiting, is stopped.
	Backlog      time.Duration // If zero, an image that waits for 1 minute means catching up.
	Stuck        time.Duration // If zero, 5 minutes without progress while images wait need a look.
	Overdue      time.Duration // If zero, an image that waits for 30 minutes on a working line needs a look, whatever else moves.
	CatchUp      time.Duration // If zero, what waits since an outage is given as long again as that lasted, at most 4 hours.
	ArchiveLate  time.Duration // If zero, 30 minutes at the hub without confirmation need a look.
	CertEnds     time.Duration // If zero, 30 days before its end a certificate needs a look: it should have been renewed long ago.
	Doubt        time.Duration // If zero, a hub that said what cannot be true, or takes no images, needs a look for 1 hour after that.
	LowFreeBytes int64         // If zero, less than 2 GiB needs a look.
}

func (l Limits) withDefaults() Limits {
	return Limits{
		LinkDown:     or(l.LinkDown, 5*time.Minute),
		Backlog:      or(l.Backlog, time.Minute),
		Stuck:        or(l.Stuck, 5*time.Minute),
		Overdue:      or(l.Overdue, 30*time.Minute),
		CatchUp:      or(l.CatchUp, 4*time.Hour),
		ArchiveLate:  or(l.ArchiveLate, 30*time.Minute),
		CertEnds:     or(l.CertEnds, 30*24*time.Hour),
		Doubt:        or(l.Doubt, time.Hour),
		LowFreeBytes: or(l.LowFreeBytes, 2<<30),
	}
}

func or[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}

// Derive turns facts into the state and the reasons for it, the worst first.
// It is pure. When in doubt it prefers the worse state: a red page that turns
// green costs a walk to the box, a green one that lies costs an examination.
func Derive(f Facts, limits Limits) (State, []Reason) {
	l := limits.withDefaults()
	stopped := stoppedReasons(f, l)
	attention := attentionReasons(f, l)
	busy := busyReasons(f, l)
	away := f.away(l)
	minor := minorReasons(f, slices.Concat(stopped, attention, away, busy))
	attention = append(attention, minor...)
	all := slices.Concat(stopped, attention[:len(attention)-len(minor)], away, minor, busy)
	busy = append(busy, away...)
	if f.Shadow {
		all = append(all, Reason{Code: Shadow})
	}
	switch {
	case len(stopped) > 0:
		return Stopped, all
	case len(attention) > 0:
		return Attention, all
	case len(busy) > 0:
		return CatchingUp, all
	}
	return OK, all
}

func stoppedReasons(f Facts, l Limits) (out []Reason) {
	if f.SpoolFailed {
		out = append(out, Reason{Code: SpoolFailed})
	}
	if f.KeyMissing {
		out = append(out, Reason{Code: KeyMissing})
	}
	if f.SpoolFull {
		out = append(out, Reason{Code: SpoolFull})
	}
	if f.gone(l.LinkDown) && f.BacklogObjects > 0 {
		out = append(out, Reason{Code: f.whyGone(), Count: f.BacklogObjects})
	}
	return out
}

func attentionReasons(f Facts, l Limits) (out []Reason) {
	count := func(code ReasonCode, n int64) {
		if n > 0 {
			out = append(out, Reason{Code: code, Count: n})
		}
	}
	count(Lost, f.Lost)
	count(Damaged, f.Damaged)
	count(HeldBack, f.Held)
	count(Quarantined, f.Quarantined)
	count(Mismatched, f.Mismatched)
	count(Unread, f.Unread)
	count(RefusedByHub, f.Refused)
	if f.HubsAside > 0 || !f.HubDoubted.IsZero() && f.Now.Sub(f.HubDoubted) < l.Doubt {
		out = append(out, Reason{Code: HubDoubted})
	}
	gone := f.gone(l.LinkDown)
	if f.barred() && !(gone && f.BacklogObjects > 0) || gone && f.BacklogObjects == 0 {
		out = append(out, Reason{Code: f.whyGone(), Count: f.BacklogObjects})
	}
	if left, known := f.certificateLeft(); known && left < l.CertEnds && (left > 0 || f.Connected) {
		out = append(out, certificateReason(left))
	}
	if f.paused() {
		out = append(out, Reason{Code: Paused})
	}
	if f.stuck(l) {
		out = append(out, Reason{Code: BacklogStuck, Count: f.BacklogObjects})
	}
	if f.older(f.OldestUnarchived, l.ArchiveLate) {
		out = append(out, Reason{Code: ArchiveLate})
	}
	if f.NoRoom && !f.SpoolFull {
		out = append(out, Reason{Code: NoRoom})
	}
	if f.DevicesUnread {
		out = append(out, Reason{Code: DevicesUnread})
	}
	if !f.SpoolFull && f.FreeBytes < l.LowFreeBytes {
		out = append(out, Reason{Code: SpaceLow})
	}
	return out
}

// minorReasons need a look too, and keep no image from leaving: what does is told before
// them. told are the other reasons.
func minorReasons(f Facts, told []Reason) (out []Reason) {
	count := func(code ReasonCode, n int64) {
		if n > 0 {
			out = append(out, Reason{Code: code, Count: n})
		}
	}
	count(UnknownCallers, f.UnknownCallers)
	count(ToFix, f.ToFix)
	count(Alarms, untold(f.Alarms, append(told, out...)))
	return out
}

// away is that images wait for a line which just went: told apart from those that move.
func (f Facts) away(l Limits) []Reason {
	if f.Starting || f.Connected || f.idle(l) {
		return nil
	}
	return []Reason{{Code: LinkAway, Count: f.BacklogObjects}}
}

// busyReasons are those that go away alone, but for away.
func busyReasons(f Facts, l Limits) []Reason {
	switch {
	case f.Starting:
		return []Reason{{Code: Starting}}
	case f.Connected && !f.idle(l) && f.older(f.OldestBacklog, l.Backlog):
		return []Reason{{Code: Backlog, Count: f.BacklogObjects}}
	}
	return nil
}

// idle says that nothing is to leave, or that it is told elsewhere why nothing does.
func (f Facts) idle(l Limits) bool {
	return f.Shadow || f.BacklogObjects == 0 || f.paused() || f.barred() || f.gone(l.LinkDown) || f.stuck(l)
}

// gone says that the hub has been out of reach for d. A zero LinkSince while
// not connected means for ever.
func (f Facts) gone(d time.Duration) bool {
	return !f.Shadow && !f.Connected && f.Now.Sub(f.LinkSince) >= d
}

// barred says that the appliance cannot call its hub whatever the line does:
// nothing leaves before somebody does something, so there is nothing to wait for.
func (f Facts) barred() bool {
	return !f.Shadow && !f.Connected && (!f.Enrolled || f.certificateEnded())
}

// certificateLeft is how long the certificate is still valid; not known where
// there is none or nobody to show it to.
func (f Facts) certificateLeft() (left time.Duration, known bool) {
	return f.CertificateUntil.Sub(f.Now), f.Enrolled && !f.Shadow && !f.CertificateUntil.IsZero()
}

func (f Facts) certificateEnded() bool {
	left, known := f.certificateLeft()
	return known && left <= 0
}

// certificateReason counts whole days: 0 is today.
func certificateReason(left time.Duration) Reason {
	if left <= 0 {
		return Reason{Code: CertEnded}
	}
	return Reason{Code: CertEnds, Count: int64(left / (24 * time.Hour))}
}

// whyGone names the cause that is nearest: of a hub that was never called
// nobody knows whether it would answer.
func (f Facts) whyGone() ReasonCode {
	switch {
	case f.barred() && !f.Enrolled:
		return Unenrolled
	case f.barred():
		return CertEnded
	}
	return LinkDown
}

// paused says that somebody wants nothing to leave now. It ends by itself, but who
// comes by is to see it: perhaps it was forgotten. Where nothing could leave anyway
// that is what is told.
func (f Facts) paused() bool { return f.Connected && f.Now.Before(f.PausedUntil) }

// flowing is since when objects may leave: since there is a line, or since a pause ended.
func (f Facts) flowing() time.Time {
	if f.PausedUntil.After(f.LinkSince) {
		return f.PausedUntil
	}
	return f.LinkSince
}

// stuck says that there is a line and something to send, both for long enough,
// and nothing has moved, or one image has not while others did. A line that has
// just come back gets its chance.
func (f Facts) stuck(l Limits) bool {
	if !f.Connected || f.Shadow || f.BacklogObjects == 0 || f.paused() {
		return false
	}
	still := f.older(f.OldestBacklog, l.Stuck) && f.Now.Sub(f.flowing()) >= l.Stuck && f.Now.Sub(f.LastProgress) >= l.Stuck
	return still || f.overdue(l)
}

// overdue looks at the oldest image alone: it has waited for too long since there
// is a line. How long it had waited before says how much there is to catch up with.
func (f Facts) overdue(l Limits) bool {
	if f.OldestBacklog.IsZero() {
		return false
	}
	outage := min(max(f.flowing().Sub(f.OldestBacklog), 0), l.CatchUp)
	return f.older(f.OldestBacklog, l.Overdue) && f.Now.Sub(f.flowing()) >= l.Overdue+outage
}

// older is false for the zero time: nothing is waiting.
func (f Facts) older(t time.Time, d time.Duration) bool {
	return !t.IsZero() && f.Now.Sub(t) >= d
}
