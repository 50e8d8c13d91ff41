package page

import (
	"context"
	"encoding/csv"
	"html"
	"io"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"edged/agent/account"
	"edged/agent/status"
)

// evil is what stands in every text of secretDesk; each of them begins with what it is.
const evil = `"><script>alert(1)</script>{{.W}}` + "\u202e\x00\x1b[2J"

// secretDesk has a study of somebody, with hostile text in every field.
type secretDesk struct{ asked []StudyQuery }

var secretCard = status.Card{
	Study: status.Study{Key: "00112233445566aa", Modality: "CT" + evil, Device: "=cmd" + evil, Instances: 12, Bytes: 1e6, FirstReceived: before(time.Hour), LastReceived: before(time.Minute),
		Hops: status.Hops{Received: 2, AtHub: 3, Archived: 5, Held: 1, Quarantined: 1}},
	UID: "9.8.7.6", Accession: "SECRETACC" + evil, StudyDate: "19990101", StudyTime: "010203", Description: "SECRETTEXT" + evil,
	Person:   status.Person{Name: "SECRETNAME^Zoe" + evil + strings.Repeat("x", 64<<10), Initials: "Z.S.", BirthDate: "19481217", BirthYear: 1948, Sex: "SECRETSEX", ID: "SECRETID" + evil, Issuer: "SECRETISSUER", Fiscal: "SECRETCF"},
	Findings: []status.Finding{{Code: "fiscal.birth", Level: status.LevelWarn, Cause: "SECRETCAUSE", Values: [2]string{"SECRETVALUE" + evil, "x"}, Count: 3}},
}

var secretDetail = StudyDetail{Card: secretCard, Series: 2, Late: 2, Here: 12, FirstHub: before(time.Hour), LastHub: before(time.Minute), LastArch: before(time.Minute),
	Why:     []StudyWhy{{Code: WhyArchiveSays, Count: 1, Words: "0xA900" + evil, Where: "vna" + evil}, {Code: "of a later version", Count: 2}, {Code: WhyLost, Count: 1}},
	Receipt: StudyReceipt{Digest: strings.Repeat("ab", 32), More: 2, Instances: []ReceiptInstance{{ID: strings.Repeat("cd", 32), UID: "1.2.3" + evil, Bytes: 500, Received: before(time.Hour)}}}}

func (d *secretDesk) Search(q StudyQuery) StudyList {
	d.asked = append(d.asked, q)
	return StudyList{Cards: []status.Card{secretCard}, Total: 120, Devices: []string{"=cmd" + evil, "CT1"}, Reading: true}
}

func (*secretDesk) Study(key string, _ bool) (StudyDetail, bool) {
	return secretDetail, key == secretCard.Key
}

func (*secretDesk) Resend(context.Context, string, account.Actor) (int64, error) { return 1, nil }

func (*secretDesk) Days(int) []time.Time {
	return []time.Time{time.Date(2026, 11, 21, 0, 0, 0, 0, rome)}
}

func (*secretDesk) Day(time.Time) DayReport {
	return DayReport{Devices: []DayDevice{{Device: "=cmd" + evil, Studies: 1, Images: 12, Hops: secretCard.Hops, Refused: 4}}, Missing: []StudyDetail{secretDetail}, More: 3}
}

func (*secretDesk) Rows(q AuditQuery) (AuditPage, error) {
	return AuditPage{Rows: []AuditRow{{Seq: 7, Of: 6, At: before(time.Hour), Who: "maria" + evil, Action: "study resend", Outcome: "done"}, {Seq: 6, Who: "x", Action: "pinch" + evil, Object: "o" + evil, Reason: "r" + evil, Outcome: "failed: " + evil}},
		Total: 250, All: 1204, Without: 1, Head: strings.Repeat("ef", 32), Older: true}, nil
}

func (*secretDesk) Export(w io.Writer, _ bool, _ account.Actor) error {
	_, err := io.WriteString(w, "rows")
	return err
}

func secretPage(t *testing.T, anonymous string) (*Page, *secretDesk) {
	t.Helper()
	d := &secretDesk{}
	p, err := New(Config{Source: scenes()["attention"], Anonymous: anonymous, Location: rome, Studies: d, Audit: d, Days: d, Sentence: sayPlainly, now: func() time.Time { return morning }})
	if err != nil {
		t.Fatal(err)
	}
	return p, d
}

// seenBy draws all pages of studies, days and trail that somebody may see; the table, too.
func seenBy(t *testing.T, p *Page, who viewer) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, l := range append(append(p.studyLeaves(), p.dayLeaves()...), p.auditLeaves()...) {
		if !who.May(l.role) {
			continue
		}
		r := httptest.NewRequest("GET", "/x?lang=it&s="+p.slips.put(morning, who, url.Values{"q": {"Whoever"}})+"&page=2&device=CT1&state=archived&day=2026-11-20&who=mar", nil)
		r.SetPathValue("key", secretCard.Key)
		if strings.Contains(l.path, "{date}") {
			r.SetPathValue("date", "2026-11-21")
		}
		rq, w := p.request(r), httptest.NewRecorder()
		rq.Viewer = who
		if l.raw != nil {
			if err := l.raw(w, rq); err != nil {
				t.Errorf("%s: %v", l.path, err)
			}
		} else if data, err := l.build(rq); err != nil {
			t.Errorf("%s: %v", l.path, err)
		} else {
			p.draw(w, rq, l, data)
		}
		out[l.path] = w.Body.String()
		if l.raw == nil {
			out[l.path] = html.UnescapeString(strings.ReplaceAll(out[l.path], "&lt;", "‹"))
		}
	}
	return out
}

// Who is not logged in sees no person, in none of the pages and tables: neither a name
// nor a number, and of initials only what the facility allows. His search for one is
// not even asked.
func TestNobodySeesAPersonWhoMayNot(t *testing.T) {
	for _, anonymous := range []string{AnonymousState, AnonymousMasked} {
		p, desk := secretPage(t, anonymous)
		pages := seenBy(t, p, viewer{})
		if len(pages) != 6 {
			t.Errorf("%d pages are for everybody", len(pages))
		}
		for path, body := range pages {
			if i := strings.Index(body, "SECRET"); i >= 0 {
				t.Errorf("%s, %s: %s", anonymous, path, body[max(0, i-80):i+40])
			}
			for _, one := range []string{"9.8.7.6", "1948121", "17/12/1948", "1.2.3" + `"`, "010203", "01/01/1999"} {
				if strings.Contains(body, one) {
					t.Errorf("%s, %s shows %s", anonymous, path, one)
				}
			}
			masked := strings.Contains(body, "Z.S.") && strings.Contains(body, "1948")
			if masked != (anonymous == AnonymousMasked) {
				t.Errorf("%s, %s: initials and year of birth: %t", anonymous, path, masked)
			}
		}
		for _, q := range desk.asked {
			if anonymous == AnonymousState && (q.Text != "" || q.Sight != SeesState) || anonymous == AnonymousMasked && q.Sight != SeesMasked {
				t.Errorf("%s asks %+v", anonymous, q)
			}
			if q.Offset != 50 || q.Device != "CT1" || q.State != status.Archived || q.Day.Format(time.DateOnly) != "2026-11-20" {
				t.Errorf("asks %+v", q)
			}
		}
	}
}

// Who is logged in sees who it is, and what is wrong with the data; whatever stands in
// a field is text, and short.
func TestHostileTextInAStudyIsText(t *testing.T) {
	p, _ := secretPage(t, AnonymousState)
	pages := seenBy(t, p, viewers[2])
	for path, body := range pages {
		if strings.HasSuffix(path, ".csv") || strings.HasSuffix(path, ".jsonl") {
			continue
		}
		for _, wrong := range []string{"<script>alert", "\u202e", "\x00", "\x1b"} {
			if strings.Contains(body, wrong) {
				t.Errorf("%s shows %q", path, wrong)
			}
		}
		if len(body) > 128<<10 {
			t.Errorf("%s has %d bytes", path, len(body))
		}
		if i := strings.Index(body, "⟦"); i >= 0 {
			t.Errorf("%s lacks a text: %s", path, body[i:min(i+60, len(body))])
		}
	}
	for path, says := range map[string][]string{
		"/studies":               {"SECRETNAME Zoe", "SECRETACC", "Da correggere: CAUSE SECRETCAUSE", "pagina 2 di 3", "ancora rileggendo", "/studies?day=2026-11-20&device=CT1&page=3&s="},
		"/studies/{key}":         {"Aggiornato (+2 immagini dopo l’archiviazione)", "l’archivio l’ha respinta. Dice vna", "SECRETCF", "9.8.7.6", "fiscal.birth SECRETVALUE", "messe da parte", "Invia di nuovo"},
		"/studies/{key}/receipt": {strings.Repeat("ab", 32), strings.Repeat("cd", 32), "Non ancora archiviato", "E altre 2 immagini", "Radiologia"},
		"/days":                  {"7 immagini di questo giorno non sono ancora archiviate", "E altri 3 esami", "SECRETNAME"},
		"/audit":                 {"La catena è integra: 1.204 righe.", "Esame inviato di nuovo", "fatta (riga 6)", "maria", "/audit/export.csv"},
	} {
		for _, want := range says {
			if !strings.Contains(pages[path], want) {
				t.Errorf("%s does not say %q", path, want)
			}
		}
	}
	if tech := seenBy(t, p, viewers[1]); tech["/audit/export.csv"] != "" || strings.Contains(tech["/audit"], "/audit/export") {
		t.Error("a technician is offered the trail to take along")
	}
}

// A table that a spreadsheet opens computes nothing.
func TestATableIsNoFormula(t *testing.T) {
	p, _ := secretPage(t, AnonymousState)
	table := seenBy(t, p, viewer{})["/days/{date}/table.csv"]
	in := csv.NewReader(strings.NewReader(table))
	in.FieldsPerRecord = -1
	rows, err := in.ReadAll()
	if err != nil || len(rows) != 4 {
		t.Fatalf("%v: %q", err, table)
	}
	for _, row := range rows {
		for _, cell := range row {
			if strings.ContainsAny(cell[:min(1, len(cell))], "=+-@") {
				t.Errorf("a formula: %q", cell)
			}
		}
	}
	for in, want := range map[string]string{"=1": "'=1", "+1": "'+1", "-1": "'-1", "@x": "'@x", " =1": "' =1", "\t=1": "'\t=1", "a=1": "a=1", "": ""} {
		if got := Cell(in); got != want {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
	}
}

// Each reason has a sentence of its own, for one and for many.
func TestEveryReasonIsSaid(t *testing.T) {
	met := map[string]bool{}
	for _, code := range WhyStoppedCodes {
		for _, n := range []int64{1, 5} {
			said := whyStopped(StudyWhy{Code: code, Count: n}, catalogues["it"])
			if met[said] || strings.Contains(said, "⟦") {
				t.Errorf("%s: %q", code, said)
			}
			met[said] = true
		}
	}
}

// Each stage that was reached says when, also that of sending.
func TestTheWaySaysWhenAStudyLeft(t *testing.T) {
	card := status.Card{Study: status.Study{Instances: 2, Hops: status.Hops{Sending: 1, AtHub: 1}, FirstReceived: before(time.Hour), LastReceived: before(time.Hour)}}
	s := sighted{facts: facts{Now: morning}, W: catalogues["it"]}
	for _, left := range []time.Time{{}, before(30 * time.Minute)} {
		stage := stagesOf(StudyDetail{Card: card, FirstSent: left}, s)[1]
		if want := s.moment(s.W, left); stage.When != want || want == "" != left.IsZero() {
			t.Errorf("left at %v: %q, want %q", left, stage.When, want)
		}
	}
}
