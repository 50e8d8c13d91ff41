package page

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"edged/agent/status"
)

// Terminal is the page for whoever stands at a terminal, a row each: the state first, an
// empty row, then images, line and space, in the words that the page has for them. Lang is "it",
// "en" or "de"; any other is "en". Times are said in the zone of now.
func Terminal(s status.Status, now time.Time, lang string) []Fact {
	f, w := facts{Status: s, Now: now}, wordsOf(lang)
	t := terminal{w: w}
	t.top(Say(s, lang), s.State)
	t.rows = append(t.rows, Fact{})
	t.images(f)
	t.line(f, SayLine(s, now, lang))
	t.space(f)
	t.dicom(s)
	for i, x := range warningsOf(s, w) {
		t.add(headOf(i, w.Say("warning.heading")), x)
	}
	since := ""
	if !s.StartedAt.IsZero() {
		since = w.Say("page.since", "time", f.moment(w, s.StartedAt))
	}
	t.add(w.Say("term.version"), s.Version, since)
	return t.rows
}

// headOf is what stands beside the first of several rows.
func headOf(i int, head string) string {
	if i > 0 {
		return ""
	}
	return head
}

// terminal gathers rows.
type terminal struct {
	w    *words
	rows []Fact
}

// add joins what there is to say. Of nothing there is no row.
func (t *terminal) add(what string, says ...string) {
	says = slices.DeleteFunc(says, func(s string) bool { return s == "" })
	if len(says) > 0 {
		t.rows = append(t.rows, Fact{what, strings.Join(says, " · ")})
	}
}

// some adds what there is at all, and more about it.
func (t *terminal) some(id, says string, more ...string) {
	if says != "" {
		t.add(t.w.Say(id), append([]string{says}, more...)...)
	}
}

// marks stand for the colours of the page.
var marks = map[status.State]string{status.OK: "✔", status.CatchingUp: "↻", status.Attention: "!", status.Stopped: "✖"}

func (t *terminal) top(said Said, state status.State) {
	t.add(cmp.Or(marks[state], "?")+" "+strings.ToUpper(said.Word), said.Sentence)
	for _, also := range append([]string{said.Action}, said.Also...) {
		t.add("", also)
	}
}

func (t *terminal) images(f facts) {
	w, c := t.w, f.Status.Counters
	if f.Status.SpoolUnknown {
		t.add(w.Say("count.heading"), w.Say("unread"))
		return
	}
	for _, n := range []struct {
		id string
		n  int64
	}{{"count.received", c.Received}, {"count.at_hub", c.AtHub}, {"count.archived", c.Archived}, {"count.refused", c.Refused}} {
		t.add(w.Say(n.id), w.number(n.n))
	}
	if c.Discarded > 0 {
		t.add(w.Say("term.discarded"), w.number(c.Discarded))
	}
	if n := f.Status.Spool.Quarantined; n > 0 {
		t.add(w.Say("count.quarantined"), w.number(n), w.Say("term.which"))
	}
	t.add(w.Say("last.received"), cmp.Or(f.moment(w, f.Status.LastReceivedAt), w.Say("last.never")))
	t.add(w.Say("last.archived"), cmp.Or(f.moment(w, f.Status.LastArchivedAt), w.Say("last.never")))
}

func (t *terminal) line(f facts, more []Fact) {
	w, v := t.w, lineOf(f, t.w)
	hub, detail := f.Status.Uplink.Hub, v.Detail
	if v.Kind != "down" {
		detail = ""
	}
	t.add(w.Say("line.link"), v.Link, v.Since, hub, detail)
	t.add(w.Say("line.backlog"), v.Backlog, v.Size, v.Left)
	for _, fact := range more {
		t.add(fact.What, fact.Says)
	}
}

func (t *terminal) space(f facts) {
	w, v, d := t.w, lineOf(f, t.w), f.Status.Spool.Damage
	t.add(w.Say("line.kept"), v.KeptIn, v.Kept)
	t.add(w.Say("line.free"), v.Free, v.Full)
	t.some("line.twice", v.Twice, w.Say("line.twicekept"), w.Say("term.which"))
	t.some("line.unreadable", v.Odd, w.Say("line.asis"), w.Say("term.which"))
	if n := d.NoOtherCopy + d.HubHasCopy; n > 0 {
		t.add(w.Say("term.damaged"), w.Count("line.images", n), w.Say("term.which"))
	}
	t.some("line.broken", v.Broken, w.Say("line.harmless"))
	t.some("line.checked", v.Checked)
	if f.Status.SpoolUnknown {
		return
	}
	scrub := f.Status.Spool.Scrub
	t.add(w.Say("term.scrub"), w.Count("line.images", scrub.Objects), w.Say("term.scrubbed", "n", w.number(scrub.Damaged)))
}

func (t *terminal) dicom(s status.Status) {
	w, v := t.w, lineOf(facts{Status: s}, t.w)
	ready, why := w.Say("term.ready"), ""
	if !s.DICOM.Ready {
		ready, why = w.Say("term.notready"), status.ShownError(s.DICOM.NotReady)
	}
	t.add(w.Say("term.receiving"), ready, why, w.Say("page.called", "ae", s.AETitle), w.Count("term.associations", s.DICOM.Associations))
	t.some("line.asked", v.Asked, v.Unheard)
}
