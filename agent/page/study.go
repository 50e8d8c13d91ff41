package page

import (
	"slices"
	"strings"
	"time"

	"edged/agent/status"
)

// studyPageView is one study: its way, why it does not go on, and what is wrong with
// its data.
type studyPageView struct {
	studyRow
	Facts    []factView
	Stages   []stageView
	Why      []string
	Late     string
	Problems []problemView
	Hidden   string // that there are findings that he who is not logged in may not read
	May      bool   // send again, print
	Again    bool   // there is something to send again
}

type factView struct{ Label, Value string }

// stageView is a stage of the way: what, how far, when.
type stageView struct{ Word, Mark, Says, When string }

type problemView struct{ Level, Cause, Says, Images string }

func studyPageOf(d StudyDetail, s sighted) studyPageView {
	w, c := s.W, d.Card
	names := deviceNames(s.Devices)
	v := studyPageView{studyRow: studyRowOf(c, names, s), May: s.may}
	v.Facts = studyFacts(d, v.studyRow, s)
	v.Stages = stagesOf(d, s)
	v.Why = studyWhyOf(d, s)
	if d.Late > 0 {
		v.Late = w.Count("study.late", d.Late)
	}
	v.Again = d.Here > 0 && c.Hops.AtHub+c.Hops.Held+c.Hops.Quarantined > 0
	if s.Sight < SeesFull {
		if toCorrect(c.Findings) > 0 {
			v.Hidden = w.Say("study.hidden")
		}
		return v
	}
	for _, f := range c.Findings {
		cause, says := s.Say(f)
		p := problemView{Level: w.Say(levelWord(f.Level)), Cause: shownLong(cause), Says: shownLong(says)}
		if f.Count > 0 {
			p.Images = w.Count("studies.n", f.Count)
		}
		v.Problems = append(v.Problems, p)
	}
	return v
}

// levelWord: a level that this page does not know is one to look at.
func levelWord(level string) string {
	switch level {
	case status.LevelInfo:
		return "study.level.info"
	case status.LevelHold:
		return "study.level.hold"
	}
	return "study.level.warn"
}

// shownLong is status.Shown for a sentence: word for word, as a value is cut at 64
// characters and a sentence is not.
func shownLong(s string) string {
	parts := strings.Split(s, " ")
	for i := range parts {
		parts[i] = status.Shown(parts[i])
	}
	return strings.Join(parts[:min(len(parts), 200)], " ")
}

func studyFacts(d StudyDetail, row studyRow, s sighted) (out []factView) {
	w, c := s.W, d.Card
	add := func(id, value string) {
		if value != "" {
			out = append(out, factView{w.Say(id), value})
		}
	}
	if s.Sight == SeesFull {
		p := c.Person
		add("study.name", status.Shown(pnOf(p.Name)))
		add("study.birth", dateOf(p.BirthDate, w))
		add("study.sex", status.Shown(p.Sex))
		add("study.id", joined(" · ", status.Shown(p.ID), status.Shown(p.Issuer)))
		add("study.fiscal", status.Shown(p.Fiscal))
		add("study.accession", row.Accession)
		add("study.date", joined(" ", dateOf(c.StudyDate, w), tmOf(c.StudyTime)))
		add("study.description", status.Shown(c.Description))
		add("study.uid", status.Shown(c.UID))
	} else {
		add("study.person", row.Person)
	}
	add("study.kind", row.What)
	add("study.device", row.Device)
	add("study.images", imagesOf(d, w))
	if d.Series > 0 {
		add("study.series", w.number(d.Series))
	}
	if c.Bytes > 0 {
		add("study.bytes", row.Bytes)
	}
	if d.Discarded > 0 {
		add("study.discarded", w.Count("studies.n", d.Discarded))
	}
	return out
}

// imagesOf compares what came with what was announced.
func imagesOf(d StudyDetail, w *words) string {
	c := d.Card
	if c.Expected > 0 {
		return w.Say("study.expected", "n", w.number(c.Instances), "total", w.number(c.Expected))
	}
	return joined(" · ", w.Count("studies.n", c.Instances), wholeOf(c.Study, w))
}

// dateOf is a DA as people write it; one that is none is shown as it is.
func dateOf(da string, w *words) string {
	t, err := time.Parse("20060102", da)
	if err != nil {
		return status.Shown(da)
	}
	return w.date(t)
}

// tmOf is hours and minutes of a TM.
func tmOf(tm string) string {
	if t, err := time.Parse("1504", tm[:min(len(tm), 4)]); err == nil {
		return t.Format("15:04")
	}
	return ""
}

// stagesOf is the way, each stage with its time: when the first and the last instance
// of the study were there.
func stagesOf(d StudyDetail, s sighted) (out []stageView) {
	w, h := s.W, d.Card.Hops
	for _, step := range way {
		mark := markOf(h, step.hop)
		v := stageView{Word: w.Say("hop." + string(step.hop)), Mark: mark, Says: w.Say("step." + mark)}
		switch {
		case mark == "todo":
		case step.hop == status.Received:
			v.When = s.span(d.Card.FirstReceived, d.Card.LastReceived)
		case step.hop == status.Sending:
			v.When = joined(" · ", s.moment(w, d.FirstSent), partOf(h.Reached(status.Sending), h, w))
		case step.hop == status.AtHub:
			v.When = joined(" · ", s.span(d.FirstHub, d.LastHub), partOf(h.Reached(status.AtHub), h, w))
		default:
			v.When = joined(" · ", s.moment(w, d.LastArch), partOf(h.Archived, h, w))
		}
		out = append(out, v)
	}
	return out
}

// partOf is how many of all, where it is not all of them.
func partOf(n int64, h status.Hops, w *words) string {
	if n == h.Total() {
		return ""
	}
	return w.Say("studies.some", "n", w.number(n), "total", w.number(h.Total()))
}

// span is one time, or from and until.
func (s sighted) span(from, until time.Time) string {
	a, b := s.moment(s.W, from), s.moment(s.W, until)
	if a == "" || b == "" || a == b {
		return joined("", b, map[bool]string{true: a}[b == ""])
	}
	return a + " – " + b
}

// studyWhyOf says in sentences why a study is where it is, the worst first.
func studyWhyOf(d StudyDetail, s sighted) (out []string) {
	w, h, up := s.W, d.Card.Hops, s.Status.Uplink
	told := map[WhyStopped]bool{}
	for _, why := range d.Why {
		told[why.Code] = true
		out = append(out, s.whyStopped(why))
	}
	if h.Held > 0 && !told[WhyHeld] && !told[WhyArchiveSays] && !told[WhyConflict] {
		out = append(out, s.whyStopped(StudyWhy{Code: WhyHeld, Count: h.Held}))
	}
	waiting := h.Received + h.Sending
	switch {
	case waiting == 0:
	case s.shadow():
		out = append(out, w.Say("study.shadow"))
	case !up.Connected:
		out = append(out, w.Count("study.noline", waiting))
	case up.PausedUntil.After(s.Now):
		out = append(out, w.Say("study.paused", "until", s.pauseOf(up, w)))
	case h.Sending > 0 || d.Card.Progress != nil && d.Card.Progress.RateBitsPerSecond > 0:
		out = append(out, w.Say("study.leaving"))
	case !told[WhyRefusedHub] && !told[WhyMismatch] && !told[WhyUnread]:
		out = append(out, w.Count("study.turn", waiting))
	}
	switch {
	case waiting == 0 && h.AtHub > 0 && s.letsGoEarly():
		out = append(out, w.Say("warning.keep_hub"))
	case waiting == 0 && h.AtHub > 0:
		out = append(out, w.Count("study.confirming", h.AtHub))
	case h.Archived == h.Total() && h.Total() > 0 && d.Here == 0:
		out = append(out, w.Say("study.forgotten"))
	case h.Archived == h.Total() && h.Total() > 0:
		out = append(out, w.Say("study.archived"))
	}
	return out
}

func (s sighted) shadow() bool {
	for _, r := range s.Status.Reasons {
		if r.Code == status.Shadow {
			return true
		}
	}
	return false
}

// letsGoEarly reports whether images leave this disk before the archive has spoken: it will
// never be heard of those that have.
func (s sighted) letsGoEarly() bool { return slices.Contains(s.Status.Warnings, status.KeepHub) }

// whyStopped leaves out the words of the archive for who sees no names: they may have one.
func (s sighted) whyStopped(why StudyWhy) string {
	if s.Sight < SeesFull {
		why.Words = ""
	}
	return whyStopped(why, s.W)
}

// whyStopped is a reason with its count, and with the words of whoever gave it.
func whyStopped(why StudyWhy, w *words) string {
	id := "why.study." + string(why.Code)
	if !w.has(id + ".one") {
		id = "why.study." + string(WhySetAside)
	}
	said := w.Count(id, why.Count)
	if words := shownLong(why.Words); words != "" {
		said += " " + w.Say("study.words", "who", or(status.Shown(why.Where), w.Say("study.archive")), "words", words)
	}
	return said
}
