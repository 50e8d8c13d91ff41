package page

import (
	"time"

	"edged/agent/status"
)

type lineView struct {
	Kind    string // up, down or unset
	Link    string // in words
	Since   string
	Rate    string    // "" while there is no line
	Cap     string    // and until when; "" when nothing limits the line
	CapFill string    // for back-filling; "" when it has none of its own
	Carrier rowView   // what carries the images, and why; Says "" while nothing does
	Pause   string    // until when; "" while objects are sent
	Tests   []rowView // the last line test, if there was one
	Rows    []rowView // for who asks for more
	MayTest bool      // there is a line to be tested
	Backlog string
	Size    string // of the backlog
	Left    string // how long it will take
	Free    string
	Kept    string
	KeptIn  string // how many images that is
	Twice   string // how many images share their UID with another one of other contents, "" if none
	Odd     string // how many images have a header that cannot be read, "" if none
	Full    string // when the space will be used up, "" if nobody knows
	Broken  string // how many files a power cut left half written, "" if none
	Checked string // when all images had last been read again, "" if not yet
	Asked   string // how many storage commitment requests are not answered yet, "" if none
	Unheard string // how many of them could not be delivered
	Failed  string // that the last attempt was in vain; "" while connected
	Detail  string // for support, as it is
}

func lineOf(f facts, w *words) lineView {
	u, sp := f.Status.Uplink, f.Status.Spool
	v := lineView{
		Kind:    lineKind(f.Status),
		Backlog: w.Say("line.empty"),
		Free:    w.bytes(max(0, sp.FreeBytes)),
		Kept:    w.bytes(sp.Bytes),
		KeptIn:  w.Count("line.images", sp.Objects),
		Detail:  status.ShownError(u.LastError),
	}
	v.Link = w.Say(map[string]string{"up": "line.connected", "down": "line.disconnected", "unset": "line.unset"}[v.Kind])
	if n := f.Status.Findings.Unreadable; n > 0 {
		v.Odd = w.Count("line.images", n)
	}
	if n := f.Status.Findings.Conflicts; n > 0 {
		v.Twice = w.Count("line.images", n)
	}
	if c := f.Status.DICOM.Commitments; c.Requests > 0 {
		v.Asked = w.Count("line.requests", c.Requests)
		if c.Unreached > 0 {
			v.Unheard = w.Count("line.unheard", c.Unreached)
		}
	}
	switch {
	case sp.DaysLeft == nil:
	case *sp.DaysLeft > 365:
		v.Full = w.Say("line.fullyear")
	default:
		v.Full = w.Say("line.full", "duration", w.duration(days(*sp.DaysLeft)))
	}
	if sp.Unfinished > 0 {
		v.Broken = w.Count("line.files", sp.Unfinished)
	}
	v.Checked = f.moment(w, sp.Scrub.PassedAt)
	if !u.Since.IsZero() && v.Kind != "unset" {
		v.Since = w.Say("line.since", "time", f.moment(w, u.Since))
	}
	if v.Kind == "down" {
		v.Since = f.away(v.Since, w)
	}
	if v.Kind == "down" && v.Detail != "" {
		v.Failed = w.Say("line.failed")
	}
	if v.Kind == "up" {
		v.Rate, v.Cap = w.rate(u.RateBitsPerSecond), f.capOf(u, w)
		v.Carrier = transportOf(u, w)
	}
	if u.CapBackfill > 0 {
		v.CapFill = w.rate(u.CapBackfill)
	}
	if test, done := f.testOf(u.Test, w); done {
		v.Tests = append(v.Tests, test)
	}
	v.Pause, v.Rows, v.MayTest = f.pauseOf(u, w), f.lineRows(w), v.Kind != "unset"
	if u.BacklogObjects > 0 {
		v.Backlog, v.Size = w.Count("line.images", u.BacklogObjects), w.bytes(u.BacklogBytes)
	}
	if left := timeLeft(u); left >= 10*time.Second { // less is gone before it is read
		v.Left = w.Say("sentence.eta", "duration", w.duration(left))
	}
	if f.Status.SpoolUnknown {
		v.unread(w)
	}
	return v
}

// away is since when there is no line. Of one that was never up since the start nobody
// knows: perhaps it went before.
func (f facts) away(since string, w *words) string {
	if started := f.Status.StartedAt; since == "" && !started.IsZero() {
		return w.Say("line.atleast", "time", f.moment(w, started))
	}
	return since
}

// days rounds down, so that nobody has less time than is said.
func days(n float64) time.Duration {
	const day = 24 * time.Hour
	d := time.Duration(max(n, 0) * float64(day))
	if d >= 2*day {
		return d.Truncate(day)
	}
	return d.Truncate(time.Hour)
}

func lineKind(s status.Status) string {
	switch {
	case s.Uplink.Connected:
		return "up"
	case hasReason(s, status.Shadow):
		return "unset"
	}
	return "down"
}
