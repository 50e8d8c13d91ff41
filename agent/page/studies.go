package page

import (
	"cmp"
	"slices"

	"edged/agent/status"
)

type studyView struct {
	Time   string
	What   string // modality in words
	Device string
	Images string
	Bytes  string
	Whole  string // complete, still arriving, or complete once more
	State  status.Hop
	Says   string // the state in words
	When   string // since when, or how far
	Going  string // bytes and rate of what is on its way; "" where the list above has them
	Left   string // and how long, or why nobody knows
	Steps  []stepView
	Test   bool
}

// stepView is one dot of the way.
type stepView struct {
	Label string
	Mark  string // done, partly or todo
	Says  string // the mark in words, for those who do not see it
}

// way holds the dots; "sending" is done when everything has been sent.
var way = []struct {
	hop  status.Hop
	word string
}{
	{status.Received, "step.received"},
	{status.Sending, "step.sending"},
	{status.AtHub, "step.at_hub"},
	{status.Archived, "step.archived"},
}

// studiesOf lists the latest; above are those that are shown as on their way.
func studiesOf(f facts, above []movingView, w *words) []studyView {
	names := deviceNames(f.Devices)
	out := make([]studyView, 0, shownStudies)
	for _, s := range f.Studies[:min(shownStudies, len(f.Studies))] {
		v := studyOf(s, names, f, w)
		if !s.Test && !slices.ContainsFunc(above, func(m movingView) bool { return m.key == s.Key }) {
			v.Going, v.Left = f.goingOf(s, w)
		}
		out = append(out, v)
	}
	return out
}

func studyOf(s status.Study, names map[string]string, f facts, w *words) studyView {
	state := knownHop(s)
	v := studyView{
		Time:   f.moment(w, s.FirstReceived),
		What:   modalityOf(s.Modality, w),
		Device: status.Shown(cmp.Or(names[s.Device], s.Device)),
		Images: w.Count("studies.n", s.Instances),
		Bytes:  w.bytes(s.Bytes),
		Whole:  wholeOf(s, w),
		State:  state,
		Says:   w.Say("hop." + string(state)),
		When:   progressOf(s, state, f, w),
		Test:   s.Test,
	}
	if s.Test && isSelf(s.Device) {
		v.Device = w.Say("device.self")
	}
	if state == status.Archived && !s.Complete {
		v.Says = w.Say("studies.sofar")
	}
	for _, step := range way {
		mark := markOf(s.Hops, step.hop)
		v.Steps = append(v.Steps, stepView{w.Say(step.word), mark, w.Say("step." + mark)})
	}
	return v
}

// wholeOf says whether anything more is expected. "Complete" is not "archived":
// the dots say that.
func wholeOf(s status.Study, w *words) string {
	switch {
	case !s.Complete && s.Expected > s.Instances:
		return w.Say("studies.expected", "n", w.number(s.Instances), "total", w.number(s.Expected))
	case !s.Complete:
		return w.Say("studies.arriving")
	case s.Revision > 1:
		return w.Say("studies.again")
	}
	return w.Say("studies.complete")
}

// knownHop trusts the counts more than the word: a study is never shown further
// than its slowest instance.
func knownHop(s status.Study) status.Hop {
	if s.Hops.Total() > 0 {
		return s.Hops.State()
	}
	for _, hop := range status.AllHops {
		if hop == s.State && hop != status.Archived {
			return hop
		}
	}
	return status.Receiving
}

func markOf(h status.Hops, hop status.Hop) string {
	switch n := h.Reached(hop); {
	case n == 0:
		return "todo"
	case hop == status.Sending && h.Reached(status.AtHub) < h.Total():
		return "partly"
	case n < h.Total():
		return "partly"
	}
	return "done"
}

// progressOf says how far a study is while it moves, and since when it rests.
func progressOf(s status.Study, state status.Hop, f facts, w *words) string {
	switch state {
	case status.Sending:
		return w.Say("studies.some", "n", w.number(s.Hops.Reached(status.AtHub)), "total", w.number(s.Hops.Total()))
	case status.AtHub:
		if s.Hops.Archived > 0 {
			return ""
		}
		return f.moment(w, s.AtHubAt)
	case status.Archived:
		return f.moment(w, s.ArchivedAt)
	case status.InQuarantine:
		return w.Count("studies.n", s.Hops.Quarantined)
	case status.Held:
		return w.Count("studies.n", s.Hops.Held)
	}
	return ""
}

func modalityOf(code string, w *words) string {
	if code == "" {
		return w.Say("modality.none")
	}
	if id := "modality." + code; w.has(id) && code != "other" && code != "none" {
		return w.Say(id)
	}
	return w.Say("modality.other", "code", status.Shown(code))
}

// deviceNames maps AE titles to the names that people gave. Only known devices
// count: a stranger must not lend his name to somebody else's images.
func deviceNames(devices []status.Device) map[string]string {
	names := map[string]string{}
	for _, d := range devices {
		if d.Known && d.Name != "" {
			names[d.AETitle] = d.Name
		}
	}
	return names
}
