package ledger

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// allFound lists everything, page after page, and how many pages that takes.
func (w *world) allFound(device, code string, limit int) (out []string, pages int) {
	w.Helper()
	var after FoundAfter
	for more := true; more; pages++ {
		var rows []FoundRow
		var err error
		rows, after, more, err = w.FoundPage(w.ctx, device, code, after, limit)
		w.must(err)
		for _, r := range rows {
			out = append(out, fmt.Sprintf("%s %s %s %d %s", r.UID, r.Device, r.Facility, r.Objects, r.Found))
		}
		if pages > 1000 {
			w.Fatal("the list has no end")
		}
	}
	return out, pages
}

// What an appliance finds in the data of a study stands beside it until that appliance says
// something else; newest first, of one appliance, of one kind; and it holds nothing.
func TestWhatIsFoundInStudiesIsListed(t *testing.T) {
	w := start(t, Config{})
	say := func(device, uid string, revision uint32, found string) {
		w.after(time.Second)
		w.must(w.SayStudy(w.ctx, device, uid, revision, revision == 1, 3, found))
	}
	w.enrolled("a", "F1")
	w.enrolled("b", "F1")
	w.receive(object("a", 1, "x"))
	say("a", "2.25.1", 1, "fiscal.check 2; accession.missing 3")
	say("b", "2.25.1", 1, "fiscal.checks 1")
	say("a", "2.25.2", 1, "")
	say("a", "2.25.3", 1, "fiscal.check 1")
	say("a", "2.25.3", 1, "said again")
	list := func(device, code string) string {
		out, _ := w.allFound(device, code, 10)
		return strings.Join(out, "\n")
	}
	w.want("all", list("", ""), "2.25.3 a F1 3 fiscal.check 1\n2.25.1 b F1 3 fiscal.checks 1\n2.25.1 a F1 3 fiscal.check 2; accession.missing 3")
	w.want("of one", list("b", ""), "2.25.1 b F1 3 fiscal.checks 1")
	w.want("of a kind", list("", "fiscal.check"), "2.25.3 a F1 3 fiscal.check 1\n2.25.1 a F1 3 fiscal.check 2; accession.missing 3")
	w.want("of neither", list("b", "fiscal.check"), "")
	say("a", "2.25.3", 2, "") // corrected, and sent again
	w.want("after a correction", list("a", "fiscal.check"), "2.25.1 a F1 3 fiscal.check 2; accession.missing 3")
	w.want("what may go", len(w.lease("vna", 9)), 1)

	say("a", "2.25.4", 1, strings.Repeat("x", maxStudyFound)+"\x00\n\xff")
	rows, _, _, err := w.FoundPage(w.ctx, "", "", FoundAfter{}, 1)
	w.must(err)
	w.want("a text without end", rows[0].Found, strings.Repeat("x", maxStudyFound))
}

// Paged by few, or of a kind that is rare, each is listed once, also those of one moment.
func TestNoneIsLeftOutBetweenPages(t *testing.T) {
	w := start(t, Config{})
	const many = 2*foundChunk + 7
	for n := range many {
		found := "fiscal.check 1"
		if n%400 == 3 {
			found += "; study.births 0"
		}
		if n%3 == 0 {
			w.after(time.Millisecond)
		}
		w.must(w.SayStudy(w.ctx, fmt.Sprint("box", n%2), fmt.Sprintf("2.25.%d", n), 1, true, 1, found))
	}
	for _, c := range []struct {
		device, code      string
		limit, rows, most int
	}{{"", "", 100, many, 12}, {"", "", 501, many, 4}, {"box1", "", 100, many / 2, 7}, {"", "study.births", 2, 3, 3}} {
		out, pages := w.allFound(c.device, c.code, c.limit)
		seen := map[string]bool{}
		for _, one := range out {
			seen[one] = true
		}
		if len(out) != c.rows || len(seen) != c.rows || pages > c.most {
			t.Errorf("%+v: %d rows, %d different ones, %d pages", c, len(out), len(seen), pages)
		}
	}
}

// A page of them reads no row of a study without findings, and none of another appliance.
func TestFindingsAreFoundByTheirIndex(t *testing.T) {
	onlySQLite(t)
	w := start(t, Config{})
	for want, query := range map[string]string{
		"studies_said_found":    `SELECT s.study FROM studies_said s WHERE s.found <> '' AND (s.at, s.study, s.device) < (5, 'x', 'y') ORDER BY s.at DESC, s.study DESC, s.device DESC LIMIT 9`,
		"studies_said_found_of": `SELECT s.study FROM studies_said s WHERE s.found <> '' AND (s.at, s.study, s.device) < (5, 'x', 'y') AND s.device = 'a' ORDER BY s.at DESC, s.study DESC, s.device DESC LIMIT 9`,
	} {
		if plan := w.plan(query); !strings.Contains(plan, "INDEX "+want+" ") || strings.Contains(plan, "TEMP B-TREE") {
			t.Errorf("%s: %s", want, plan)
		}
	}
}
