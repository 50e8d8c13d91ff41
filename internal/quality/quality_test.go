package quality

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

var rome = time.FixedZone("", 3600)

// received is a Sunday of the ISO week 47.
var received = time.Date(2026, 11, 22, 10, 30, 0, 0, rome)

// good is an examination with which nothing is wrong.
func good() Instance {
	return Instance{
		PatientName: "Rossi^Mario", Patient: Patient{"RSSMRA72H26F941L", codeIssuer}, BirthDate: "19720626", Sex: "M",
		Accession: "A0012345", AccessionIssuer: "RIS",
		Study: "1.2.3", Series: "1.2.3.4", SOPInstance: "1.2.3.4.5", SOPClass: "1.2.840.10008.5.1.4.1.1.2", TransferSyntax: "1.2.840.10008.1.2.1", Content: "aa",
		StudyDate: "20261122", StudyTime: "101500.25", Timezone: "+0100", Modality: "CT", StudyDescription: "Torace",
		Pixels:      Pixels{Rows: 512, Columns: 512, Samples: 1, Bits: 16, Data: PixelsNative, Bytes: 524288},
		Institution: "Ospedale di Bolzano - Radiologia", Station: "CT01", CharacterSet: []string{"ISO_IR 100"},
	}
}

func around() Context {
	return Context{
		Received: received, KnownContent: "aa", StudyPatient: Patient{ID: "RSSMRA72H26F941L"}, AccessionPatient: Patient{ID: "rssmra72h26f941l"},
		Device: Device{AETitle: "CT01", Modalities: []string{"CT"}, Stations: []string{"ct01"}, Drift: 59 * time.Second, DriftStudies: 20,
			Usual: 400, UsualStudies: 20},
		Facility: Facility{Names: []string{"Ospedale di Bolzano", "Krankenhaus Bozen"}, Codes: []string{"020001"}},
	}
}

func together() Study {
	return Study{Patients: []Patient{{"1", ""}, {"1", "H"}}, Names: []string{"Rossi^Mario", "ROSSI^MARIO^"}, BirthDates: []string{"19720626"},
		Accessions: []string{"A1", "a1"}, Instances: 400, Expected: 400, Settled: true}
}

// loud tells what is off by itself, too.
func loud(t *testing.T, c Config) *Checker {
	t.Helper()
	c.Actions = map[Code]Level{AccIssuer: Info, ZoneMissing: Info}
	k, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestNothingIsWrongWithAGoodExamination(t *testing.T) {
	k := loud(t, Config{AccessionPattern: `A\d{7}`})
	if got := k.Instance(good(), around()); len(got) != 0 {
		t.Errorf("instance: %v", got)
	}
	if got := k.Study(together(), around()); len(got) != 0 {
		t.Errorf("study: %v", got)
	}
}

// What is not known is not judged: only what the data set itself lacks is told.
func TestWithoutContextNothingContradicts(t *testing.T) {
	k := loud(t, Config{})
	if got := k.Instance(good(), Context{}); len(got) != 0 {
		t.Errorf("instance: %v", got)
	}
	if got := append(k.Study(together(), Context{}), k.Study(Study{}, Context{})...); len(got) != 0 {
		t.Errorf("study: %v", got)
	}
}

// told is one way in which an instance is wrong, and what is said of it.
type told struct {
	change func(i *Instance, in *Context)
	want   []string // code a b
}

var told1 = []told{
	{func(i *Instance, _ *Context) { i.Unreadable, i.Study, i.Patient.ID = true, "", "" }, []string{"object.unreadable||"}},
	{func(i *Instance, _ *Context) { i.Cut = true }, []string{"object.cut||"}},
	{func(i *Instance, _ *Context) { i.Pixels.Bytes-- }, []string{"pixels.short|524288|524287"}},
	{func(i *Instance, _ *Context) { i.Pixels.Bytes++ }, nil},
	{func(i *Instance, _ *Context) { i.Pixels.Bytes += 2 }, []string{"pixels.long|524288|524290"}},
	{func(i *Instance, _ *Context) { i.Pixels.Data = PixelsAbsent }, []string{"pixels.missing|512|512"}},
	{func(i *Instance, _ *Context) {
		i.Pixels.Data, i.TransferSyntax = PixelsAbsent, "1.2.840.10008.1.2.4.94"
	}, nil},
	{func(i *Instance, _ *Context) { i.Pixels.Rows = 0; i.Pixels.Data = PixelsAbsent }, nil},
	{func(i *Instance, _ *Context) {
		i.TransferSyntax, i.Pixels = "1.2.840.10008.1.2.4.50", Pixels{Data: PixelsEncapsulated, Frames: 10, Fragments: 9, End: EndMissing}
	}, []string{"pixels.frames|10|9", "pixels.open||"}},
	{func(i *Instance, _ *Context) {
		i.TransferSyntax, i.Pixels = "1.2.840.10008.1.2.4.50", Pixels{Data: PixelsEncapsulated, Frames: 10, Fragments: 10, End: EndThere}
	}, nil},
	{func(i *Instance, _ *Context) { // a film is one fragment
		i.TransferSyntax, i.Pixels = "1.2.840.10008.1.2.4.102", Pixels{Data: PixelsEncapsulated, Frames: 10, Fragments: 1, End: EndNotLooked}
	}, nil},
	{func(_ *Instance, in *Context) { in.KnownContent = "bb" }, []string{"uid.reused|aa|bb"}},
	{func(i *Instance, in *Context) {
		i.Content, in.KnownContent = strings.Repeat("a", 64), strings.Repeat("b", 64)
	}, []string{"uid.reused|aaaaaaaaaaaa|bbbbbbbbbbbb"}},
	{func(i *Instance, _ *Context) { i.Study = "" }, []string{"uid.missing|StudyInstanceUID|"}},
	{func(i *Instance, _ *Context) { i.Series, i.BadUID = "1..2", true }, []string{"uid.invalid|SeriesInstanceUID|1..2"}},
	{func(i *Instance, _ *Context) { i.BadUID = true }, []string{"uid.command||"}},
	{func(i *Instance, _ *Context) { i.Mismatch = true }, []string{"uid.mismatch||"}},
	{func(_ *Instance, in *Context) { in.StudyPatient.ID = "4711" }, []string{"study.patients|RSSMRA72H26F941L|4711"}},
	{func(_ *Instance, in *Context) { in.StudyPatient.Issuer = "H" }, nil}, // one writes (0010,0021), another (0010,0024)
	{func(_ *Instance, in *Context) { in.StudyPatient.ID = "  RSSMRA72 h26f941l " }, nil},
	{func(_ *Instance, in *Context) { in.StudyPatient = Patient{} }, nil},
	{func(_ *Instance, in *Context) {
		in.StudyPatient.ID, in.AccessionPatient.ID = "RSSMRA72H26F94MD", "RSSMRATNHNSFVQMU"
	}, nil}, // omocodia of the same
	{func(_ *Instance, in *Context) { in.StudyPatient.ID = "RSSMRA72H26F94ML" }, []string{"study.patients|RSSMRA72H26F941L|RSSMRA72H26F94ML"}}, // its check character is wrong: it may be anybody's
	{func(_ *Instance, in *Context) { in.StudyPatient.ID = "BNCMRA72H26F941R" }, []string{"study.patients|RSSMRA72H26F941L|BNCMRA72H26F941R"}},
	{func(i *Instance, in *Context) {
		plain(i, in)
		in.StudyPatient.ID, in.AccessionPatient.ID = "0004711", "04711"
	}, []string{"fiscal.missing||"}},
	{func(i *Instance, in *Context) {
		plain(i, in)
		i.Patient.ID, in.StudyPatient.ID, in.AccessionPatient.ID = "0", "00", "47110"
	}, []string{"fiscal.missing||", "accession.reused|A0012345|47110"}},

	{func(i *Instance, _ *Context) { i.Patient.ID = "RSSMRA72H26F94L" }, []string{"study.patients|RSSMRA72H26F94L|RSSMRA72H26F941L", "fiscal.length|RSSMRA72H26F94L|15", "accession.reused|A0012345|rssmra72h26f941l"}},
	{number("RSSMRA72H26F941M"), []string{"fiscal.check|RSSMRA72H26F941M|L"}},
	{number("RSSMRA7OH26F941L"), []string{"fiscal.shape|RSSMRA7OH26F941L|"}},
	{number("RSSMRA72B31F941G"), []string{"fiscal.shape|RSSMRA72B31F941G|"}}, // the 31st of February
	{number("STP1234567890123"), []string{"fiscal.special|STP1234567890123|"}},
	{number("4711"), []string{"fiscal.missing||"}},
	{number("RSSMRATNHNSFVQMA"), []string{"fiscal.check|RSSMRATNHNSFVQMA|U"}},
	{func(i *Instance, _ *Context) { i.OtherIDs = []Patient{{"01234567890", codeIssuer}} }, []string{"fiscal.check|01234567890|7"}}, // a provisional one, mistyped
	{func(i *Instance, _ *Context) { i.OtherIDs = []Patient{{"0123456789X", codeIssuer}} }, []string{"fiscal.length|0123456789X|11"}},
	{number("RSSMRATNHNSFVQMU"), nil},
	{func(i *Instance, _ *Context) { i.OtherIDs = []Patient{{"RSSMRATNHNSFVQMU", ""}} }, nil}, // omocodia of the same
	{func(i *Instance, _ *Context) { i.OtherIDs = []Patient{{"BNCMRA72H26F941R", ""}} }, []string{"fiscal.two|RSSMRA72H26F941L|BNCMRA72H26F941R", "fiscal.family|BNC|RSS"}},
	{func(i *Instance, _ *Context) {
		i.OtherIDs = []Patient{{"01234567897", codeIssuer}, {"01234567897", "H"}}
	}, []string{"fiscal.special|01234567897|"}},

	{func(i *Instance, _ *Context) { i.BirthDate = "19720726" }, []string{"fiscal.birth|1972-06-26|1972-07-26"}},
	{func(i *Instance, _ *Context) { i.BirthDate = "1972.06.26" }, nil},
	{func(i *Instance, _ *Context) { i.BirthDate = "" }, []string{"patient.birth||"}},
	{func(i *Instance, _ *Context) { i.BirthDate = "19720631" }, []string{"patient.birth_invalid|19720631|"}},
	{func(i *Instance, in *Context) { plain(i, in); i.BirthDate = "20261123" }, []string{"fiscal.missing||", "patient.birth_future|2026-11-23|2026-11-22"}},
	{func(i *Instance, _ *Context) { i.Sex = "F" }, []string{"fiscal.sex|M|F"}},
	{func(i *Instance, _ *Context) { i.Sex = "" }, []string{"patient.sex||"}},
	{func(i *Instance, _ *Context) { i.Sex = "m" }, []string{"patient.sex_invalid|m|"}},
	{func(i *Instance, _ *Context) { i.PatientName = "Bianchi^Gianfranco" }, []string{"fiscal.family|RSS|BNC", "fiscal.given|MRA|GFR"}},
	{func(i *Instance, _ *Context) { i.PatientName = "^^" }, []string{"patient.name||"}},
	{func(i *Instance, in *Context) { plain(i, in); i.PatientName = "xx^xx" }, []string{"fiscal.missing||", "patient.test|xx^xx|"}},
	{func(i *Instance, _ *Context) { i.Patient = Patient{} }, []string{"fiscal.missing||", "patient.id||"}},
	{func(i *Instance, _ *Context) { i.Patient.Issuer = "" }, []string{"patient.issuer||"}},

	{func(i *Instance, _ *Context) { i.Accession = "  " }, []string{"accession.missing||"}},
	{func(i *Instance, _ *Context) { i.Accession = "0000" }, []string{"accession.zeros|0000|"}},
	{func(i *Instance, _ *Context) { i.Accession = "A0012345 " }, nil},
	{func(i *Instance, _ *Context) { i.Accession = "A00123456789012èè" }, []string{"accession.long|A00123456789012èè|17", "accession.pattern|A00123456789012èè|"}},
	{func(i *Instance, _ *Context) { i.Accession = "A0012345\nB" }, []string{"accession.pattern|A0012345\nB|"}},
	{func(_ *Instance, in *Context) { in.AccessionPatient = Patient{"4711", "H"} }, []string{"accession.reused|A0012345|4711"}},
	{func(i *Instance, _ *Context) { i.AccessionIssuer = "" }, []string{"accession.issuer||"}},

	{func(i *Instance, _ *Context) { i.StudyDate = "" }, []string{"date.missing||"}},
	{func(i *Instance, _ *Context) { i.StudyDate = "20260230" }, []string{"date.invalid|20260230|"}},
	{func(i *Instance, _ *Context) { i.StudyDate = "20261121" }, []string{"date.far|2026-11-21|2026-11-22"}}, // 10:15, 24 h and 15 min ago
	{func(i *Instance, _ *Context) { i.StudyDate, i.StudyTime = "20261121", "" }, nil},
	{func(i *Instance, _ *Context) { i.StudyDate, i.StudyTime = "20261123", "" }, nil},
	{func(i *Instance, _ *Context) { i.StudyDate = "20261124" }, []string{"date.far|2026-11-24|2026-11-22"}},
	{func(i *Instance, in *Context) { i.StudyDate, in.Backfill = "20101124", true }, nil},
	{func(i *Instance, _ *Context) { i.StudyDate, i.StudyTime, i.Timezone = "20261121", "0031", "-1000" }, nil}, // 11:31 in Rome
	{func(i *Instance, in *Context) { // on the other side of midnight in the examination's zone
		i.StudyDate, i.StudyTime, i.Timezone, in.Received = "20261120", "2100", "-1000", time.Date(2026, 11, 22, 9, 0, 0, 0, rome)
	}, []string{"date.far|2026-11-20|2026-11-21"}},
	{func(i *Instance, _ *Context) { i.StudyDate, i.StudyTime, i.Timezone = "20261121", "1045", "" }, []string{"zone.missing||"}},                                   // 23:45 ago, as the facility's clock goes
	{func(i *Instance, _ *Context) { i.StudyDate, i.StudyTime, i.Timezone = "20261121", "1015", "" }, []string{"date.far|2026-11-21|2026-11-22", "zone.missing||"}}, // 24:15 ago
	{func(i *Instance, _ *Context) { i.StudyTime = "2560" }, []string{"time.invalid|2560|"}},
	{func(i *Instance, _ *Context) { i.Timezone = "" }, []string{"zone.missing||"}},
	{func(i *Instance, _ *Context) { i.Timezone = "+9900" }, []string{"zone.invalid|+9900|"}},

	{func(_ *Instance, in *Context) { in.Device.Unknown = true }, []string{"device.unknown|CT01|CT01"}},
	{func(i *Instance, _ *Context) { i.Institution = "Clinica <b>" }, []string{"facility.other|Clinica <b>|Ospedale di Bolzano"}},
	{func(i *Instance, _ *Context) { i.Institution, i.InstitutionCode = "Clinica", "020001" }, nil},
	{func(i *Instance, _ *Context) { i.Institution = "KRANKENHAUS  BOZEN" }, nil},
	{func(i *Instance, _ *Context) { i.Institution = "" }, []string{"facility.missing||"}},
	{func(i *Instance, _ *Context) { i.Station = "CT02" }, []string{"station.unknown|CT02|"}},
	{func(i *Instance, _ *Context) { i.Modality = "" }, []string{"modality.missing||"}},
	{func(i *Instance, _ *Context) { i.Modality = "ct" }, []string{"modality.unknown|ct|", "modality.class|ct|CT", "modality.device|ct|CT"}},
	{func(i *Instance, _ *Context) { i.Modality, i.SOPClass = "SR", "1.2.840.10008.5.1.4.1.1.88.67" }, nil},

	{func(i *Instance, _ *Context) { i.CharacterSet = []string{"", "ISO_IR 1000"} }, []string{"charset.unknown|ISO_IR 1000|"}},
	{func(i *Instance, _ *Context) { i.CharacterSet, i.StudyDescription = nil, "Città" }, []string{"charset.undeclared|Città|"}},
	{func(i *Instance, _ *Context) { i.DecodeFailed = true }, []string{"charset.decode|ISO_IR 100|"}},
	{func(i *Instance, _ *Context) { i.StudyDescription = "Citt\xe0" }, []string{"charset.replaced|Citt\uFFFD|"}},
	{func(i *Instance, _ *Context) { i.StudyDescription = "CittÃ\u00a0" }, []string{"charset.mojibake|CittÃ\u00a0|Città"}},
	{func(i *Instance, _ *Context) { i.StudyDescription = "a\u202eb" }, []string{"charset.control|a\u202eb|"}},
	{func(i *Instance, in *Context) { plain(i, in); i.PatientName = "M?ller^Eva" }, []string{"fiscal.missing||", "charset.question|M?ller^Eva|"}},
}

// plain has no codice fiscale that could contradict.
func plain(i *Instance, in *Context) {
	i.Patient, in.StudyPatient, in.AccessionPatient = Patient{"4711", "H"}, Patient{}, Patient{}
}

func number(id string) func(*Instance, *Context) {
	return func(i *Instance, in *Context) {
		plain(i, in)
		i.Patient = Patient{ID: id, Issuer: "H"}
	}
}

var told2 = []struct {
	change func(s *Study, in *Context)
	want   []string
}{
	{func(s *Study, _ *Context) { s.Patients = []Patient{{}, {"1", ""}, {"2", ""}} }, []string{"study.patients|1|2"}},
	{func(s *Study, _ *Context) { s.Names = []string{"Rossi^Mario", "Rossi^Maria"} }, []string{"study.names|Rossi^Mario|Rossi^Maria"}},
	{func(s *Study, _ *Context) { s.BirthDates = []string{"", "19720626", "19720627"} }, []string{"study.births|19720626|19720627"}},
	{func(s *Study, _ *Context) { s.Accessions = []string{"A1", "A2"} }, []string{"study.accessions|A1|A2"}},
	{func(s *Study, _ *Context) { s.Instances-- }, []string{"study.fewer|400|399"}},
	{func(s *Study, _ *Context) { s.Instances, s.Settled = 1, false }, nil},
	{func(s *Study, _ *Context) { s.Instances, s.Settled = 401, false }, []string{"study.more|400|401"}},
	{func(s *Study, _ *Context) { s.Instances, s.Expected = 199, 0 }, []string{"study.unusual|400|199"}},
	{func(s *Study, _ *Context) { s.Instances, s.Expected = 200, 0 }, nil},
	{func(s *Study, in *Context) { s.Instances, s.Expected, in.Device.UsualStudies = 1, 0, 9 }, nil},
	{func(_ *Study, in *Context) { in.Device.Drift = -75 * time.Second }, []string{"clock.drift|-75|60"}},
	{func(_ *Study, in *Context) { in.Device.Drift, in.Device.DriftStudies = time.Hour, 4 }, nil}, // few studies prove nothing
}

func written(found []Finding) (out []string) {
	for _, f := range found {
		out = append(out, fmt.Sprintf("%s|%s|%s", f.Code, f.Values[0], f.Values[1]))
	}
	return out
}

// Each code is found by what it is for, with its two values, and by nothing else.
func TestEveryCodeIsFoundForItsReasonAlone(t *testing.T) {
	k := loud(t, Config{AccessionPattern: `A\d{7}|A0[0-9]{6}`})
	seen := make(map[Code]bool)
	check := func(n int, found []Finding, want []string) {
		if got := written(found); !slices.Equal(got, want) {
			t.Errorf("case %d: %q, want %q", n, got, want)
		}
		for _, f := range found {
			seen[f.Code] = true
		}
	}
	for n, c := range told1 {
		i, in := good(), around()
		c.change(&i, &in)
		check(n, k.Instance(i, in), c.want)
	}
	for n, c := range told2 {
		s, in := together(), around()
		c.change(&s, &in)
		check(1000+n, k.Study(s, in), c.want)
	}
	for _, e := range Table() {
		if !seen[e.Code] {
			t.Errorf("%s: no case finds it", e.Code)
		}
	}
}

// A finding has values where the Table says so, and its cause and level.
func TestFindingsAreAsTheTableSays(t *testing.T) {
	k := loud(t, Config{AccessionPattern: `A\d{7}`})
	for n, c := range told1 {
		i, in := good(), around()
		c.change(&i, &in)
		for _, f := range k.Instance(i, in) {
			e, ok := Lookup(f.Code)
			if !ok || f.Cause != e.Cause || f.Level != max(e.Level, Info) {
				t.Errorf("case %d: %+v", n, f)
			}
			for v, kind := range e.Kinds {
				if (kind == None) != (f.Values[v] == "") {
					t.Errorf("case %d: %+v: value %d is %q", n, f, v, kind)
				}
			}
		}
	}
}

func TestOnlyTheFirstThreeChecksHold(t *testing.T) {
	for _, e := range Table() {
		first := e.Cause.Number() >= 1 && e.Cause.Number() <= 3
		if e.Level == Hold && !first {
			t.Errorf("%s holds", e.Code)
		}
		if _, err := New(Config{Actions: map[Code]Level{e.Code: Hold}}); (err == nil) != first {
			t.Errorf("%s may be made to hold: %v", e.Code, err)
		}
	}
	for _, c := range []Code{Cut, PixelsShort, PixelsFrames, UIDReused, StudyPatients} {
		if e, _ := Lookup(c); e.Level != Hold {
			t.Errorf("%s: %s", c, e.Level)
		}
	}
	if e, _ := Lookup(Unreadable); e.Level != Warn {
		t.Errorf("what we cannot read others can: %s", e.Level)
	}
}

// What is back-filled is told as the rest is, and never held: not by a Config either.
func TestBackfillIsNeverHeld(t *testing.T) {
	all, err := New(Config{Actions: map[Code]Level{Unreadable: Hold, UIDMissing: Hold}})
	if err != nil {
		t.Fatal(err)
	}
	of := func(backfill bool) []Finding {
		i, in := good(), around()
		i.Cut, i.Study, in.KnownContent, in.StudyPatient.ID, in.Backfill = true, "", "bb", "4711", backfill
		i.Pixels.Bytes--
		u := i
		u.Unreadable = true
		return Merge(all.Instance(i, in), all.Instance(u, in), all.Study(Study{Patients: []Patient{{"1", ""}, {"2", ""}}}, in))
	}
	today, old := of(false), of(true)
	if len(today) < 6 || len(old) != len(today) || Worst(today) != Hold || Worst(old) != Warn {
		t.Errorf("%v\nback-filled: %v", today, old)
	}
}

func TestTheConfigDecidesWhatIsDone(t *testing.T) {
	k, err := New(Config{Actions: map[Code]Level{Cut: Info, AccMissing: Off}, TestNames: []string{"Collaudo"}, ClockDrift: 2 * time.Minute, DateSlack: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	i, in := good(), around()
	plain(&i, &in)
	i.Cut, i.Accession, i.PatientName, i.StudyTime = true, "", "COLLAUDO^2", "0900"
	in.Device.Drift = 90 * time.Second
	got := append(k.Instance(i, in), k.Study(together(), in)...)
	if want := []string{"object.cut||", "fiscal.missing||", "patient.test|COLLAUDO^2|", "date.far|2026-11-22|2026-11-22"}; !slices.Equal(written(got), want) || got[0].Level != Info {
		t.Errorf("%q %s", written(got), got[0].Level)
	}
}

func TestAWrongConfigSaysWhichKey(t *testing.T) {
	for want, c := range map[string]Config{
		"no code":           {Actions: map[Code]Level{"x": Info}},
		"accession.missing": {Actions: map[Code]Level{AccMissing: 9}},
		"accession pattern": {AccessionPattern: "("},
		"accession pattern:": {
			AccessionPattern: strings.Repeat("a", maxText+1)},
		"test names":    {TestNames: make([]string, maxList+1)},
		"thresholds":    {DateSlack: -1},
		"usual percent": {UsualPercent: 101},
	} {
		if _, err := New(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// What holds stands first, and a finding is told once, however many instances have it.
func TestMergeHasOneOrder(t *testing.T) {
	f := func(c Code, a string) Finding { e, _ := Lookup(c); return Finding{c, e.Level, e.Cause, [2]string{a}} }
	a, b := []Finding{f(TextControl, "z"), f(AccMissing, ""), f(Cut, "")}, []Finding{f(TextControl, "a"), f(AccMissing, ""), {Code: "later.version"}}
	want := []Finding{f(Cut, ""), f(AccMissing, ""), f(TextControl, "a"), f(TextControl, "z"), {Code: "later.version"}}
	for _, got := range [][]Finding{Merge(a, b), Merge(b, a), Merge(Merge(b), a, a)} {
		if !slices.Equal(got, want) {
			t.Errorf("%v", got)
		}
	}
	if Worst(want) != Hold || Worst(nil) != Off {
		t.Error("worst")
	}
}

// What stands behind the part that is looked at costs nothing and changes nothing; what
// comes out is bounded.
func TestHostileFactsAreBounded(t *testing.T) {
	k := loud(t, Config{AccessionPattern: `(A+)+\d`})
	for _, text := range []string{"<script>", "\u202e\x00", "Ã¨", "à", "A", "XX^", "RSSMRA72H26F941", "0", "\xff"} {
		huge := strings.Repeat(text, 1<<20/len(text))
		i, in := filled(huge), around()
		in.StudyPatient.ID, in.Facility.Names = huge+"x", []string{huge}
		got := k.Instance(i, in)
		if again := k.Instance(filled(clip(huge)), in); !slices.Equal(got, again) {
			t.Errorf("%q: what is far behind counts", text)
		}
		if len(got) == 0 || len(got) > maxFindings {
			t.Errorf("%q: %d findings", text, len(got))
		}
		for _, f := range got {
			for _, v := range f.Values {
				if n := len([]rune(v)); n > maxValue+1 || strings.ToValidUTF8(v, "") != v {
					t.Errorf("%s: %d characters: %.30q", f.Code, n, v)
				}
			}
		}
	}
}

// Of a list only the beginning is looked at, and of many findings those are told that hold.
func TestHostileListsAreBounded(t *testing.T) {
	k := loud(t, Config{})
	i, s := good(), Study{}
	var all []Finding
	for n := range 1000 {
		name := fmt.Sprint("x", n)
		i.OtherIDs = append(i.OtherIDs, Patient{fmt.Sprintf("RSSMRA72H26F%03dX", n), "H"})
		i.CharacterSet = append(i.CharacterSet, name)
		s.Patients, s.Names = append(s.Patients, Patient{ID: name}), append(s.Names, name)
		all = append(all, Finding{Code: TextControl, Level: Warn, Cause: CauseText, Values: [2]string{name}})
	}
	count := make(map[Code]int)
	for _, f := range append(k.Instance(i, around()), k.Study(s, Context{})...) {
		count[f.Code]++
	}
	if count[FiscalCheck]+count[FiscalTwo] > maxList || count[SetUnknown] != maxList-1 || count[StudyPatients] != maxList-1 || count[StudyNames] != maxList-1 {
		t.Errorf("%v", count)
	}
	if got := Merge(all, []Finding{{Code: Cut, Level: Hold}}); len(got) != maxFindings || got[0].Code != Cut {
		t.Errorf("%d findings, first %v", len(got), got[0])
	}
}

// filled has one text in every field.
func filled(text string) (i Instance) {
	v := reflect.ValueOf(&i).Elem()
	for n := range v.NumField() {
		if f := v.Field(n); f.Kind() == reflect.String {
			f.SetString(text)
		}
	}
	i.Patient = Patient{text, text}
	i.OtherIDs, i.CharacterSet = slices.Repeat([]Patient{{text, ""}}, 1000), slices.Repeat([]string{text}, 1000)
	i.Pixels = Pixels{Rows: math.MaxInt64, Columns: math.MaxInt64, Samples: 3, Bits: math.MaxInt64, Frames: math.MaxInt64, Photometric: "YBR_PARTIAL_420", Data: PixelsNative}
	return i
}

func TestLevelsAreWords(t *testing.T) {
	b, err := json.Marshal(Finding{Code: Cut, Level: Hold, Cause: CauseObject})
	if want := `{"code":"object.cut","level":"hold","cause":"object","values":["",""]}`; err != nil || string(b) != want {
		t.Errorf("%s %v", b, err)
	}
	var f Finding
	if err := json.Unmarshal(b, &f); err != nil || f.Level != Hold {
		t.Errorf("%v %v", f, err)
	}
	if err := new(Level).UnmarshalText([]byte("block")); err == nil {
		t.Error("block is a level")
	}
}

func FuzzChecks(f *testing.F) {
	for _, s := range []string{"Rossi^Mario", "RSSMRA72H26F941L", "20261122", "+0100", "NicolÃ²", "\u202e<b>", "ISO_IR 100", "ENI1234567890123", "=xx^xx"} {
		f.Add(s, s, int64(512), int64(-1))
	}
	k, err := New(Config{AccessionPattern: `\w+`})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, a, b string, n, m int64) {
		i := filled(a)
		i.PatientName, i.StudyTime, i.OtherIDs, i.Content = b, b, []Patient{{b, a}}, "1"
		i.Pixels = Pixels{Rows: n, Columns: m, Samples: 3, Bits: n, Frames: m, Data: PixelData(n & 3), Bytes: m, Fragments: n, Photometric: b}
		in := Context{Received: time.Unix(n>>20, 0), KnownContent: a, StudyPatient: Patient{b, a}, Device: Device{Modalities: []string{b}, Drift: time.Duration(n), DriftStudies: 9},
			Facility: Facility{Names: []string{b}}}
		got := Merge(k.Instance(i, in), k.Study(Study{Patients: []Patient{{a, b}, {b, a}}, Names: []string{a, b}, Instances: n, Expected: m, Settled: true}, in))
		if !slices.Equal(got, Merge(got)) || len(got) > maxFindings {
			t.Errorf("%v", got)
		}
		for _, f := range got {
			if f.Level == Hold && f.Cause.Number() > holding {
				t.Errorf("%+v holds", f)
			}
		}
	})
}
