package page

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"edged/agent/status"
)

// studyListView is a page of studies, and the form that asked for it.
type studyListView struct {
	Sight   Sight
	Hint    string // what the box takes
	Text    string
	Day     string
	Devices []choice
	States  []choice
	Rows    []studyRow
	Found   string
	Pages   string // "page 2 of 31"; "" when there is one only
	Prev    string // addresses, "" when there is none
	Next    string
	Reading bool
	Asked   bool // there is something in the form
	Gone    bool // the words of the search are not kept any more
}

// choice is one of a select.
type choice struct {
	Value, Word string
	Chosen      bool
}

// studyRow is a study in a list.
type studyRow struct {
	studyView
	Key       string
	Person    string // as much as may be seen; "" when nothing is known
	Accession string
	About     string // its description, where names may be seen
	Findings  string // what is to be corrected, or how many kinds of it; "" for none
	Late      string // that images came when it was archived
}

// searchable are the states that one looks for.
var searchable = []status.Hop{status.Received, status.Sending, status.AtHub, status.Archived, status.Held, status.InQuarantine}

func studyListOf(list StudyList, q StudyQuery, number int, slip string, s sighted) studyListView {
	w, names := s.W, deviceNames(s.Devices)
	v := studyListView{Sight: q.Sight, Text: q.Text, Reading: list.Reading, Found: w.Count("studies.found", int64(list.Total)),
		Asked: q.Text != "" || q.Device != "" || q.State != "" || !q.Day.IsZero()}
	switch q.Sight {
	case SeesMasked:
		v.Hint = w.Say("studies.box.masked")
	case SeesFull:
		v.Hint = w.Say("studies.box.full")
	}
	if !q.Day.IsZero() {
		v.Day = q.Day.Format(time.DateOnly)
	}
	v.Devices = deviceChoices(list.Devices, q.Device, names)
	for _, h := range searchable {
		v.States = append(v.States, choice{string(h), w.Say("hop." + string(h)), h == q.State})
	}
	for _, c := range list.Cards {
		v.Rows = append(v.Rows, studyRowOf(c, names, s))
	}
	pages := (list.Total + studiesAPage - 1) / studiesAPage
	if pages > 1 {
		v.Pages = w.Say("studies.page", "n", w.number(int64(number)), "total", w.number(int64(pages)))
	}
	if number > 1 {
		v.Prev = q.address(min(number-1, max(pages, 1)), slip)
	}
	if number < pages {
		v.Next = q.address(number+1, slip)
	}
	return v
}

// isSelf: this appliance calls itself so for a test (cmd/edged/selftestcaller.go).
func isSelf(title string) bool { return strings.HasPrefix(title, "SELF-") && len(title) == 16 }

// deviceChoices has the configured and the chosen one too, if nothing came of it.
func deviceChoices(titles []string, chosen string, names map[string]string) (out []choice) {
	if chosen != "" && !slices.Contains(titles, chosen) {
		titles = append(slices.Clone(titles), chosen)
	}
	for _, title := range titles {
		word := status.Shown(title)
		if word != title {
			continue // no device is called like that
		}
		if isSelf(title) && title != chosen {
			continue
		}
		if name := names[title]; name != "" {
			word = status.Shown(name)
		}
		out = append(out, choice{title, word, title == chosen})
	}
	slices.SortStableFunc(out, func(a, b choice) int { return strings.Compare(a.Word, b.Word) })
	return out
}

func studyRowOf(c status.Card, names map[string]string, s sighted) studyRow {
	r := studyRow{studyView: studyOf(c.Study, names, s.facts, s.W), Key: c.Key, Person: personOf(c.Person, s.Sight)}
	if s.Sight == SeesFull {
		r.Accession, r.About = status.Shown(c.Accession), status.Shown(c.Description)
	}
	if c.Late > 0 {
		r.Late = s.W.Count("study.late", c.Late)
	}
	switch n := toCorrect(c.Findings); {
	case n > 0 && s.Sight == SeesFull:
		cause, _ := s.Say(c.Findings[0])
		r.Findings = s.W.Say("studies.tocorrect", "reason", shownLong(cause))
	case n > 0:
		r.Findings = s.W.Count("studies.findings", int64(n))
	}
	return r
}

// toCorrect counts findings that are more than information, which come first.
func toCorrect(found []status.Finding) (n int) {
	for n < len(found) && found[n].Level != status.LevelInfo {
		n++
	}
	return n
}

// personOf is what of a person may be seen: names, initials and year of birth, or
// nothing at all.
func personOf(p status.Person, sight Sight) string {
	year := ""
	if p.BirthYear > 0 {
		year = strconv.Itoa(p.BirthYear)
	}
	switch sight {
	case SeesFull:
		return joined(" ", status.Shown(pnOf(p.Name)), year)
	case SeesMasked:
		return joined(" ", status.Shown(p.Initials), year)
	}
	return ""
}

// pnOf writes a PN (PS3.5 §6.2) as it is read: family name, given names.
func pnOf(pn string) string {
	group, _, _ := strings.Cut(pn, "=")
	return strings.Join(strings.FieldsFunc(group, func(r rune) bool { return r == '^' }), " ")
}

// joined leaves out what is empty.
func joined(by string, parts ...string) string {
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), by)
}
