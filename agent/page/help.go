package page

import (
	"strconv"

	"edged/agent/status"
)

func (p *Page) helpLeaves() []leaf {
	return []leaf{
		{path: "/help", menu: "menu.help", file: "help.html", build: p.helpPage},
		{path: "/accessibility", menu: "menu.accessibility", file: "help.html", build: textPage("access", 6)},
		{path: "/privacy", menu: "menu.privacy", file: "help.html", build: p.privacyPage},
	}
}

// textView is a page of headings and paragraphs.
type textView struct {
	Intro string
	Parts []textPart
}

type textPart struct {
	Title string
	Lines []string
}

// textOf takes AREA.intro, AREA.1 with AREA.1.1 to AREA.1.9, and so on.
func textOf(area string, parts int, w *words) textView {
	v := textView{Intro: w.Say(area + ".intro")}
	for n := 1; n <= parts; n++ {
		id := area + "." + strconv.Itoa(n)
		part := textPart{Title: w.Say(id)}
		for line := 1; w.has(id + "." + strconv.Itoa(line)); line++ {
			part.Lines = append(part.Lines, w.Say(id+"."+strconv.Itoa(line)))
		}
		v.Parts = append(v.Parts, part)
	}
	return v
}

func textPage(area string, parts int) func(*request) (any, error) {
	return func(rq *request) (any, error) { return textOf(area, parts, rq.W), nil }
}

func (p *Page) helpPage(rq *request) (any, error) {
	v := textOf("help", 7, rq.W)
	if p.cfg.Alarms != nil {
		if who := status.Shown(p.cfg.Alarms.Contact()); who != "" {
			last := &v.Parts[len(v.Parts)-1]
			last.Lines = append(last.Lines, rq.W.Say("help.call", "who", who))
		}
	}
	return v, nil
}

// privacyPage says what anybody sees, as this page is set up.
func (p *Page) privacyPage(rq *request) (any, error) {
	v := textOf("privacy", 6, rq.W)
	v.Parts[0].Lines = append(v.Parts[0].Lines, rq.W.Say("privacy.anonymous."+p.cfg.Anonymous))
	return v, nil
}
