package quality

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

const (
	maxText     = 1024 // bytes of a text that are looked at: DICOM's own limits are far below
	maxList     = 16   // entries of a list
	maxValue    = 64   // characters of a value in a finding
	maxFindings = 64   // of one instance or study
)

// Finding is one thing that is wrong. Values are data, hostile perhaps: see the package.
type Finding struct {
	Code   Code      `json:"code"`
	Level  Level     `json:"level"`
	Cause  Cause     `json:"cause"`
	Values [2]string `json:"values"` // {a} and {b} of the sentence; the Table says what they are
}

// Checker makes findings as a Config wants them. It may be used by many at once.
type Checker struct {
	config  Config
	pattern *regexp.Regexp
	tests   map[string]bool
}

// New makes a Checker. The error is Validate's.
func New(c Config) (*Checker, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	k := &Checker{config: c.filled(), tests: make(map[string]bool)}
	k.pattern, _ = c.pattern() // Validate has compiled it
	for _, n := range slices.Concat(testNames, c.TestNames) {
		k.tests[folded(n)] = true
	}
	delete(k.tests, "")
	return k, nil
}

// Instance checks one.
func (k *Checker) Instance(i Instance, in Context) []Finding {
	i, in = bounded(i), boundedContext(in)
	l := list{checker: k, backfill: in.Backfill}
	l.object(i)
	l.uids(i, in)
	if !i.Unreadable { // else all would be missing
		l.patients([]Patient{i.Patient, in.StudyPatient})
		l.fiscal(i, in)
		l.person(i, in)
		l.accession(i, in)
		l.dates(i, in)
		l.origin(i, in)
		l.modality(i, in)
		l.text(i)
	}
	return Merge(l.found)
}

// Study checks what the instances of one say together, and what is known of its device.
func (k *Checker) Study(s Study, in Context) []Finding {
	in = boundedContext(in)
	l := list{checker: k, backfill: in.Backfill}
	l.patients(boundedPatients(s.Patients))
	l.differ(StudyNames, boundedList(s.Names), folded)
	l.differ(StudyBirths, boundedList(s.BirthDates), folded)
	l.differ(StudyAccession, boundedList(s.Accessions), strings.ToUpper)
	l.complete(s, in)
	l.drift(in)
	return Merge(l.found)
}

// Merge puts findings together: in the order of the Table, each once, so many as are
// ever told. Those of all instances of a study become those of the study.
func Merge(lists ...[]Finding) []Finding {
	all := slices.Concat(lists...)
	slices.SortFunc(all, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(rank(a.Code), rank(b.Code)), cmp.Compare(b.Level, a.Level),
			strings.Compare(string(a.Code), string(b.Code)), strings.Compare(a.Values[0], b.Values[0]),
			strings.Compare(a.Values[1], b.Values[1]), strings.Compare(string(a.Cause), string(b.Cause)))
	})
	all = slices.Compact(all)
	return all[:min(len(all), maxFindings)]
}

// rank has codes that are not known, of a later version, at the end.
func rank(c Code) int {
	if i, ok := order[c]; ok {
		return i
	}
	return len(table)
}

// Worst is the highest level of some findings.
func Worst(found []Finding) (l Level) {
	for _, f := range found {
		l = max(l, f.Level)
	}
	return l
}

// list is findings as they are made.
type list struct {
	checker  *Checker
	backfill bool
	found    []Finding
}

func (l *list) add(c Code, values ...string) {
	e := table[order[c]]
	f := Finding{Code: c, Cause: e.Cause, Level: e.Level}
	if level, ok := l.checker.config.Actions[c]; ok {
		f.Level = level
	}
	if l.backfill { // nothing old waits: its examination was reported long ago, and is looked for
		f.Level = min(f.Level, Warn)
	}
	if f.Level == Off {
		return
	}
	for i, v := range values {
		f.Values[i] = value(v)
	}
	l.found = append(l.found, f)
}

// addIf is for what needs no values but the one.
func (l *list) addIf(wrong bool, c Code, values ...string) {
	if wrong {
		l.add(c, values...)
	}
}

// value is a text as a finding has it.
func value(s string) string {
	s = strings.ToValidUTF8(clip(s), "\uFFFD")
	n := 0
	for i := range s {
		if n++; n > maxValue {
			return s[:i] + "…"
		}
	}
	return s
}

// clip is the part of a text that is looked at, whole characters of it.
func clip(s string) string {
	if len(s) <= maxText {
		return s
	}
	end := maxText
	for end > maxText-utf8.UTFMax && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end]
}

// trimmed is without the padding of PS3.5 §6.2.
func trimmed(s string) string { return strings.Trim(clip(s), " \x00") }
