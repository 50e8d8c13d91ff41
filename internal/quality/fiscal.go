package quality

import (
	"slices"
	"strings"
	"time"

	"edged/internal/codicefiscale"
)

// fiscal is check 4, and 5 for what a good number says.
func (l *list) fiscal(i Instance, in Context) {
	var good []string
	any := false
	for _, p := range append([]Patient{i.Patient}, i.OtherIDs...) {
		s := codicefiscale.Clean(p.ID)
		if !l.checker.meant(s, p.Issuer) {
			continue
		}
		any = true
		if l.number(s) && !slices.Contains(good, s) {
			good = append(good, s)
		}
	}
	l.addIf(!any, FiscalMissing)
	for n, s := range good {
		l.addIf(n > 0 && codicefiscale.Base(s) != codicefiscale.Base(good[0]), FiscalTwo, good[0], s)
		l.compare(s, i, in.Received)
	}
}

// meant says whether a number is meant to be a codice fiscale: its issuer gives no others,
// or it looks like one, perhaps with a character too many, too few or wrong.
func (k *Checker) meant(s, issuer string) bool {
	switch {
	case s == "":
		return false
	case issuer != "" && slices.ContainsFunc(k.config.CodeIssuers, func(i string) bool { return strings.EqualFold(i, issuer) }):
		return true
	case codicefiscale.Strict(s) == "" || special(s) && len(s) == codicefiscale.Length:
		return true
	}
	return len(s) >= codicefiscale.Length-2 && len(s) <= codicefiscale.Length+2 && begun(s)
}

// begun: six letters, a year, a letter, a day. The O and the I that somebody typed for 0
// and 1 are read as those.
func begun(s string) bool {
	const digits, standIns = "0123456789OI", "LMNPQRSTUV"
	for i, c := range []byte(s[:11]) {
		letter := c >= 'A' && c <= 'Z'
		if i == 6 || i == 7 || i == 9 || i == 10 {
			if !strings.Contains(digits+standIns, string(rune(c))) {
				return false
			}
		} else if !letter {
			return false
		}
	}
	return strings.ContainsAny(s[6:11], "0123456789") || codicefiscale.Strict(s) == codicefiscale.BadCheck // all of it but the last letter is right; else it may be any word
}

// special numbers are right, and no person's of the decree.
func special(s string) bool {
	return codicefiscale.Accepted(s) == "" && (len(s) != codicefiscale.Length || strings.HasPrefix(s, "ENI") || strings.HasPrefix(s, "STP")) && codicefiscale.Strict(s) != ""
}

// number says whether one can be compared with a person.
func (l *list) number(s string) bool {
	if special(s) {
		l.add(FiscalSpecial, s)
		return false
	}
	switch p := codicefiscale.Strict(s); {
	case p == codicefiscale.BadLength && codicefiscale.Accepted(s) == codicefiscale.BadCheck:
		l.add(FiscalCheck, s, codicefiscale.CheckDigit(s[:len(s)-1]))
	case p == codicefiscale.BadLength:
		l.add(FiscalLength, s, decimal(int64(len([]rune(s)))))
	case p == codicefiscale.BadCheck:
		l.add(FiscalCheck, s, string(rune(codicefiscale.CheckCharacter(s[:codicefiscale.Length-1]))))
	case p != "":
		l.add(FiscalShape, s)
	default:
		return true
	}
	return false
}

func (l *list) compare(s string, i Instance, now time.Time) {
	if now.IsZero() {
		now, _ = parseDate(i.StudyDate)
	}
	if now.IsZero() {
		return // which century cannot be said
	}
	if _, _, ok := codicefiscale.Birth(s, now); !ok {
		l.add(FiscalShape, s) // the 31st of February
		return
	}
	p := codicefiscale.Person{Sex: i.Sex}
	p.Family, p.Given = parts(i.PatientName)
	p.Birth, _ = parseDate(i.BirthDate)
	for _, c := range codicefiscale.Compare(s, p, now) {
		l.add(contradicted[c.What], c.InCode, c.Given)
	}
}

var contradicted = map[codicefiscale.What]Code{
	codicefiscale.OfBirth: FiscalBirth, codicefiscale.OfSex: FiscalSex,
	codicefiscale.OfFamily: FiscalFamily, codicefiscale.OfGiven: FiscalGiven,
}
