package page

import (
	"cmp"
	"slices"
	"time"

	"edged/agent/status"
)

// movingView is a study of which something is still to be sent.
type movingView struct {
	key          string
	Time         string // when it began to arrive
	What, Device string
	Sent, Total  int64 // for the bar
	Bytes        string
	Rate         string // "" when there is none
	Left         string // how long, or why nobody knows
}

// How many studies are looked through for those on their way, and how many of these
// are shown.
const (
	lookedAt    = 100
	shownMoving = 4
)

// movingOf lists what is on its way, what arrives first first, then what waits; more
// says how much is to be sent besides. Without a line nothing is on its way.
func movingOf(f facts, w *words) (out []movingView, more string) {
	if !f.Status.Uplink.Connected {
		return nil, ""
	}
	on := f.unsent()
	slices.SortStableFunc(on, func(a, b status.Study) int {
		return cmp.Or(soonest(a).Compare(soonest(b)), a.FirstReceived.Compare(b.FirstReceived))
	})
	all := max(f.Status.Uplink.BacklogStudies, int64(len(on))) // on is what was looked at
	on = on[:min(shownMoving, len(on))]
	if n := all - int64(len(on)); n > 0 && len(on) > 0 {
		more = w.Count("moving.more", n)
	}
	names := deviceNames(f.Devices)
	for _, s := range on {
		out = append(out, f.moving(s, names, w))
	}
	return out, more
}

// unsent are the studies of which something is still to be sent, each once: those
// that move, wherever they are among all that wait, and those that wait. When more wait
// than were looked through, the latest are the last to leave and not the next: then
// they are only counted.
func (f facts) unsent() (on []status.Study) {
	list := f.Moving
	if len(f.Studies) < lookedAt || f.Status.Uplink.BacklogStudies <= lookedAt {
		list = slices.Concat(f.Moving, f.Studies)
	}
	met := map[string]bool{}
	for _, s := range list {
		if s.Progress != nil && !s.Test && !met[s.Key] {
			met[s.Key] = true
			on = append(on, s)
		}
	}
	return on
}

// soonest puts what has no end behind what has one, and what moves before what waits.
func soonest(s status.Study) time.Time {
	switch {
	case !s.Progress.EndsAt.IsZero():
		return s.Progress.EndsAt
	case s.Progress.RateBitsPerSecond > 0:
		return time.Unix(1<<40, 0)
	case s.Hops.Sending > 0: // it is about to leave
		return time.Unix(1<<41, 0)
	}
	return time.Unix(1<<42, 0)
}

func (f facts) moving(s status.Study, names map[string]string, w *words) movingView {
	p := s.Progress
	v := movingView{key: s.Key, Time: f.moment(w, s.FirstReceived), What: modalityOf(s.Modality, w), Device: status.Shown(cmp.Or(names[s.Device], s.Device)),
		Sent: p.SentBytes, Total: max(p.TotalBytes, p.SentBytes, 1), Bytes: w.Say("moving.bytes", "n", w.bytes(p.SentBytes), "total", w.bytes(p.TotalBytes)), Left: f.leftOf(s, w)}
	if p.RateBitsPerSecond > 0 {
		v.Rate = w.rate(p.RateBitsPerSecond)
	}
	return v
}

// goingOf says of a study that is not shown among those on their way, as there is no
// room or no line, how much of it has left and how fast, and how long it will take; ""
// when nothing has left.
func (f facts) goingOf(s status.Study, w *words) (going, left string) {
	p := s.Progress
	if p == nil || p.SentBytes == 0 && p.RateBitsPerSecond == 0 {
		return "", ""
	}
	v := f.moving(s, nil, w)
	switch {
	case !f.Status.Uplink.Connected:
		return v.Bytes, ""
	case v.Rate == "":
		return v.Bytes, v.Left
	}
	return v.Bytes + " · " + v.Rate, v.Left
}

// leftOf promises a time only where somebody can know one.
func (f facts) leftOf(s status.Study, w *words) string {
	p := s.Progress
	left := p.EndsAt.Sub(f.Now)
	switch {
	case f.Status.Uplink.PausedUntil.After(f.Now):
		return w.Say("moving.paused")
	case !p.EndsAt.IsZero() && left < 5*time.Second:
		return w.Say("moving.soon")
	case !p.EndsAt.IsZero() && s.Complete:
		return w.Say("moving.left", "duration", w.duration(left))
	case !p.EndsAt.IsZero():
		return w.Say("moving.lefthere", "duration", w.duration(left))
	case p.RateBitsPerSecond > 0 || s.Hops.Sending > 0:
		return w.Say("moving.leaving")
	}
	return w.Say("moving.turn")
}
