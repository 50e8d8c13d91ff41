package page

import (
	"time"

	"edged/agent/status"
)

// Door is how the page is reached: not at all, where Listen is empty.
type Door struct {
	Listen      string `json:"listen"`
	HTTPS       bool   `json:"https"`
	Fingerprint string `json:"fingerprint"` // SHA-256 of its certificate
}

// Said puts it into words for the terminal.
func (d Door) Said(lang string) Fact {
	w, id := wordsOf(lang), "term.page.https"
	switch {
	case d.Listen == "":
		id = "term.page.none"
	case !d.HTTPS:
		id = "term.page.http"
	}
	return Fact{w.Say("term.page"), w.Say(id, "listen", d.Listen, "fingerprint", d.Fingerprint)}
}

// Said puts it into the page's words for the terminal, with why nothing arrives. Times
// are said in the zone of now.
func (r Repository) Said(now time.Time, lang string) Fact {
	t := terminal{w: wordsOf(lang)}
	var says []string
	for i, row := range repositoryOf(r, facts{Now: now}, t.w) {
		if i > 0 {
			row.Says = row.Label + ": " + row.Says
		}
		says = append(says, row.Says, row.Quiet)
		if i == 0 {
			says = append(says, status.ShownError(r.Trouble))
		}
	}
	t.add(t.w.Say("system.audit"), says...)
	return t.rows[0]
}
