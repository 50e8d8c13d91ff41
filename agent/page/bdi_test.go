package page

import (
	"html"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"edged/agent/status"
)

// alef is a letter that turns the writing of what stands around it, unless that is kept apart.
const alef = "א"

// Every value that came over the wire stands in an element of its own direction, on each
// page of studies, days, receipts, the trail and what is to be corrected: whatever its
// letters are, it turns nothing around it.
func TestEveryValueFromTheWireIsIsolated(t *testing.T) {
	card, detail := secretCard, secretDetail
	hostile := func(s string) string { return alef + s }
	card.Modality, card.Device, card.Accession, card.Description, card.UID = hostile("modality"), hostile("device"), hostile("accession"), hostile("description"), hostile("uid")
	card.StudyDate, card.StudyTime = hostile("date"), hostile("time")
	card.Person = status.Person{Name: hostile("name"), Initials: hostile("initials"), BirthDate: hostile("birth"), Sex: hostile("sex"), ID: hostile("id"), Issuer: hostile("issuer"), Fiscal: hostile("fiscal")}
	card.Findings = []status.Finding{{Code: "fiscal.birth", Level: status.LevelWarn, Cause: hostile("cause"), Values: [2]string{hostile("one"), hostile("two")}, Count: 3}}
	detail.Card = card
	detail.Why = []StudyWhy{{Code: WhyArchiveSays, Count: 1, Words: hostile("words"), Where: hostile("where")}}
	detail.Receipt.Instances = []ReceiptInstance{{ID: "cd", UID: hostile("instance"), Received: before(time.Hour)}}
	p, _ := secretPage(t, AnonymousMasked)
	rq := func() *request {
		r := p.request(httptest.NewRequest("GET", "/x", nil))
		r.Viewer = viewers[2]
		return r
	}
	f := rq().facts()
	query := StudyQuery{Sight: SeesFull, Device: hostile("asked"), Text: hostile("typed")}
	fix := fixFacts{W: f.W, Now: f.Now, Full: true, Say: f.Say, Cause: hostile("cause"), Device: hostile("device"), Studies: []FixStudy{{Card: card}}, Total: 1,
		Groups: FixGroups{Groups: []FixGroup{{Cause: hostile("cause"), Device: hostile("device"), Level: status.LevelWarn, Weeks: FixWeeks{This: 1}}}}}
	day := dayPageOf(DayReport{Devices: []DayDevice{{Device: hostile("device"), Images: 1}}, Missing: []StudyDetail{detail}}, morning, f)
	masked := f
	masked.Sight = SeesMasked
	trail := auditOf(AuditPage{Rows: []AuditRow{{Seq: 1, Who: hostile("who"), Action: hostile("action"), Object: hostile("object"), Reason: hostile("reason"), Outcome: hostile("outcome")}}, Total: 1, All: 1}, AuditQuery{Who: hostile("asked")}, 1, f)
	for _, c := range []struct {
		name, file string
		data       any
		least      int // values on it
	}{
		{"studies", "studies.html", studyListOf(StudyList{Cards: []status.Card{card}, Total: 1, Devices: []string{hostile("device")}}, query, 1, "", f), 6},
		{"studies, masked", "studies.html", studyListOf(StudyList{Cards: []status.Card{card}, Total: 1}, StudyQuery{Sight: SeesMasked}, 1, "", masked), 3},
		{"study", "study.html", studyPageOf(detail, f), 15},
		{"receipt", "receipt.html", receiptOf(detail, f), 12},
		{"days", "days.html", day, 5},
		{"fix", "fix.html", fixPageOf(fix), 8},
		{"audit", "audit.html", trail, 5},
	} {
		for _, print := range []bool{false, true} {
			rec := httptest.NewRecorder()
			p.draw(rec, rq(), leaf{path: "/x", title: "study.title", file: c.file, print: print}, c.data)
			n := 0
			for at, text := range pageTexts(rec.Body.String()) {
				n += strings.Count(text.says, alef)
				if strings.Contains(text.says, alef) && !text.apart {
					t.Errorf("%s, print %v: %d: %q turns what stands beside it", c.name, print, at, text.says)
				}
			}
			if n < c.least {
				t.Errorf("%s: only %d values are on it", c.name, n)
			}
		}
	}
}

// pageText is a text of a page, and whether an element around it keeps its direction to itself.
type pageText struct {
	says  string
	apart bool
}

// pageTexts reads a page of ours: its tags are well-formed, and "<" in a text is escaped.
func pageTexts(page string) (out []pageText) {
	type open struct {
		name  string
		apart bool
	}
	var within []open
	for len(page) > 0 {
		text, rest, tag := strings.Cut(page, "<")
		apart := false
		for _, o := range within {
			apart = apart || o.apart
		}
		out = append(out, pageText{html.UnescapeString(text), apart})
		if !tag {
			return out
		}
		inside, behind, _ := strings.Cut(rest, ">")
		page = behind
		name := strings.TrimSuffix(strings.Fields(inside + " ")[0], "/")
		switch {
		case strings.HasPrefix(name, "/"):
			for i := len(within) - 1; i >= 0; i-- {
				if "/"+within[i].name == name {
					within = within[:i]
					break
				}
			}
		case name != "input" && name != "meta" && name != "link" && name != "br" && name != "img" && !strings.HasPrefix(name, "!"):
			within = append(within, open{name, name == "bdi" || strings.Contains(inside, `dir="auto"`)})
		}
	}
	return out
}
