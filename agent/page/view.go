package page

import (
	"time"

	"edged/agent/status"
)

// facts is all that a page is made of.
type facts struct {
	Status  status.Status
	Studies []status.Study
	Moving  []status.Study
	Devices []status.Device
	Now     time.Time // in the facility's zone
}

// view is a page in words: the template only places it.
type view struct {
	W         *words
	Hero      hero
	Counters  []counterView
	Moving    []movingView
	Waiting   string // studies on their way that did not fit
	Studies   []homeStudy
	Devices   []homeDevice
	More      string // devices that did not fit
	Line      lineView
	Warnings  []string
	AETitle   string
	NoStudies string // what is said where there are none
	All       bool   // there is a desk that finds studies
	Search    string // what one may look for; "" nothing but lists
	Day       *chart // images by hour; nil: nobody counted
	Rates     *chart // of the line
	Alarmed   bool   // there are alarms, and a page that tells them
}

type hero struct {
	State    status.State
	Stale    bool // so old that only grey is true
	Word     string
	Sentence string
	Action   string   // what to do, "" mostly
	Also     []string // the other reasons
	Received string   // when, in words
	Archived string
}

type counterView struct {
	Label, Number string
	Kind          string // plain, good or none: weight only, the number is the meaning
}

type langView struct {
	Code, Name string
	Query      string // leads to it
	Current    bool
}

// viewOf is pure: the same facts and language make the same page.
func viewOf(f facts, w *words) view {
	v := view{
		W:         w,
		Hero:      heroOf(f, w),
		Counters:  countersOf(f.Status.Counters, w),
		Line:      lineOf(f, w),
		Warnings:  warningsOf(f.Status, w),
		AETitle:   status.Shown(f.Status.AETitle),
		NoStudies: w.Say("studies.none"),
	}
	if f.Status.SpoolUnknown {
		v.unread(w)
	}
	devices, more := devicesOf(f, w)
	for _, d := range devices {
		v.Devices = append(v.Devices, homeDevice{deviceView: d, Mark: d.Kind})
	}
	v.More = more
	v.Moving, v.Waiting = movingOf(f, w)
	for i, s := range studiesOf(f, v.Moving, w) {
		v.Studies = append(v.Studies, homeStudy{studyView: s, key: f.Studies[i].Key})
	}
	return v
}

func heroOf(f facts, w *words) hero {
	s := f.Status
	h := hero{
		State:    knownState(s.State),
		Stale:    f.Now.Sub(s.At) >= staleAfter,
		Received: orNever(f.moment(w, s.LastReceivedAt), w),
		Archived: orNever(f.moment(w, s.LastArchivedAt), w),
	}
	h.Word = w.Say("state." + string(h.State))
	h.Sentence, h.Action = sentenceOf(s, h.State, w), actionOf(s, h.State, w)
	if until := f.pauseOf(s.Uplink, w); until != "" && len(s.Reasons) > 0 && s.Reasons[0].Code == status.Paused {
		h.Sentence = w.Say("sentence.paused", "until", until)
	}
	for i := 1; i < len(s.Reasons); i++ {
		h.Also = append(h.Also, furtherOf(s.Reasons[i], w))
	}
	return h
}

// furtherOf is a reason behind others. Of alarms it tells those that no other reason does:
// the menu, which counts all, must not seem to say something else.
func furtherOf(r status.Reason, w *words) string {
	if r.Code == status.Alarms {
		return w.Count("reason.alarms.more", r.Count)
	}
	return reasonOf(r, w)
}

// knownState: a state that this page does not know is not a good one.
func knownState(s status.State) status.State {
	switch s {
	case status.OK, status.CatchingUp, status.Attention, status.Stopped:
		return s
	}
	return status.Attention
}

// sentenceOf says the first reason, or the plain sentence of the state.
func sentenceOf(s status.Status, state status.State, w *words) string {
	if len(s.Reasons) > 0 {
		return withETA(firstReason(s, w), s, w)
	}
	switch {
	case state == status.Stopped:
		return w.Say("sentence.stopped")
	case state == status.Attention:
		return w.Say("sentence.look")
	case state == status.CatchingUp:
		return w.Say("sentence.waiting")
	case s.LastReceivedAt.IsZero():
		return w.Say("sentence.ready")
	}
	return w.Say("sentence.ok")
}

// firstReason counts what is under way in studies, as a technician does.
func firstReason(s status.Status, w *words) string {
	if n := s.Uplink.BacklogStudies; s.Reasons[0].Code == status.Backlog && n > 0 {
		return w.Count("sentence.backlog", n)
	}
	return reasonOf(s.Reasons[0], w)
}

// withETA says how far a start has read, and promises a time only while
// something is really moving.
func withETA(sentence string, s status.Status, w *words) string {
	if r := s.Recovering; r != nil && r.Total > 0 && s.Reasons[0].Code == status.Starting {
		return sentence + " " + w.Say("sentence.read", "n", w.number(r.Done), "total", w.number(r.Total))
	}
	left := timeLeft(s.Uplink)
	if s.Reasons[0].Code != status.Backlog || left == 0 {
		return sentence
	}
	return sentence + " " + w.Say("sentence.eta", "duration", w.duration(left))
}

// timeLeft is 0 when nobody can know it.
func timeLeft(u status.Uplink) time.Duration {
	if !u.Connected || u.RateBitsPerSecond <= 0 || u.BacklogBytes <= 0 {
		return 0
	}
	seconds := float64(u.BacklogBytes) * 8 / float64(u.RateBitsPerSecond)
	if seconds > (365 * 24 * time.Hour).Seconds() {
		return 0
	}
	return time.Duration(seconds * float64(time.Second))
}

func reasonOf(r status.Reason, w *words) string {
	id := "reason." + string(r.Code)
	switch {
	case r.Count == 0 && w.has(id+".none"):
		return w.Say(id + ".none")
	case w.has(id + ".other"):
		return w.Count(id, r.Count)
	case w.has(id):
		return w.Say(id)
	}
	return w.Say("warning.other", "code", status.Shown(string(r.Code)))
}

// actionOf tells the one thing that people do wrong when the page is red:
// repeating an examination. Where new images are refused, they stay on the
// modality and are sent again later.
func actionOf(s status.Status, state status.State, w *words) string {
	if state != status.Stopped {
		return ""
	}
	for _, r := range s.Reasons {
		switch r.Code {
		case status.SpoolFailed, status.SpoolFull, status.KeyMissing:
			return w.Say("action.resend")
		}
	}
	return w.Say("action.wait")
}

func countersOf(c status.Counters, w *words) []counterView {
	return []counterView{
		{w.Say("count.received"), w.number(c.Received), "plain"},
		{w.Say("count.at_hub"), w.number(c.AtHub), "plain"},
		{w.Say("count.archived"), w.number(c.Archived), "good"},
		{w.Say("count.refused"), w.number(c.Refused), plainIf(c.Refused)},
		{w.Say("count.quarantined"), w.number(c.Quarantined), plainIf(c.Quarantined)},
	}
}

// plainIf keeps zeros quiet. These numbers never go down, so they are never
// coloured: what is wrong now is in the state.
func plainIf(n int64) string {
	if n > 0 {
		return "plain"
	}
	return "none"
}

// saidBy are the warnings that a reason says already.
var saidBy = map[status.Warning]status.ReasonCode{
	status.ShadowMode:  status.Shadow,
	status.NotEnrolled: status.Unenrolled,
}

// warningsOf leaves out what the sentences above say already.
func warningsOf(s status.Status, w *words) (out []string) {
	for _, warning := range s.Warnings {
		if reason, ok := saidBy[warning]; ok && hasReason(s, reason) {
			continue
		}
		id := "warning." + string(warning)
		if w.has(id) {
			out = append(out, w.Say(id))
		} else {
			out = append(out, w.Say("warning.other", "code", status.Shown(string(warning))))
		}
	}
	return out
}

func hasReason(s status.Status, code status.ReasonCode) bool {
	for _, r := range s.Reasons {
		if r.Code == code {
			return true
		}
	}
	return false
}

// langsOf leads to the same page in each language.
func langsOf(rq *request) (out []langView) {
	for _, l := range languages {
		q := rq.URL.Query()
		q.Del(noticeSlip)
		q.Set("lang", l.code)
		out = append(out, langView{l.code, l.name, "?" + q.Encode(), l.code == rq.W.lang})
	}
	return out
}

func footerOf(f facts, w *words) (out []string) {
	if f.Status.Version != "" {
		out = append(out, w.Say("page.version", "version", status.Shown(f.Status.Version)))
	}
	if !f.Status.StartedAt.IsZero() {
		out = append(out, w.Say("page.since", "time", f.moment(w, f.Status.StartedAt)))
	}
	return out
}

// moment says t in the facility's zone.
func (f facts) moment(w *words, t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return w.moment(t.In(f.Now.Location()), f.Now)
}

func orNever(text string, w *words) string {
	if text == "" {
		return w.Say("last.never")
	}
	return text
}
