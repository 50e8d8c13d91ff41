package page

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"edged/agent/account"
	"edged/agent/status"
)

// AlarmDesk has the alarms.
type AlarmDesk interface {
	// Alarms are those that are open, and those that are over, the latest first.
	Alarms() (open, over []status.Alarm)
	// Acknowledge writes down that somebody has seen an alarm. ErrNotTaken: it is over.
	Acknowledge(by account.Actor, id string) error
	// Unmeasured are the ids of what this machine does not say about itself.
	Unmeasured() []string
	Contact() string // whom to call
}

func (p *Page) alarmLeaves() []leaf {
	if p.cfg.Alarms == nil {
		return nil
	}
	return []leaf{{path: "/alarms", menu: "menu.alarms", file: "alarms.html", fresh: []string{"alarm-open", "alarm-over"}, build: p.alarmsPage}}
}

func (p *Page) alarmDeeds() []deed {
	if p.cfg.Alarms == nil {
		return nil
	}
	return []deed{{path: "/alarms/seen", role: account.Technician, do: p.acknowledge}}
}

func (p *Page) acknowledge(rq *request) (outcome, error) {
	out, err := saidOf(p.cfg.Alarms.Acknowledge(rq.Viewer.Actor(), rq.PostFormValue("id")), "alarm.seen")
	if out.to = "/alarms"; out.notice == "device.nottaken" {
		out.notice = "alarm.over"
	}
	return out, err
}

type alarmsView struct {
	Open       []alarmView // those that somebody has seen come last
	New        int         // of them nobody has seen yet
	Over       []alarmView
	Contact    string
	Unmeasured []string
}

type alarmView struct {
	Heading string // above the first that somebody has seen

	ID    string
	Red   bool
	Word  string // how urgent
	What  string
	Who   string // the device
	Since string
	Until string
	Safe  string
	Good  bool // the images are safe
	Steps []string
	Seen  string // by whom, when
}

func (p *Page) alarmsPage(rq *request) (any, error) {
	open, over := p.cfg.Alarms.Alarms()
	f := facts{Status: p.status(), Devices: p.cfg.Source.Devices(), Now: rq.Now}
	v := alarmsViewOf(open, over, f, rq.Viewer.In(), rq.W)
	v.Contact = status.Shown(p.cfg.Alarms.Contact())
	for _, id := range p.cfg.Alarms.Unmeasured() {
		v.Unmeasured = append(v.Unmeasured, rq.W.Say("alarm.unmeasured."+id))
	}
	return v, nil
}

// shownOver bounds what the page shows of what is over.
const shownOver = 100

// alarmsViewOf is pure. Who has seen an alarm is told to who is logged in.
func alarmsViewOf(open, over []status.Alarm, f facts, in bool, w *words) (v alarmsView) {
	open = slices.Clone(open)
	slices.SortStableFunc(open, func(a, b status.Alarm) int {
		return cmp.Or(seenRank(a)-seenRank(b), cmp.Compare(slices.Index(status.AlarmCodes, a.Code), slices.Index(status.AlarmCodes, b.Code)), a.Since.Compare(b.Since))
	})
	for _, a := range open {
		x := alarmOf(a, f, in, w)
		if a.AckedAt.IsZero() {
			v.New++
		} else if len(v.Open) == v.New {
			x.Heading = w.Say("alarm.taken")
		}
		v.Open = append(v.Open, x)
	}
	for _, a := range over[:min(len(over), shownOver)] {
		v.Over = append(v.Over, alarmOf(a, f, in, w))
	}
	return v
}

// freshAlarms is the figure beside the menu's word, and what it counts.
func freshAlarms(desk AlarmDesk, w *words) (count, means string) {
	open, _ := desk.Alarms()
	n := int64(0)
	for _, a := range open {
		if a.Fresh() {
			n++
		}
	}
	if n == 0 {
		return "", ""
	}
	return w.number(n), w.Count("alarm.open", n)
}

func seenRank(a status.Alarm) int {
	if a.AckedAt.IsZero() {
		return 0
	}
	return 1
}

func alarmOf(a status.Alarm, f facts, in bool, w *words) alarmView {
	v := alarmView{ID: a.ID, Red: a.Red, Good: a.Safe, Since: f.moment(w, a.Since), Until: f.moment(w, a.Until)}
	v.Word = w.Say("alarm.level.should")
	if a.Red {
		v.Word = w.Say("alarm.level.must")
	}
	v.Safe = w.Say("alarm.safe.no")
	if a.Safe {
		v.Safe = w.Say("alarm.safe.yes")
	}
	v.Who = nameOf(a.Device, f)
	if a.Code == status.AlarmRefused && a.Device == "" {
		v.Who = w.Say("alarm.strangers")
	}
	v.What, v.Steps = alarmSays(a, v.Who, w)
	if !a.AckedAt.IsZero() {
		v.Seen = w.Say("alarm.seenat", "time", f.moment(w, a.AckedAt))
		if in {
			v.Seen = w.Say("alarm.seenby", "time", f.moment(w, a.AckedAt), "name", status.Shown(a.AckedBy))
		}
	}
	return v
}

func nameOf(title string, f facts) string {
	for _, d := range f.Devices {
		if d.AETitle == title && d.Name != "" && title != "" {
			return status.Shown(d.Name)
		}
	}
	return status.Shown(title)
}

// alarmSays: a code that this page does not know is told as it is.
func alarmSays(a status.Alarm, device string, w *words) (what string, steps []string) {
	base := "alarm." + string(a.Code)
	id := base
	if w.has(base + ".other") {
		id = base + ".other"
		if a.Count == 1 {
			id = base + ".one"
		}
	}
	if !w.has(id) {
		return w.Say("warning.other", "code", status.Shown(string(a.Code))), nil
	}
	what = w.Say(id, "n", w.number(a.Count), "device", device, "value", alarmValue(a, w), "duration", limitOf(a, w))
	for _, n := range []string{"1", "2", "3"} {
		if step := base + ".step" + n; w.has(step) {
			steps = append(steps, w.Say(step, "device", device))
		}
	}
	return what, steps
}

// usualLimits, in seconds, are told of alarms that were written down without their own.
var usualLimits = map[status.AlarmCode]int64{status.AlarmSpace1: 24 * 3600, status.AlarmSpace3: 72 * 3600, status.AlarmQueue: 3600, status.AlarmLate: 1800, status.AlarmUrgent: 60}

// limitOf says from where there is such an alarm, as it is configured and not rounded.
func limitOf(a status.Alarm, w *words) string {
	n := cmp.Or(a.Limit, usualLimits[a.Code])
	switch {
	case n%(24*3600) == 0 && n > 24*3600:
		return w.Count("duration.days", n/(24*3600))
	case n%3600 == 0:
		return w.Count("duration.hours", n/3600)
	case n%60 == 0:
		return w.Count("duration.minutes", n/60)
	}
	return w.Count("duration.seconds", n)
}

// alarmValue: which certificate it is has words of its own.
func alarmValue(a status.Alarm, w *words) string {
	if a.Code == status.AlarmClock {
		return w.duration(time.Duration(a.Count) * time.Second)
	}
	if which, is := strings.CutPrefix(a.Value, "cert:"); is && w.has("cert."+which) {
		return w.Say("cert." + which)
	}
	return status.Shown(a.Value)
}
