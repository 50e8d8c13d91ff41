package quality

import (
	"fmt"
	"slices"
)

// Code names what was found. Codes are stored and sent: none is ever used again for
// something else.
type Code string

const (
	Unreadable     Code = "object.unreadable"
	Cut            Code = "object.cut"
	PixelsShort    Code = "pixels.short"
	PixelsFrames   Code = "pixels.frames"
	PixelsOpen     Code = "pixels.open"
	PixelsLong     Code = "pixels.long"
	PixelsMissing  Code = "pixels.missing"
	UIDReused      Code = "uid.reused"
	UIDMissing     Code = "uid.missing"
	UIDInvalid     Code = "uid.invalid"
	UIDMismatch    Code = "uid.mismatch"
	UIDCommand     Code = "uid.command"
	StudyPatients  Code = "study.patients"
	FiscalLength   Code = "fiscal.length"
	FiscalShape    Code = "fiscal.shape"
	FiscalCheck    Code = "fiscal.check"
	FiscalTwo      Code = "fiscal.two"
	FiscalSpecial  Code = "fiscal.special"
	FiscalMissing  Code = "fiscal.missing"
	FiscalBirth    Code = "fiscal.birth"
	FiscalSex      Code = "fiscal.sex"
	FiscalFamily   Code = "fiscal.family"
	FiscalGiven    Code = "fiscal.given"
	IDMissing      Code = "patient.id"
	NameMissing    Code = "patient.name"
	NameTest       Code = "patient.test"
	BirthMissing   Code = "patient.birth"
	BirthInvalid   Code = "patient.birth_invalid"
	BirthFuture    Code = "patient.birth_future"
	SexMissing     Code = "patient.sex"
	SexInvalid     Code = "patient.sex_invalid"
	IssuerMissing  Code = "patient.issuer"
	StudyNames     Code = "study.names"
	StudyBirths    Code = "study.births"
	AccMissing     Code = "accession.missing"
	AccZeros       Code = "accession.zeros"
	AccLong        Code = "accession.long"
	AccPattern     Code = "accession.pattern"
	AccReused      Code = "accession.reused"
	StudyAccession Code = "study.accessions"
	AccIssuer      Code = "accession.issuer"
	StudyFewer     Code = "study.fewer"
	StudyMore      Code = "study.more"
	StudyUnusual   Code = "study.unusual"
	ClockDrift     Code = "clock.drift"
	DateMissing    Code = "date.missing"
	DateInvalid    Code = "date.invalid"
	DateFar        Code = "date.far"
	TimeInvalid    Code = "time.invalid"
	ZoneInvalid    Code = "zone.invalid"
	ZoneMissing    Code = "zone.missing"
	DeviceUnknown  Code = "device.unknown"
	FacilityOther  Code = "facility.other"
	FacilityNone   Code = "facility.missing"
	StationUnknown Code = "station.unknown"
	ModMissing     Code = "modality.missing"
	ModUnknown     Code = "modality.unknown"
	ModClass       Code = "modality.class"
	ModDevice      Code = "modality.device"
	SetUnknown     Code = "charset.unknown"
	SetUndeclared  Code = "charset.undeclared"
	SetDecode      Code = "charset.decode"
	TextReplaced   Code = "charset.replaced"
	TextMojibake   Code = "charset.mojibake"
	TextControl    Code = "charset.control"
	TextQuestion   Code = "charset.question"
)

// Level is what a finding does.
type Level uint8

const (
	Off  Level = iota // it is not told
	Info              // told beside the study
	Warn              // told, and counted on the page
	Hold              // the object arrives at the hub and waits there before the archive
)

var levels = []string{"off", "info", "warn", "hold"}

func (l Level) String() string {
	if int(l) < len(levels) {
		return levels[l]
	}
	return fmt.Sprintf("level %d", uint8(l))
}

// MarshalText writes what String says.
func (l Level) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// UnmarshalText reads off, info, warn or hold.
func (l *Level) UnmarshalText(b []byte) error {
	i := slices.Index(levels, string(b))
	if i < 0 {
		return fmt.Errorf("%.20q is no level: off, info, warn or hold", b)
	}
	*l = Level(i)
	return nil
}

// Cause is what findings are grouped by: one for each of the ten checks.
type Cause string

const (
	CauseObject       Cause = "object"
	CauseUID          Cause = "uid"
	CausePatients     Cause = "patients"
	CauseFiscal       Cause = "fiscal_code"
	CausePerson       Cause = "person"
	CauseAccession    Cause = "accession"
	CauseCompleteness Cause = "completeness"
	CauseClock        Cause = "clock"
	CauseOrigin       Cause = "origin"
	CauseText         Cause = "text"
)

// causes in the order of the checks: the first is check 1.
var causes = []Cause{CauseObject, CauseUID, CausePatients, CauseFiscal, CausePerson, CauseAccession, CauseCompleteness, CauseClock, CauseOrigin, CauseText}

// Causes are all of them, in that order.
func Causes() []Cause { return slices.Clone(causes) }

// holding is how many of the checks may hold.
const holding = 3

// Number of the check, 1 to 10; 0 where there is no such cause.
func (c Cause) Number() int { return slices.Index(causes, c) + 1 }

// Kind says what a value of a finding is.
type Kind string

const (
	None    Kind = ""
	Text    Kind = "text"    // as the device wrote it
	Date    Kind = "date"    // YYYY-MM-DD
	Count   Kind = "count"   // decimal digits
	Bytes   Kind = "bytes"   // decimal digits
	Seconds Kind = "seconds" // decimal digits, with a minus where the clock is behind
)

// Entry is what is known of a code.
type Entry struct {
	Code  Code
	Cause Cause
	Level Level   // unless the Config has another
	Kinds [2]Kind // of the values
	Tags  string  // the attributes that it looks at, (gggg,eeee) of PS3.6
	About string  // what is wrong, and the two values
}

// Table has all codes, in the order in which findings stand.
func Table() []Entry { return slices.Clone(table) }

var order = func() map[Code]int {
	m := make(map[Code]int, len(table))
	for i, e := range table {
		m[e.Code] = i
	}
	return m
}()

// Lookup finds a code.
func Lookup(c Code) (Entry, bool) {
	i, ok := order[c]
	if !ok {
		return Entry{}, false
	}
	return table[i], true
}
