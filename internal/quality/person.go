package quality

import (
	"strings"
	"time"
	"unicode"

	"edged/internal/codicefiscale"
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
			l.add(StudyPatients, first.ID, p.ID)
		}
	}
}

// same patient, as far as can be told: nobody gives two people numbers that differ in
// capitals, spaces or leading zeros alone. The issuer is not compared: one device writes a
// name into (0010,0021), another an OID into (0010,0024) only, and holding an examination for
// that is worse than missing two people whom two issuers gave one number in one study. Of two
// codici fiscali that are one but for omocodia the one is mostly the old number of a person
// who was given the other: that two people who share one meet in a study is far more rare.
func same(a, b Patient) bool {
	x, y := strings.TrimLeft(spaceless(a.ID), "0"), strings.TrimLeft(spaceless(b.ID), "0")
	if strings.EqualFold(x, y) {
		return true
	}
	base := codicefiscale.Base(x)
	return base != "" && base == codicefiscale.Base(y) && codicefiscale.Strict(x) == "" && codicefiscale.Strict(y) == ""
}

func spaceless(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || r == 0 {
			return -1
		}
		return r
	}, s)
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
