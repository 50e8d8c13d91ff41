package page

import (
	"cmp"
	"slices"
	"time"

	"edged/agent/status"
)

type deviceView struct {
	title   string // as it was sent: a key, nothing to be shown
	Kind    string // known, trouble or unknown
	Never   bool   // it may call, and has not yet
	Says    string // Kind in words
	Name    string
	Title   string // AE title, "" when it is the name already
	Address string // of strangers
	Seen    string
	Refused string // how often
	Why     string // in a sentence
	Admit   string // the command that admits it, of an unknown device that can be admitted
	Talk    *talkView
}

// talkView is the last negotiation in words.
type talkView struct {
	ID       string   // of the element, so that it stays open when the page is fresh
	Lines    []string // about the whole
	Contexts []contextView
	Left     string // contexts that are not shown
}

type contextView struct {
	Name   string // of what was asked for, or its UID
	Says   string // what it was answered
	Good   bool
	Syntax string // chosen, by name or UID
}

// refusalShown is how long a known device's refusal stays in view.
const refusalShown = 24 * time.Hour

// devicesOf lists strangers first, then trouble, then the rest, the latest
// first in each: what needs somebody is on top.
func devicesOf(f facts, w *words) (out []deviceView, more string) {
	devices := slices.Clone(f.Devices)
	slices.SortStableFunc(devices, func(a, b status.Device) int {
		return cmp.Or(
			cmp.Compare(rank(kindOf(a, f.Now)), rank(kindOf(b, f.Now))),
			b.LastSeen.Compare(a.LastSeen),
			cmp.Compare(a.AETitle, b.AETitle),
		)
	})
	shown := min(shownDevices, len(devices))
	for _, d := range devices[:shown] {
		out = append(out, deviceOf(d, f, w))
	}
	if rest := len(devices) - shown; rest > 0 {
		more = w.Count("devices.more", int64(rest))
	}
	return out, more
}

func rank(kind string) int { return slices.Index([]string{"unknown", "trouble", "known"}, kind) }

// kindOf: a known device is in trouble when the last thing that happened to it
// was a refusal, and not long ago.
func kindOf(d status.Device, now time.Time) string {
	switch {
	case !d.Known && d.Stored == 0:
		return "unknown"
	case d.LastRefusal != nil && !d.LastRefusal.At.Before(d.LastSeen) && now.Sub(d.LastRefusal.At) < refusalShown:
		return "trouble"
	}
	return "known"
}

func deviceOf(d status.Device, f facts, w *words) deviceView {
	v := deviceView{title: d.AETitle, Kind: kindOf(d, f.Now), Seen: w.Say("devices.never")}
	v.Says = w.Say("devices." + v.Kind)
	v.Never = v.Kind == "known" && d.LastSeen.IsZero()
	v.Name, v.Title = cmp.Or(status.Shown(cmp.Or(d.Name, d.AETitle)), w.Say("devices.noname")), status.Shown(d.AETitle)
	if v.Name == v.Title {
		v.Title = ""
	}
	if !d.LastSeen.IsZero() {
		v.Seen = w.Say("devices.seen", "time", f.moment(w, d.LastSeen))
	}
	if d.Address != "" && v.Kind == "unknown" {
		v.Address = w.Say("devices.from", "address", status.Shown(d.Address))
	}
	if v.Kind != "known" {
		v.Refused, v.Why = refusalOf(d, f, w)
	}
	if v.Kind == "unknown" {
		v.Admit = admitCommand(d)
	}
	if d.Negotiation != nil {
		v.Talk = talkOf(d, f, w)
	}
	return v
}

// shownContexts bounds what one device takes of the page.
const shownContexts = 24

func talkOf(d status.Device, f facts, w *words) *talkView {
	n := d.Negotiation
	v := &talkView{ID: "talk-" + status.StudyKey([]byte("device"), d.AETitle+"|"+d.Address)[:12]}
	v.Lines = append(v.Lines, w.Say("devices.said", "time", f.moment(w, n.At), "called", status.Shown(n.Called)))
	if i := d.Implementation; i != nil {
		v.Lines = append(v.Lines, w.Say("devices.program", "version", status.Shown(i.Version), "uid", status.Shown(i.ClassUID)))
	}
	if n.TLS != "" {
		v.Lines = append(v.Lines, w.Say("devices.tls", "tls", status.Shown(n.TLS)))
	} else {
		v.Lines = append(v.Lines, w.Say("devices.plain"))
	}
	said := 0 // a device asks for one thing once for each coding
	for _, c := range n.Contexts {
		row := contextOf(c, w)
		switch {
		case c.Result == status.ContextUnanswered, slices.Contains(v.Contexts, row): // why all of it was refused stands with the device
			said++
		case len(v.Contexts) < shownContexts:
			v.Contexts, said = append(v.Contexts, row), said+1
		}
	}
	if left := n.Left + int64(len(n.Contexts)-said); left > 0 {
		v.Left = w.Count("devices.left", left)
	}
	return v
}

func contextOf(c status.Context, w *words) contextView {
	v := contextView{Name: status.Shown(cmp.Or(c.Name, c.AbstractSyntax)), Good: c.Result == status.ContextAccepted, Syntax: status.Shown(cmp.Or(c.SyntaxName, c.TransferSyntax))}
	id := "context." + string(c.Result)
	if !w.has(id) {
		id = "context." + string(status.ContextRefused)
	}
	v.Says = w.Say(id)
	return v
}

func refusalOf(d status.Device, f facts, w *words) (often, why string) {
	if d.Refused > 0 {
		often = w.Count("devices.refused", d.Refused)
	}
	if d.LastRefusal == nil {
		return often, ""
	}
	id := "refusal." + string(d.LastRefusal.Code)
	if !w.has(id) {
		return often, w.Say("refusal.other", "code", status.Shown(string(d.LastRefusal.Code)))
	}
	return often, w.Say(id, "detail", status.Shown(d.LastRefusal.Detail), "ae", status.Shown(f.Status.AETitle))
}
