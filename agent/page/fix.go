package page

import (
	"cmp"
	"net/url"
	"slices"
	"strings"
	"time"

	"edged/agent/status"
)

// fixFacts is what the page To fix is made of.
type fixFacts struct {
	W       *words
	Now     time.Time // in the facility's zone
	Full    bool      // names may be seen
	Devices []status.Device
	Say     func(status.Finding) (cause, says string)
	Groups  FixGroups

	Cause, Device string // whose studies are asked for; "" for none
	Studies       []FixStudy
	Total         int
}

// fixPage is what its template is given.
type fixPage struct {
	Reading bool
	Nothing bool
	Causes  []fixCause
	Detail  *fixDetail // only for who is logged in
}

type fixCause struct {
	ID, Title string
	Rows      []fixRow
}

type fixRow struct {
	Device             string
	Level              fixLevel
	This, Last, Before string // "3 of 120"
	Open               string
	Link               string // to the studies; "" for who may not see them
}

// fixLevel is an icon and a word.
type fixLevel struct{ Mark, Word string }

type fixDetail struct {
	Title         string
	Cause, Device string
	Rows          []fixStudy
	More          string
}

type fixStudy struct {
	Key, Time, What, Person, Accession string
	Findings                           []fixFinding
	Done                               bool
}

type fixFinding struct {
	Level fixLevel
	Says  string
	Count string // "3 images", "" for one
}

func fixPageOf(f fixFacts) fixPage {
	v := fixPage{Reading: f.Groups.Reading, Nothing: len(f.Groups.Groups) == 0}
	byCause := map[string][]FixGroup{}
	for _, g := range f.Groups.Groups {
		byCause[g.Cause] = append(byCause[g.Cause], g)
	}
	for _, cause := range slices.SortedFunc(keysOf(byCause), f.worstFirst(byCause)) {
		v.Causes = append(v.Causes, f.causeOf(cause, byCause[cause]))
	}
	if f.Cause != "" {
		v.Detail = f.detail()
	}
	return v
}

func keysOf(m map[string][]FixGroup) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// worstFirst orders causes by what is worst in them, then by how many studies.
func (f fixFacts) worstFirst(groups map[string][]FixGroup) func(a, b string) int {
	weight := func(cause string) (level int, studies int64) {
		for _, g := range groups[cause] {
			level, studies = max(level, levelRank(g.Level)), studies+g.Weeks.All()
		}
		return level, studies
	}
	return func(a, b string) int {
		la, na := weight(a)
		lb, nb := weight(b)
		return cmp.Or(cmp.Compare(lb, la), cmp.Compare(nb, na), strings.Compare(a, b))
	}
}

func levelRank(level string) int {
	return slices.Index([]string{status.LevelInfo, status.LevelWarn, status.LevelHold}, level)
}

func (f fixFacts) causeOf(cause string, groups []FixGroup) fixCause {
	slices.SortFunc(groups, func(a, b FixGroup) int {
		return cmp.Or(cmp.Compare(levelRank(b.Level), levelRank(a.Level)), cmp.Compare(b.Weeks.This, a.Weeks.This), cmp.Compare(b.Weeks.All(), a.Weeks.All()), strings.Compare(a.Device, b.Device))
	})
	title, _ := f.Say(status.Finding{Cause: cause})
	c := fixCause{ID: strings.ReplaceAll(cause, "_", "-"), Title: or(title, cause)}
	for _, g := range groups {
		came := f.Groups.Came[g.Device]
		r := fixRow{Device: status.Shown(deviceName(f.Devices, g.Device)), Level: f.level(g.Level), Open: f.W.number(g.Open),
			This: f.share(g.Weeks.This, came.This), Last: f.share(g.Weeks.Last, came.Last), Before: f.share(g.Weeks.Before, came.Before)}
		if f.Full {
			r.Link = "/fix?" + url.Values{"cause": {g.Cause}, "device": {g.Device}}.Encode() + "#studies"
		}
		c.Rows = append(c.Rows, r)
	}
	return c
}

// deviceName is how people call a device.
func deviceName(devices []status.Device, title string) string {
	for _, d := range devices {
		if d.AETitle == title && d.Name != "" {
			return d.Name
		}
	}
	return or(title, "–")
}

// share is how many of how many: what the registration desk measures itself by.
func (f fixFacts) share(n, of int64) string {
	if n == 0 {
		return "–"
	}
	return f.W.Say("fix.share", "n", f.W.number(n), "of", f.W.number(max(n, of)))
}

func (f fixFacts) level(level string) fixLevel {
	switch level {
	case status.LevelHold:
		return fixLevel{"unknown", f.W.Say("fix.level.hold")}
	case status.LevelWarn:
		return fixLevel{"trouble", f.W.Say("fix.level.warn")}
	}
	return fixLevel{"known", f.W.Say("fix.level.info")}
}

func (f fixFacts) detail() *fixDetail {
	title, _ := f.Say(status.Finding{Cause: f.Cause})
	d := &fixDetail{Cause: f.Cause, Device: f.Device, Title: or(title, status.Shown(f.Cause)) + " · " + status.Shown(deviceName(f.Devices, f.Device))}
	for _, c := range f.Studies {
		d.Rows = append(d.Rows, f.studyOf(c))
	}
	if more := f.Total - len(f.Studies); more > 0 {
		d.More = f.W.Count("fix.more", int64(more))
	}
	return d
}

func (f fixFacts) studyOf(of FixStudy) fixStudy {
	c := of.Card
	s := fixStudy{Done: of.Done, Key: c.Key, Time: f.W.moment(c.FirstReceived.In(f.Now.Location()), f.Now), What: status.Shown(strings.TrimSpace(c.Modality + " " + c.Description)),
		Person: f.person(c.Person), Accession: status.Shown(c.Accession)}
	for _, x := range c.Findings {
		if x.Cause != f.Cause || x.Level == status.LevelInfo {
			continue
		}
		_, says := f.Say(x)
		one := fixFinding{Level: f.level(x.Level), Says: or(says, x.Code)}
		if x.Count > 1 {
			one.Count = f.W.Count("fix.images", x.Count)
		}
		s.Findings = append(s.Findings, one)
	}
	return s
}

// person is a name as people read it, and the date of birth.
func (f fixFacts) person(p status.Person) string {
	group, _, _ := strings.Cut(p.Name, "=")
	name := status.Shown(strings.Join(strings.FieldsFunc(group, func(r rune) bool { return r == '^' }), " "))
	if born, err := time.Parse("20060102", p.BirthDate); err == nil {
		return strings.TrimSpace(name + " " + f.W.date(born))
	}
	return name
}
