package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"edged/agent/status"
	"edged/dimse"
	"edged/hub"
	"edged/internal/dicom"
	"edged/internal/quality"
	"edged/spool"
)

// exam is a data set by tags: VR and value, explicit little endian.
type exam map[uint32][2]string

// goodExam is one with which nothing is wrong.
func goodExam() exam {
	return exam{
		0x00080005: {"CS", "ISO_IR 100"}, 0x00080016: {"UI", ctClass}, 0x00080018: {"UI", "2.25.9.1"}, 0x00080020: {"DA", "20261122"}, 0x00080030: {"TM", "101500"},
		0x00080050: {"SH", "A0012345"}, 0x00080060: {"CS", "CT"}, 0x00080080: {"LO", "Ospedale di Esempio"}, 0x00081010: {"SH", "CT1"}, 0x00081030: {"LO", "TC torace"},
		0x00100010: {"PN", "Rossi^Mario"}, 0x00100020: {"LO", "RSSMRA72H26F941L"}, 0x00100021: {"LO", "2.16.840.1.113883.2.9.4.3.2"}, 0x00100030: {"DA", "19720626"}, 0x00100040: {"CS", "M"},
		0x0020000D: {"UI", "2.25.9"}, 0x0020000E: {"UI", "2.25.9.2"},
		0x00280002: {"US", "\x01\x00"}, 0x00280004: {"CS", "MONOCHROME2"}, 0x00280010: {"US", "\x04\x00"}, 0x00280011: {"US", "\x04\x00"}, 0x00280100: {"US", "\x10\x00"},
		0x7FE00010: {"OW", strings.Repeat("\x01", 32)},
	}
}

func (e exam) with(changes exam) exam {
	e = maps.Clone(e)
	maps.Copy(e, changes)
	return e
}

func (e exam) bytes() (b []byte) {
	for _, tag := range slices.Sorted(maps.Keys(e)) {
		vr, value := e[tag][0], e[tag][1]
		if vr == "" {
			continue // left out
		}
		if len(value)%2 == 1 {
			value += map[bool]string{true: "\x00", false: " "}[vr == "UI"]
		}
		b = binary.LittleEndian.AppendUint16(b, uint16(tag>>16))
		b = binary.LittleEndian.AppendUint16(b, uint16(tag))
		b = append(b, vr...)
		if vr == "OW" || vr == "OB" || vr == "SQ" || vr == "UN" {
			b = binary.LittleEndian.AppendUint32(append(b, 0, 0), uint32(len(value)))
		} else {
			b = binary.LittleEndian.AppendUint16(b, uint16(len(value)))
		}
		b = append(b, value...)
	}
	return b
}

// clinic is a door with a spool behind it, on the day of goodExam.
type clinic struct {
	*testing.T
	door  *door
	spool *spool.Spool
}

func newClinic(t *testing.T, q func(*Quality)) *clinic {
	t.Helper()
	s, err := spool.Open(t.Context(), spool.Config{Dir: t.TempDir(), AllowUnsafeFilesystem: true, BallastBytes: -1, ReserveBytes: -1})
	ok(t, err)
	t.Cleanup(func() { s.Close() })
	k := newKeeper(spool.Config{}, slog.New(slog.DiscardHandler), func() {})
	k.set(s, nil)
	c := defaultConfig()
	c.Facility.Name = "Radiologia"
	c.Quality.FacilityNames = []string{"Ospedale di Esempio"}
	c.Dicom.Devices = []Device{{AETitle: "CT1", Priority: "routine", Services: []string{serviceStore}}, {AETitle: "OLD", Priority: "backfill", Services: []string{serviceStore}}}
	c.Dicom.AcceptUnknown = true
	if q != nil {
		q(&c.Quality)
	}
	now := func() time.Time { return time.Date(2026, 11, 22, 9, 30, 0, 0, time.UTC) }
	j, err := newAssessor(&c, now)
	ok(t, err)
	d := &door{keeper: k, log: k.log, refuse: func() {}, roster: newRoster(c.Dicom, now, func() {}), judge: j}
	return &clinic{T: t, door: d, spool: s}
}

// store sends a data set, which always succeeds, and gives what is remembered of it.
func (c *clinic) store(from string, names dicom.Names, data []byte) (spool.Object, Meta) {
	c.Helper()
	rq := dimse.StoreRequest{SOPClassUID: names.SOPClass, SOPInstanceUID: names.SOPInstance, TransferSyntaxUID: names.TransferSyntax}
	if st, err := c.door.store(c.Context(), 1, caller{calling: from, called: "EDGED", address: "10.0.0.5"}, rq, bytes.NewReader(data)); err != nil || !st.IsSuccess() {
		c.Fatalf("whatever is found, a store succeeds: %s, %v", st, err)
	}
	h := names.NewHash()
	h.Write(data)
	o, err := c.spool.Object(spool.ID(h.Sum(nil)))
	ok(c.T, err)
	m, err := decodeMeta(o.Meta)
	ok(c.T, err)
	return o, m
}

func (c *clinic) exam(from string, e exam) (spool.Object, Meta) {
	c.Helper()
	return c.store(from, dicom.Names{TransferSyntax: explicitLE, SOPClass: ctClass, SOPInstance: strings.Trim(e[0x00080018][1], " \x00")}, e.bytes())
}

// Each modality writes the institution in its own way, and facility.name is what the page
// is called: until somebody says how devices write it, nothing is compared.
func TestInstitutionIsComparedWithConfiguredNamesAlone(t *testing.T) {
	k := newClinic(t, func(q *Quality) { q.FacilityNames = nil })
	for i, name := range []string{"OSP. ESEMPIO - RADIOL.", "ASL 5", ""} {
		e := goodExam().with(exam{0x00080018: {"UI", fmt.Sprintf("2.25.9.%d", 20+i)}, 0x00080080: {"LO", name}})
		if o, m := k.exam("CT1", e); len(found(o, m)) > 0 {
			t.Errorf("of %q: %q", name, found(o, m))
		}
	}
}

// found are the findings of an object: what its beginning told, and its end.
func found(o spool.Object, m Meta) (out []string) {
	for _, f := range append(m.Findings, ofFlags(o.Flags)...) {
		out = append(out, strings.TrimSpace(f.Code+" "+f.A+" "+f.B))
	}
	return out
}

// Each of the ten checks finds something in a data set that was stored, with both values;
// the store succeeds, the bytes stay, and what is found holds for the first three alone.
func TestTenChecksFromStoredDataSets(t *testing.T) {
	for _, c := range []struct {
		check  int
		name   string
		from   string
		before exam // stored first, by CT1
		change exam
		want   string
		held   bool
		cut    int // bytes that are missing at the end
	}{
		{check: 1, name: "cut", want: "object.cut", held: true, cut: 5},
		{check: 1, name: "pixels short", change: exam{0x00280010: {"US", "\x05\x00"}}, want: "pixels.short", held: true},
		{check: 1, name: "no pixels", change: exam{0x7FE00010: {}}, want: "pixels.missing"},
		{check: 2, name: "no series UID", change: exam{0x0020000E: {}}, want: "uid.missing SeriesInstanceUID"},
		{check: 2, name: "UID that is none", change: exam{0x0020000E: {"UI", "1.x"}}, want: "uid.invalid SeriesInstanceUID 1.x"},
		{check: 3, name: "two patients", before: exam{0x00080018: {"UI", "2.25.9.7"}}, change: exam{0x00100020: {"LO", "VRDLGU75T10A562U"}}, want: "study.patients VRDLGU75T10A562U RSSMRA72H26F941L", held: true},
		{check: 4, name: "check character", change: exam{0x00100020: {"LO", "RSSMRA72H26F941A"}}, want: "fiscal.check RSSMRA72H26F941A L"},
		{check: 4, name: "length", change: exam{0x00100020: {"LO", "RSSMRA72H26F941"}}, want: "fiscal.length RSSMRA72H26F941 15"},
		{check: 5, name: "date of birth", change: exam{0x00100030: {"DA", "19720726"}}, want: "fiscal.birth 1972-06-26 1972-07-26"},
		{check: 5, name: "sex", change: exam{0x00100040: {"CS", "F"}}, want: "fiscal.sex M F"},
		{check: 5, name: "name", change: exam{0x00100010: {"PN", "Bianchi^Mario"}}, want: "fiscal.family RSS BNC"},
		{check: 5, name: "test name", change: exam{0x00100010: {"PN", "PROVA^UNO"}}, want: "patient.test PROVA^UNO"},
		{check: 6, name: "no accession number", change: exam{0x00080050: {}}, want: "accession.missing"},
		{check: 6, name: "another patient's", before: exam{0x00080018: {"UI", "2.25.8.7"}, 0x0020000D: {"UI", "2.25.8"}, 0x00100020: {"LO", "P7"}}, want: "accession.reused A0012345 P7"},
		{check: 8, name: "date far", change: exam{0x00080020: {"DA", "20260101"}}, want: "date.far 2026-01-01 2026-11-22"},
		{check: 9, name: "unknown device", from: "NEW", want: "device.unknown NEW CT1"},
		{check: 9, name: "another facility", change: exam{0x00080080: {"LO", "Klinik"}}, want: "facility.other Klinik Ospedale di Esempio"},
		{check: 9, name: "modality", change: exam{0x00080060: {"CS", "MR"}}, want: "modality.class MR CT"},
		{check: 10, name: "mojibake", change: exam{0x00081030: {"LO", "Mobilit\xc3\xa0"}}, want: "charset.mojibake MobilitÃ\u00a0 Mobilità"},
		{check: 10, name: "no set", change: exam{0x00080005: {}, 0x00081030: {"LO", "Mobilit\xe0"}}, want: "charset.undeclared Mobilità"},
		{check: 10, name: "bytes the set does not have", change: exam{0x00080005: {"CS", "ISO_IR 192"}, 0x00081030: {"LO", "Mobilit\xe0"}}, want: "charset.decode ISO_IR 192"},
	} {
		t.Run(fmt.Sprintf("%d %s", c.check, c.name), func(t *testing.T) {
			k := newClinic(t, nil)
			if c.before != nil {
				k.exam("CT1", goodExam().with(c.before))
			}
			e, from := goodExam().with(c.change), c.from
			if from == "" {
				from = "CT1"
			}
			data := e.bytes()
			data = data[:len(data)-c.cut]
			o, m := k.store(from, dicom.Names{TransferSyntax: explicitLE, SOPClass: ctClass, SOPInstance: "2.25.9.1"}, data)
			if got := found(o, m); !slices.Contains(got, c.want) {
				t.Errorf("found %q, want %q among them", got, c.want)
			}
			if held := o.Flags&hub.FlagHold != 0; held != c.held || held && c.check > 3 {
				t.Errorf("held: %v", held)
			}
			if l := k.door.judge.shown("CT1", []metaFinding{{Code: strings.Fields(c.want)[0]}}, nil); len(l) != 1 {
				t.Errorf("shown as %+v", l)
			} else if e, _ := quality.Lookup(quality.Code(l[0].Code)); e.Cause.Number() != c.check {
				t.Errorf("it is of check %d", e.Cause.Number())
			}
		})
	}
}

// With a good examination nothing is found, and one that is old and comes on purpose is
// not told to be old.
func TestNothingIsFoundInAGoodExamination(t *testing.T) {
	k := newClinic(t, nil)
	if o, m := k.exam("CT1", goodExam()); len(found(o, m)) > 0 || o.Flags != 0 {
		t.Errorf("found %q, flags %b", found(o, m), o.Flags)
	}
	if o, m := k.exam("OLD", goodExam().with(exam{0x00080018: {"UI", "2.25.7.1"}, 0x0020000D: {"UI", "2.25.7"}, 0x00080050: {"SH", "B1"}, 0x00080020: {"DA", "20010101"}})); len(found(o, m)) > 0 {
		t.Errorf("back-fill: found %q", found(o, m))
	}
}

// The vectors of the codice fiscale reach the findings of a stored data set: a right one
// and those with omocodia find nothing, wrong ones are told.
func TestFiscalCodesOfStoredDataSets(t *testing.T) {
	k := newClinic(t, nil)
	for i, c := range []struct{ code, name, birth, sex, want string }{
		{"RSSMRA85T10A562S", "Rossi^Mario", "19851210", "M", ""},
		{"RSSMRA85T10A56NH", "Rossi^Mario", "19851210", "M", ""},
		{"RSSMRA85T10A562S", "Rossi^Mario", "19851211", "M", "fiscal.birth 1985-12-10 1985-12-11"},
		{"RSSMRA85T50A562W", "Rossi^Mara", "19851210", "M", "fiscal.sex F M"},
		{"RSSMRA85T10A562T", "Rossi^Mario", "19851210", "M", "fiscal.check RSSMRA85T10A562T S"},
		{"RSSMRA85T32A562A", "Rossi^Mario", "19851210", "M", "fiscal.shape RSSMRA85T32A562A"},
		{"12345678903", "Rossi^Mario", "19851210", "M", ""},
		{"STP0100011234567", "Rossi^Mario", "19851210", "M", ""},
	} {
		e := goodExam().with(exam{0x00080018: {"UI", fmt.Sprintf("2.25.6.%d", i+1)}, 0x0020000D: {"UI", fmt.Sprintf("2.25.5.%d", i+1)}, 0x00080050: {"SH", fmt.Sprintf("C%d", i)},
			0x00100020: {"LO", c.code}, 0x00100010: {"PN", c.name}, 0x00100030: {"DA", c.birth}, 0x00100040: {"CS", c.sex}})
		o, m := k.exam("CT1", e)
		got := slices.DeleteFunc(found(o, m), func(s string) bool { return strings.HasPrefix(s, "fiscal.special") })
		if c.want == "" && len(got) > 0 || c.want != "" && !slices.Contains(got, c.want) {
			t.Errorf("%s %s %s %s: found %q, want %q", c.code, c.name, c.birth, c.sex, got, c.want)
		}
		if c.want == "" && len(c.code) == 16 && !strings.HasPrefix(c.code, "STP") && m.Fiscal != c.code {
			t.Errorf("%s is remembered as %q", c.code, m.Fiscal)
		}
	}
}

// Whatever stands in a name, the store succeeds, what is remembered is short, and the
// words for it can be said.
func TestHostileNamesAreFoundAndBounded(t *testing.T) {
	k := newClinic(t, nil)
	for i, name := range []string{"<script>alert(1)</script>^x", "A\u202eB^C", "A\x1b[31m^B", strings.Repeat("A", 1000), "\xff\xfe^\x80", strings.Repeat("è", 500)} {
		e := goodExam().with(exam{0x00080005: {"CS", "ISO_IR 192"}, 0x00080018: {"UI", fmt.Sprintf("2.25.4.%d", i+1)}, 0x00100010: {"PN", name}})
		o, m := k.exam("CT1", e)
		if len(o.Meta) > 8<<10 || len(m.Findings) > maxMetaFindings {
			t.Errorf("%q: %d bytes of Meta, %d findings", name, len(o.Meta), len(m.Findings))
		}
		for _, f := range k.door.judge.shown("CT1", m.Findings, nil) {
			for _, language := range quality.Languages {
				cause, says := k.door.judge.sentence(language, f)
				if cause == "" || says == "" || strings.ContainsAny(says, "\x1b\x00\u202e") || strings.Contains(says, "{a}") {
					t.Errorf("%s of %q: %q, %q", f.Code, name, cause, says)
				}
			}
		}
	}
}

// Without hold nothing waits at the hub, and the findings are told all the same.
func TestHoldIsConfigured(t *testing.T) {
	k := newClinic(t, func(q *Quality) { q.Hold = false })
	data := goodExam().bytes()
	o, m := k.store("CT1", dicom.Names{TransferSyntax: explicitLE, SOPClass: ctClass, SOPInstance: "2.25.9.1"}, data[:len(data)-5])
	if o.Flags&hub.FlagHold != 0 || !slices.Contains(found(o, m), "object.cut") {
		t.Errorf("flags %b, found %q", o.Flags, found(o, m))
	}
}

// What the instances of a study say together is found, too: too few by what the modality
// announced, two patients, and a device whose clock is wrong.
func TestStudiesAreJudged(t *testing.T) {
	k := newClinic(t, nil)
	k.door.judge.ahead = func(device string) (time.Duration, bool) { return 5 * time.Minute, device == "CT1" }
	of := func(d studyData) (out []string) {
		for _, f := range k.door.judge.study(d) {
			out = append(out, strings.TrimSpace(f.Code+" "+f.A+" "+f.B))
		}
		return out
	}
	got := of(studyData{device: "CT1", Study: quality.Study{Instances: 3, Expected: 5, Settled: true, Patients: []quality.Patient{{ID: "A"}, {ID: "B"}}}})
	for _, want := range []string{"study.patients A B", "study.fewer 5 3", "clock.drift 300 60"} {
		if !slices.Contains(got, want) {
			t.Errorf("found %q, want %q among them", got, want)
		}
	}
	if got := of(studyData{device: "MR1", Study: quality.Study{Instances: 3, Expected: 5}}); len(got) > 0 {
		t.Errorf("a study that is still coming: %q", got)
	}
}

// A sentence says both values or none of them.
func TestASentenceIsNotSaidByHalf(t *testing.T) {
	j := newClinic(t, nil).door.judge
	for _, language := range quality.Languages {
		for _, values := range [][2]string{{"0a79c068c090", ""}, {"", ""}} {
			if _, says := j.sentence(language, status.Finding{Code: "uid.reused", Values: values}); strings.ContainsAny(says, "(–") || strings.Contains(says, "0a79") {
				t.Errorf("%s: %s", language, says)
			}
		}
		if _, says := j.sentence(language, status.Finding{Code: "uid.reused", Values: [2]string{"0a79c068c090", "1b"}}); !strings.Contains(says, "0a79c068c090") || !strings.Contains(says, "1b") {
			t.Errorf("%s: %s", language, says)
		}
	}
}
