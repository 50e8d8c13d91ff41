package quality

import (
	"strings"
	"time"
	"unicode"
)

// patients is check 3: the first that has a number against each that has another.
func (l *list) patients(all []Patient) {
	var first Patient
	for _, p := range all {
		switch {
		case p.ID == "":
		case first.ID == "":
			first = p
		case !same(first, p):
			l.add(StudyPatients, numbered(first, p), numbered(p, first))
		}
	}
}

// same patient, as far as can be told: an issuer that is missing contradicts none, and
// nobody gives two people numbers that differ in capitals alone.
func same(a, b Patient) bool {
	return strings.EqualFold(a.ID, b.ID) && (a.Issuer == "" || b.Issuer == "" || strings.EqualFold(a.Issuer, b.Issuer))
}

// numbered has the issuer only where it is the difference.
func numbered(p, other Patient) string {
	if strings.EqualFold(p.ID, other.ID) {
		return p.ID + "^^^" + p.Issuer // as HL7 writes both
	}
	return p.ID
}

// person is the part of check 5 that needs no codice fiscale.
func (l *list) person(i Instance, in Context) {
	l.addIf(i.Patient.ID == "", IDMissing)
	l.addIf(i.Patient.ID != "" && i.Patient.Issuer == "", IssuerMissing)
	l.addIf(folded(i.PatientName) == "", NameMissing)
	l.addIf(l.checker.test(i.PatientName), NameTest, i.PatientName)
	l.birth(i.BirthDate, in.Received)
	switch i.Sex {
	case "":
		l.add(SexMissing)
	case "M", "F", "O":
	default:
		l.add(SexInvalid, i.Sex)
	}
}

func (l *list) birth(date string, received time.Time) {
	day, ok := parseDate(date)
	switch {
	case date == "":
		l.add(BirthMissing)
	case !ok:
		l.add(BirthInvalid, date)
	case !received.IsZero() && day.Format(time.DateOnly) > received.Format(time.DateOnly):
		l.add(BirthFuture, day.Format(time.DateOnly), received.Format(time.DateOnly))
	}
}

// differ tells each value that is another than the first, as folded.
func (l *list) differ(c Code, all []string, fold func(string) string) {
	first := ""
	for _, s := range all {
		switch {
		case fold(s) == "":
		case first == "":
			first = s
		case fold(s) != fold(first):
			l.add(c, first, s)
		}
	}
}

// testNames are how people call nobody, folded.
var testNames = []string{"TEST", "PROVA", "ANONYMOUS", "ANONYM", "ANONYMIZED", "ANONIMO", "ANONIMIZZATO", "PHANTOM", "FANTOCCIO", "FANTOCCI"}

// test says whether a name is one for trying: a word of it is such a name, with digits behind it
// or without (TEST^2, PROVA01), or each part repeats one letter (xx^xx). Whoever is
// called Testa or Provasi is somebody.
func (k *Checker) test(name string) bool {
	family, given := parts(name)
	words := strings.FieldsFunc(family+" "+given, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	repeated := len(words) > 0
	for _, w := range words {
		if f := folded(w); k.tests[f] || k.tests[strings.TrimRightFunc(f, unicode.IsDigit)] {
			return true
		}
		repeated = repeated && repeats(w)
	}
	return repeated || k.tests[folded(name)]
}

// repeats: "xx", "AAA", not "X", and not "00": a number is no name, but no test either.
func repeats(w string) bool {
	runes := []rune(strings.ToUpper(w))
	return len(runes) > 1 && unicode.IsLetter(runes[0]) && strings.Trim(string(runes), string(runes[0])) == ""
}

// parts are the first two components of the first group of a PN that is not empty
// (PS3.5 §6.2.1).
func parts(name string) (family, given string) {
	for group := range strings.SplitSeq(name, "=") {
		if strings.Trim(group, "^ ") == "" {
			continue
		}
		family, rest, _ := strings.Cut(group, "^")
		given, _, _ := strings.Cut(rest, "^")
		return strings.TrimSpace(family), strings.TrimSpace(given)
	}
	return "", ""
}

// folded has letters and digits alone, in capitals: two ways to write one name are the same.
func folded(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return unicode.ToUpper(r)
		}
		return -1
	}, s)
}
