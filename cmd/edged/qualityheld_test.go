package main

import (
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"edged/agent/status"
	"edged/hub"
	"edged/internal/dicom"
	"edged/internal/quality"
	"edged/spool"
)

// heldFiles are the files that wait at the hub: in each of them bytes are missing that it
// says it has. All others go on to the archive, whatever else is wrong with them and
// however little of them can be read here.
var heldFiles = map[string]string{
	"escapes_in_a_name.dcm":         "object.cut", // the name has one byte less than told
	"fragments_without_end.dcm":     "object.cut",
	"length_4gib.dcm":               "object.cut",
	"length_beyond_end.dcm":         "object.cut",
	"truncated_in_a_header.dcm":     "object.cut",
	"MR_truncated.dcm":              "object.cut",
	"rtplan_truncated.dcm":          "object.cut",
	"TC0243_pixeldata_OB_as_OW.dcm": "pixels.short", // 64 bytes of 8192
	"TC0285_buf_half.dcm":           "pixels.short",
	"TC0291_buf_zero.dcm":           "pixels.short",
	"TC0293_buf_one_byte.dcm":       "pixels.short",
	"TC0339_mf_nf_million.dcm":      "pixels.short", // a million frames, and the bytes of one
}

// A false hold keeps an examination from the archive until somebody releases it.
func TestOnlyWhatLacksBytesIsHeld(t *testing.T) {
	names := hostileFiles(t)
	filepath.WalkDir(filepath.Dir(filepath.Dir(names[len(names)-1])), func(n string, e fs.DirEntry, err error) error { // real ones beside them
		if err == nil && e.Type().IsRegular() && strings.HasSuffix(n, ".dcm") {
			names = append(names, n)
		}
		return nil
	})
	k, looked := newClinic(t, nil), 0
	slices.Sort(names)
	for _, n := range slices.Compact(names) {
		o, _ := readFile(t, n)
		if len(o.data) == 0 {
			continue
		}
		looked++
		j := k.door.judge
		j.met, j.ring, j.next = map[string]metPatient{}, nil, 0 // each is alone
		h, err := dicom.ReadHeader(o.data[:min(len(o.data), dicom.HeaderWindow)], o.names.TransferSyntax)
		w := dicom.NewWalker(o.names.TransferSyntax)
		w.Write(o.data)
		all := append(j.instance(o.names, h, findings(o.names, h, err), origin{title: "CT1"}), j.ended(o.names, h, w.Close(), origin{title: "CT1"})...)
		var why []string
		for _, f := range all {
			if f.Level.String() == "hold" {
				why = append(why, string(f.Code))
			}
		}
		if want := heldFiles[filepath.Base(n)]; want == "" && len(why) > 0 || want != "" && !slices.Contains(why, want) {
			t.Errorf("%s: held for %q, want %q", n, why, want)
		}
	}
	t.Logf("%d files", looked)
}

// What devices write besides what the standard has, and what has no pixels at all, goes on.
func TestWholeObjectsOfOddKindsAreNotHeld(t *testing.T) {
	none := exam{0x7FE00010: {}, 0x00280010: {}, 0x00280011: {}, 0x00280002: {}, 0x00280100: {}}
	pixels := func(tag uint32, vr string, bits string, n int) exam {
		return none.with(exam{0x00280002: {"US", "\x01\x00"}, 0x00280010: {"US", "\x04\x00"}, 0x00280011: {"US", "\x04\x00"}, 0x00280100: {"US", bits}, tag: {vr, strings.Repeat("\x01", n)}})
	}
	for name, c := range map[string]struct {
		change exam
		behind string
		held   bool
	}{
		"report, key object, plan, encapsulated PDF, waveform": {change: none},
		"float pixels":                  {change: pixels(0x7FE00008, "OW", "\x20\x00", 64)},
		"double pixels":                 {change: pixels(0x7FE00009, "OW", "\x40\x00", 128)},
		"float pixels, short":           {change: pixels(0x7FE00008, "OW", "\x20\x00", 62), held: true},
		"one bit":                       {change: pixels(0x7FE00010, "OB", "\x01\x00", 2)},
		"one bit, frames without a gap": {change: pixels(0x7FE00010, "OB", "\x01\x00", 4).with(exam{0x00280010: {"US", "\x03\x00"}, 0x00280011: {"US", "\x03\x00"}, 0x00280008: {"IS", "3"}})},
		"one bit, frames in octets":     {change: pixels(0x7FE00010, "OB", "\x01\x00", 6).with(exam{0x00280010: {"US", "\x03\x00"}, 0x00280011: {"US", "\x03\x00"}, 0x00280008: {"IS", "3"}})},
		"12 bits packed":                {change: pixels(0x7FE00010, "OW", "\x0c\x00", 24)},
		"half the colours":              {change: pixels(0x7FE00010, "OB", "\x08\x00", 32).with(exam{0x00280002: {"US", "\x03\x00"}, 0x00280004: {"CS", "YBR_FULL_422"}})},
		"half the colours told only":    {change: pixels(0x7FE00010, "OB", "\x08\x00", 48).with(exam{0x00280002: {"US", "\x03\x00"}, 0x00280004: {"CS", "YBR_FULL_422"}})},
		"an overlay in unused bits":     {change: exam{0x00280101: {"US", "\x0c\x00"}, 0x60000100: {"US", "\x10\x00"}, 0x60000102: {"US", "\x0f\x00"}}},
		"bits that there are not":       {change: exam{0x00280100: {"US", "\x18\x00"}}},
		"a newline behind":              {behind: "\n"},
		"a sector's rest behind":        {behind: strings.Repeat("\x00", 512)},
		"FF behind":                     {behind: "\xff\xff\xff"},
		"no number of the patient":      {change: exam{0x00100020: {}}},
		"another issuer":                {change: exam{0x00100021: {"LO", "HOSPITAL"}}},
		"a number with spaces":          {change: exam{0x00100020: {"LO", " rssmra72h26f941l  "}}},
	} {
		k := newClinic(t, nil)
		k.exam("CT1", goodExam().with(exam{0x00080018: {"UI", "2.25.9.7"}})) // of the same study
		o, m := k.store("CT1", dicom.Names{TransferSyntax: explicitLE, SOPClass: ctClass, SOPInstance: "2.25.9.1"}, append(goodExam().with(c.change).bytes(), c.behind...))
		if held := o.Flags&hub.FlagHold != 0; held != c.held {
			t.Errorf("%s: held %v, %q", name, held, found(o, m))
		}
	}
}

// An old examination that a device of the back-fill sends is told, and waits nowhere: the
// same from another device is held.
func TestBackfillIsToldAndNotHeld(t *testing.T) {
	for from, want := range map[string]bool{"CT1": true, "OLD": false} {
		k := newClinic(t, nil)
		k.door.judge.old = k.door.roster.backfills
		k.exam(from, goodExam().with(exam{0x00080018: {"UI", "2.25.9.7"}})) // of the same study
		cut := goodExam().with(exam{0x00080018: {"UI", "2.25.9.1"}}).bytes()
		a, am := k.store(from, dicom.Names{TransferSyntax: explicitLE, SOPClass: ctClass, SOPInstance: "2.25.9.1"}, cut[:len(cut)-6])
		b, bm := k.exam(from, goodExam().with(exam{0x00080018: {"UI", "2.25.9.2"}, 0x7FE00010: {"OW", strings.Repeat("\x01", 16)}}))
		c, cm := k.exam(from, goodExam().with(exam{0x00080018: {"UI", "2.25.9.3"}, 0x00100020: {"LO", "4711"}}))
		for code, x := range map[string]struct {
			o spool.Object
			m Meta
		}{"object.cut": {a, am}, "pixels.short 32 16": {b, bm}, "study.patients 4711 RSSMRA72H26F941L": {c, cm}} {
			if held := x.o.Flags&hub.FlagHold != 0; held != want {
				t.Errorf("%s, %s: held %v", from, code, held)
			}
			if told := found(x.o, x.m); !slices.ContainsFunc(told, func(s string) bool { return strings.HasPrefix(code, s) }) {
				t.Errorf("%s: told %q, not %s", from, told, code)
			}
			if x.o.Flags&(flagFound|endFound) == 0 {
				t.Errorf("%s, %s: it is not looked at again after a start", from, code)
			}
			for _, f := range k.door.judge.shown(from, x.m.Findings, nil) {
				if (f.Level == status.LevelHold) != want && strings.HasPrefix(code, f.Code) {
					t.Errorf("%s: the page says of %s %s", from, code, f.Level)
				}
			}
		}
		desk := k.desk()
		desk.judge.old = k.door.roster.backfills
		fix := &fixDesk{studies: desk, judge: desk.judge, done: &doneBook{}, now: time.Now}
		fix.done.all.Store(&map[uint64]doneRow{})
		for _, g := range fix.FixGroups().Groups {
			if (g.Level == status.LevelHold) != want && (g.Cause == string(quality.CauseObject)) {
				t.Errorf("%s: to be corrected is %+v", from, g)
			}
		}
	}
}
