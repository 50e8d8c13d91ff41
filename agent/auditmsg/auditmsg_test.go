package auditmsg

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

var (
	author  = Author{ID: "edged-7f3a", Site: "120148"}
	noon    = time.Date(2026, 11, 22, 12, 0, 0, 250_000_000, time.FixedZone("CET", 3600))
	process = Party{ID: "4711", AETitles: []string{"EDGED", "URGENT"}, Name: "edged", Host: "10.0.0.9"}
	device  = Party{ID: "CT1", AETitles: []string{"CT1"}, Host: "ct1.example.org", Requestor: true}
	person  = Party{ID: "rossi@edged-7f3a", Name: "rossi", Host: "10.0.0.77"}
	study   = Study{UID: "1.2.3", Accessions: []string{"ACC7"}, Classes: []Class{{"1.2.840.10008.5.1.4.1.1.2", 120}, {"1.2.840.10008.5.1.4.1.1.7", 1}}}
)

func at(o Outcome, reason string) Event { return Event{Time: noon, Outcome: o, Reason: reason} }

func read(t *testing.T, b []byte) *node {
	t.Helper()
	if !utf8.Valid(b) || !strings.HasPrefix(string(b), `<?xml version="1.0" encoding="UTF-8"?><AuditMessage>`) {
		t.Fatalf("not a message: %q", b)
	}
	n, err := parse(b)
	if err == nil {
		err = n.valid()
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, b)
	}
	return n
}

func codeOf(n *node) string { return n.attrs["csd-code"] + " " + n.attrs["codeSystemName"] }

// The tables of PS3.15 §A.5.3: event, action, kind, roles of the participants, and what
// the objects are.
func TestMessagesHaveWhatTheTablesDemand(t *testing.T) {
	transfer := Transfer{Event: at(Success, ""), From: device, To: process, Study: study, PatientID: "RSSMRA80A01H501U"}
	alert := Alert{Event: at(Serious, "refused"), Kind: NodeAuthentication, Reporter: process, Performers: []Party{device}, Node: "10.0.0.5", Text: "called by a stranger"}
	for name, c := range map[string]struct {
		got                         []byte
		id, action, outcome, kind   string
		roles, requestors, subjects []string
	}{
		"start": {author.Activity(Activity{Event: at(Success, ""), Process: process, Launchers: []Party{{ID: "1", Name: "systemd", Requestor: true}}}),
			"110100 DCM", "E", "0", "110120 DCM", []string{"110150 DCM", "110151 DCM"}, []string{"false", "true"}, nil},
		"stop": {author.Activity(Activity{Event: at(Major, "disk"), Stop: true, Process: process}),
			"110100 DCM", "E", "12", "110121 DCM", []string{"110150 DCM"}, []string{"false"}, nil},
		"login": {author.Login(Login{Event: at(Minor, "wrong password"), Person: person, Node: process}),
			"110114 DCM", "E", "4", "110122 DCM", []string{"", ""}, []string{"true", "false"}, nil},
		"logout by the clock": {author.Login(Login{Event: at(Success, ""), Logout: true, Expired: true, Person: person, Node: process}),
			"110114 DCM", "E", "0", "110123 DCM", []string{"", ""}, []string{"false", "true"}, nil},
		"begin": {author.Beginning(transfer),
			"110102 DCM", "E", "0", "", []string{"110153 DCM", "110152 DCM"}, []string{"true", "false"}, []string{"2 3 110180 DCM 1.2.3", "1 1 2 RFC-3881 withheld"}},
		"transferred": {author.Transferred(transfer, New),
			"110104 DCM", "C", "0", "", []string{"110153 DCM", "110152 DCM"}, []string{"true", "false"}, []string{"2 3 110180 DCM 1.2.3", "1 1 2 RFC-3881 withheld"}},
		"transferred, action made up": {author.Transferred(transfer, "X"),
			"110104 DCM", "R", "0", "", []string{"110153 DCM", "110152 DCM"}, []string{"true", "false"}, []string{"2 3 110180 DCM 1.2.3", "1 1 2 RFC-3881 withheld"}},
		"log used": {author.LogUsed(LogUsed{Event: at(Success, "the chain is whole"), Reader: process, Address: "file:///var/lib/edged/audit"}),
			"110101 DCM", "R", "0", "", []string{""}, []string{"true"}, []string{"2 13 12 RFC-3881 file:///var/lib/edged/audit"}},
		"alert": {author.Alert(alert),
			"110113 DCM", "E", "8", "110126 DCM", []string{"", ""}, []string{"false", "false"}, []string{"2 13 110182 DCM 10.0.0.5"}},
	} {
		t.Run(name, func(t *testing.T) {
			n := read(t, c.got)
			e := n.children[0]
			if got := codeOf(e.all("EventID")[0]); got != c.id {
				t.Errorf("event %s, want %s", got, c.id)
			}
			if e.attrs["EventActionCode"] != c.action || e.attrs["EventOutcomeIndicator"] != c.outcome || e.attrs["EventDateTime"] != "2026-11-22T12:00:00.25+01:00" {
				t.Errorf("event %v, want action %s, outcome %s", e.attrs, c.action, c.outcome)
			}
			kind := ""
			for _, k := range e.all("EventTypeCode") {
				kind += codeOf(k)
			}
			if kind != c.kind {
				t.Errorf("kind %q, want %q", kind, c.kind)
			}
			var roles, requestors, subjects []string
			for _, p := range n.all("ActiveParticipant") {
				role := ""
				for _, r := range p.all("RoleIDCode") {
					role += codeOf(r)
				}
				roles, requestors = append(roles, role), append(requestors, p.attrs["UserIsRequestor"])
			}
			for _, o := range n.all("ParticipantObjectIdentification") {
				subjects = append(subjects, strings.Join([]string{o.attrs["ParticipantObjectTypeCode"], o.attrs["ParticipantObjectTypeCodeRole"],
					codeOf(o.children[0]), o.attrs["ParticipantObjectID"]}, " "))
			}
			if !slices.Equal(roles, c.roles) || !slices.Equal(requestors, c.requestors) || !slices.Equal(subjects, c.subjects) {
				t.Errorf("roles %q requestors %q objects %q\nwant  %q %q %q", roles, requestors, subjects, c.roles, c.requestors, c.subjects)
			}
		})
	}
}

// What a repository has been seen to take, whole, so that a change of a byte is seen.
func TestTransferredIsWrittenAsDrawn(t *testing.T) {
	got := string(author.Transferred(Transfer{Event: at(Serious, "A700"), From: device, To: process, Study: study}, Unknown))
	const want = `<?xml version="1.0" encoding="UTF-8"?><AuditMessage>` +
		`<EventIdentification EventActionCode="R" EventDateTime="2026-11-22T12:00:00.25+01:00" EventOutcomeIndicator="8">` +
		`<EventID csd-code="110104" codeSystemName="DCM" originalText="DICOM Instances Transferred"></EventID>` +
		`<EventOutcomeDescription>A700</EventOutcomeDescription></EventIdentification>` +
		`<ActiveParticipant UserID="CT1" AlternativeUserID="AETITLES=CT1" UserIsRequestor="true" NetworkAccessPointID="ct1.example.org" NetworkAccessPointTypeCode="1">` +
		`<RoleIDCode csd-code="110153" codeSystemName="DCM" originalText="Source Role ID"></RoleIDCode></ActiveParticipant>` +
		`<ActiveParticipant UserID="4711" AlternativeUserID="AETITLES=EDGED;URGENT" UserName="edged" UserIsRequestor="false" NetworkAccessPointID="10.0.0.9" NetworkAccessPointTypeCode="2">` +
		`<RoleIDCode csd-code="110152" codeSystemName="DCM" originalText="Destination Role ID"></RoleIDCode></ActiveParticipant>` +
		`<AuditSourceIdentification AuditEnterpriseSiteID="120148" AuditSourceID="edged-7f3a"><AuditSourceTypeCode csd-code="4"></AuditSourceTypeCode></AuditSourceIdentification>` +
		`<ParticipantObjectIdentification ParticipantObjectID="1.2.3" ParticipantObjectTypeCode="2" ParticipantObjectTypeCodeRole="3">` +
		`<ParticipantObjectIDTypeCode csd-code="110180" codeSystemName="DCM" originalText="Study Instance UID"></ParticipantObjectIDTypeCode><ParticipantObjectName>Study</ParticipantObjectName>` +
		`<ParticipantObjectDescription><SOPClass UID="1.2.840.10008.5.1.4.1.1.2" NumberOfInstances="120"></SOPClass><SOPClass UID="1.2.840.10008.5.1.4.1.1.7" NumberOfInstances="1"></SOPClass>` +
		`</ParticipantObjectDescription></ParticipantObjectIdentification>` +
		`<ParticipantObjectIdentification ParticipantObjectID="withheld" ParticipantObjectTypeCode="1" ParticipantObjectTypeCodeRole="1">` +
		`<ParticipantObjectIDTypeCode csd-code="2" codeSystemName="RFC-3881" originalText="Patient Number"></ParticipantObjectIDTypeCode><ParticipantObjectName>withheld</ParticipantObjectName>` +
		`</ParticipantObjectIdentification></AuditMessage>`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestNumbersOfAPersonAreToldOnlyByAnAuthorWhoMay(t *testing.T) {
	transfer := Transfer{Event: at(Success, ""), From: device, To: process, Study: study, PatientID: "PAT-9"}
	for _, may := range []Author{{}, {Accessions: true}, {PatientIDs: true}, {Accessions: true, PatientIDs: true}} {
		for _, b := range [][]byte{may.Beginning(transfer), may.Transferred(transfer, New)} {
			read(t, b)
			if got := strings.Contains(string(b), "ACC7"); got != may.Accessions {
				t.Errorf("%+v: accession told: %v", may, got)
			}
			if got := strings.Contains(string(b), "PAT-9"); got != may.PatientIDs {
				t.Errorf("%+v: patient ID told: %v", may, got)
			}
		}
	}
}

// An AE title is what a peer says it is.
func TestHostileTextIsHarmless(t *testing.T) {
	for in, want := range map[string]string{
		"CT\x00\x1b[31m1\r\n<x>":      "CT[31m1 <x>",
		"A;AETITLES=B":                "A_AETITLES=B",
		`"/><AuditMessage>&amp;`:      `"/><AuditMessage`, // 28 bytes escaped, and no room for 5 more
		"\u202eTC\u2066\u200b\ufeff1": "TC1",
		"  CT \t 1  ":                 "CT 1",
		"\xff\xfe":                    "\ufffd\ufffd",
		"\ufffe\uffff\U0010ffff":      "",
		strings.Repeat("x", 64<<10):   strings.Repeat("x", maxTitle),
		strings.Repeat("\u00e9", 99):  strings.Repeat("\u00e9", maxTitle/2),
		strings.Repeat("&", 99):       strings.Repeat("&", maxTitle/5),
		strings.Repeat("\x00", 9<<10): "",
	} {
		n := read(t, author.Beginning(Transfer{Event: at(Success, ""), From: Party{ID: in, AETitles: []string{in}}, To: process, Study: Study{UID: in}}))
		got, there := n.all("ActiveParticipant")[0].attrs["AlternativeUserID"]
		if want != "" {
			want = "AETITLES=" + want
		}
		if got != want || there != (want != "") {
			t.Errorf("%.40q became %q, want %q", in, got, want)
		}
	}
}

func TestTheWorstMessageFitsEverySyslogReceiver(t *testing.T) {
	for _, filler := range []string{"x", "&", "\u00e9", "\U0001f4a3"} {
		long := strings.Repeat(filler, 70<<10)
		p := Party{ID: long, AETitles: slices.Repeat([]string{long}, 99), Login: long, Name: long, Host: long}
		s := Study{UID: long, Accessions: slices.Repeat([]string{long}, 99), Classes: slices.Repeat([]Class{{long, 1 << 55}}, 99)}
		e := at(Serious, long)
		a := Author{ID: long, Site: long, Accessions: true, PatientIDs: true}
		others := slices.Repeat([]Party{p}, 99)
		for name, b := range map[string][]byte{
			"activity":    a.Activity(Activity{Event: e, Process: p, Launchers: others}),
			"login":       a.Login(Login{Event: e, Person: p, Node: p}),
			"transferred": a.Transferred(Transfer{Event: e, From: p, To: p, Others: others, Study: s, PatientID: long}, New),
			"alert":       a.Alert(Alert{Event: e, Reporter: p, Performers: others, Node: long, Text: long}),
		} {
			if read(t, b); len(b) > MaxBytes {
				t.Errorf("%s of %q: %d bytes, the bound is %d", name, filler, len(b), MaxBytes)
			}
		}
	}
}

func TestInstancesBeyondTheBoundAreCountedStill(t *testing.T) {
	s := Study{UID: "1.2", Classes: []Class{}}
	want := int64(0)
	for i := range MaxClasses + 10 {
		s.Classes = append(s.Classes, Class{fmt.Sprintf("1.2.%d", i), int64(i)})
		want += int64(i)
	}
	s.Classes = append(s.Classes, Class{"1.9", -5}) // a count cannot be less than none
	n := read(t, author.Beginning(Transfer{Event: at(Success, ""), From: device, To: process, Study: s}))
	got, without := int64(0), 0
	all := n.all("ParticipantObjectIdentification")[0].all("ParticipantObjectDescription")[0].all("SOPClass")
	for _, c := range all {
		var i int64
		fmt.Sscan(c.attrs["NumberOfInstances"], &i)
		got += i
		if _, there := c.attrs["UID"]; !there {
			without++
		}
	}
	if got != want || len(all) != MaxClasses+1 || without != 1 {
		t.Errorf("%d instances in %d classes, %d without UID; want %d in %d, 1", got, len(all), without, want, MaxClasses+1)
	}
}

func TestMandatoryFieldsAreThereWhateverIsGiven(t *testing.T) {
	for name, b := range map[string][]byte{
		"activity": Author{}.Activity(Activity{}), "login": Author{}.Login(Login{Person: Party{Host: "\x00"}}), "begin": Author{}.Beginning(Transfer{}),
		"transferred": Author{}.Transferred(Transfer{}, ""), "alert": Author{}.Alert(Alert{Kind: 99}),
	} {
		n := read(t, b)
		if got := n.all("ActiveParticipant")[0].attrs["UserID"]; got != "unknown" {
			t.Errorf("%s: user %q", name, got)
		}
		if name == "login" && n.all("ActiveParticipant")[0].attrs["NetworkAccessPointID"] != "unknown" { // mandatory there, §A.5.3.12
			t.Errorf("login: %v", n.all("ActiveParticipant")[0].attrs)
		}
	}
}

func TestOneRequestorAtMost(t *testing.T) {
	n := read(t, author.Beginning(Transfer{Event: at(7, ""), From: device, To: device, Others: []Party{device, device}, Study: study}))
	got := ""
	for _, p := range n.all("ActiveParticipant") {
		got += p.attrs["UserIsRequestor"][:1]
	}
	if got != "tfff" {
		t.Errorf("requestors %s, want tfff", got)
	}
	if o := n.children[0].attrs["EventOutcomeIndicator"]; o != "8" {
		t.Errorf("an outcome of 7 became %s, want 8", o)
	}
}

func TestTimesAreOfTheSchemaWhateverTheClockSays(t *testing.T) {
	for _, moment := range []time.Time{{}, noon, time.Date(12026, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(-5, 1, 1, 0, 0, 0, 0, time.UTC),
		time.Date(2026, 1, 1, 0, 0, 0, 1, time.FixedZone("", 20*3600)), time.Date(9999, 12, 31, 23, 0, 0, 0, time.FixedZone("", -20*3600))} {
		read(t, author.Activity(Activity{Event: Event{Time: moment}, Process: process}))
	}
}

func TestAlertKeepsItsTextFromParsers(t *testing.T) {
	const text = "</AuditMessage>\x00<script>"
	n := read(t, author.Alert(Alert{Event: at(Minor, ""), Kind: AuditStopped, Reporter: process, Text: text}))
	o := n.all("ParticipantObjectIdentification")[0]
	d := o.all("ParticipantObjectDetail")[0]
	got, err := base64.StdEncoding.DecodeString(d.attrs["value"])
	if err != nil || string(got) != text || d.attrs["type"] != "Alert Description" || o.attrs["ParticipantObjectID"] != author.ID {
		t.Errorf("%v %v: %q, %v", o.attrs, d.attrs, got, err)
	}
}

// The judge has to be one: messages that break the schema are seen.
func TestTheSchemaOfTheTestsRefuses(t *testing.T) {
	good := string(author.Alert(Alert{Event: at(Minor, "x"), Reporter: process, Text: "y"}))
	for _, c := range [][2]string{
		{`EventActionCode="E"`, `EventActionCode="X"`}, {`EventOutcomeIndicator="4"`, `EventOutcomeIndicator="5"`}, {`+01:00"`, `"`},
		{`UserIsRequestor="false"`, ``}, {`csd-code="110113"`, `code="110113"`}, {`<ParticipantObjectName>Node</ParticipantObjectName>`, ``},
		{`<EventOutcomeDescription>x</EventOutcomeDescription></EventIdentification>`, `</EventIdentification><EventOutcomeDescription>x</EventOutcomeDescription>`},
		{`originalText="Node ID"`, ``}, {`<AuditSourceTypeCode csd-code="4">`, `<AuditSourceTypeCode csd-code="4" displayName="x">`},
		{`type="Alert Description" value="`, `type="Alert Description" value="!`}, {`</AuditMessage>`, `<x/></AuditMessage>`},
	} {
		bad := strings.Replace(good, c[0], c[1], 1)
		n, err := parse([]byte(bad))
		if err == nil {
			err = n.valid()
		}
		if bad == good || err == nil {
			t.Errorf("%s for %s was taken", c[1], c[0])
		}
	}
}

// Whatever the peer and the configuration say, a message is of the schema, within its
// bound, and has the elements that the same message with plain text has.
func FuzzMessagesStayOfTheSchema(f *testing.F) {
	f.Add("CT1", "1.2.3", "ACC", int64(0))
	f.Add("<&\"'>;]]>", "\x00\x1f\x7f\u0085\u2028", "\u202e\ufeff\xff", int64(1<<62))
	f.Add(" ", "\t\n", "&#x0;", int64(-1<<62))
	f.Fuzz(func(t *testing.T, a, b, c string, seconds int64) {
		build := func(a, b, c string) [][]byte {
			author := Author{ID: a, Site: b, Accessions: true, PatientIDs: true}
			p, q := Party{ID: a, AETitles: []string{b, c}, Name: c, Host: b}, Party{ID: b, Login: c, Name: a, Host: a, Requestor: true}
			e := Event{Time: time.Unix(seconds, 0), Outcome: Outcome(seconds), Reason: "r"}
			s := Study{UID: b, Classes: []Class{{a, seconds}, {c, 1}}}
			return [][]byte{author.Activity(Activity{e, true, p, []Party{q}}), author.Login(Login{e, true, true, q, Party{ID: "n", Host: c}}),
				author.Transferred(Transfer{e, p, q, []Party{q, p}, s, c}, Held(a)), author.Alert(Alert{e, AlertKind(seconds), p, []Party{q}, b, c})}
		}
		plain := build("a", "b", "c")
		for i, m := range build(a, b, c) {
			if len(m) > MaxBytes {
				t.Fatalf("%d bytes", len(m))
			}
			if got, want := read(t, m).count(), read(t, plain[i]).count(); got != want {
				t.Fatalf("%d elements, want %d:\n%s", got, want, m)
			}
		}
	})
}

func (n *node) count() int {
	sum := 1
	for _, c := range n.children {
		sum += c.count()
	}
	return sum
}
