package page

import (
	"net/url"

	"edged/agent/status"
)

// stateLeaf is what a technician reads in five seconds, standing: are my images
// arriving, did my study leave, what do I do when it is red.
func (p *Page) stateLeaf() leaf {
	return leaf{path: "/{$}", menu: "menu.state", file: "state.html", home: true, build: p.buildState,
		fresh: []string{"state", "devices", "studies", "line", "counters", "warnings"}}
}

func (p *Page) buildState(rq *request) (any, error) {
	f := facts{
		Status:  p.status(),
		Studies: p.studies(lookedAt),
		Moving:  p.moving(),
		Devices: p.cfg.Source.Devices(),
		Now:     rq.Now,
	}
	v := viewOf(f, rq.W)
	v.Alarmed = p.cfg.Alarms != nil && hasReason(f.Status, status.Alarms)
	p.whose(&v, f, rq)
	for i := range v.Devices {
		p.habits(&v.Devices[i], rq.W)
	}
	if h := p.history(); h != nil {
		day, rates := dayBars(h.Arrivals, f.Now, rq.W), ratesOf(*h, f.Now, rq.W)
		v.Day, v.Rates = &day, &rates
	}
	return v, nil
}

// homeStudy is one of the latest studies.
type homeStudy struct {
	studyView
	key      string
	Link     string // to its own page; "" where there is none
	Person   string // as much as may be seen
	Findings string
}

// whose adds what the desk of studies knows, as far as the viewer may see it.
func (p *Page) whose(v *view, f facts, rq *request) {
	if v.All = p.cfg.Studies != nil; !v.All {
		return
	}
	s := rq.facts()
	switch s.Sight {
	case SeesFull:
		v.Search = rq.W.Say("studies.box.full")
	case SeesMasked:
		v.Search = rq.W.Say("studies.box.masked")
	}
	cards := map[string]status.Card{}
	for _, c := range p.cfg.Studies.Search(StudyQuery{Sight: s.Sight, Limit: 2 * shownStudies}).Cards {
		cards[c.Key] = c
	}
	for i := range v.Studies {
		study := &v.Studies[i]
		if c, ok := cards[study.key]; ok {
			row := studyRowOf(c, nil, s)
			study.Link, study.Person, study.Findings = "/studies/"+url.PathEscape(c.Key), row.Person, row.Findings
		}
	}
}

// homeDevice is a device among others: is it sending as it usually does?
type homeDevice struct {
	deviceView
	Mark   string // known, never, trouble or unknown
	Link   string // to its own page; "" where there is none
	Today  string
	Late   string // it usually has sent by now, and today has not
	Decide bool   // it asks to be admitted, and there is a page to do so
	Try    bool   // there is a page to try its connection
}

// habits adds what the desk of devices knows.
func (p *Page) habits(d *homeDevice, w *words) {
	if d.Never { // nothing is known that a tick could mean
		d.Mark = "never"
	}
	desk := p.cfg.Devices
	if desk == nil {
		return
	}
	if d.Kind == "unknown" {
		d.Decide, d.Admit = true, ""
		return
	}
	h := desk.Habit(d.title)
	d.Link, d.Today = "/devices/of/"+url.PathEscape(d.title), w.Count("device.today", h.Today)
	if h.Late {
		d.Mark, d.Late = "trouble", w.Say("device.late", "time", h.By)
	}
	d.Try = p.cfg.Tests != nil && d.Mark == "trouble"
}

func (v view) title(*words) string { return v.Hero.Word }
