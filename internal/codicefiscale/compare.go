package codicefiscale

import (
	"strings"
	"time"
)

// Person is what DICOM says about somebody; what is empty is not compared.
type Person struct {
	Family, Given string    // as written, with accents
	Birth         time.Time // the day
	Sex           string    // M or F; anything else is not compared
}

// Contradiction is one thing that cannot be true together.
type Contradiction struct {
	What          What
	InCode, Given string // the two values, a date as YYYY-MM-DD
}

// What is contradicted.
type What string

const (
	OfBirth  What = "birth"
	OfSex    What = "sex"
	OfFamily What = "family"
	OfGiven  What = "given"
)

// Compare says what contradicts a number of the right shape. It is a hint for a person, no
// proof: names change with marriage, and their consonants are all that is in a number.
func Compare(s string, p Person, now time.Time) (out []Contradiction) {
	s = Clean(s)
	b, ok := decode(s)
	if !ok {
		return nil
	}
	if !p.Birth.IsZero() && b.month != 0 && (p.Birth.Year()%100 != b.year || int(p.Birth.Month()) != b.month || p.Birth.Day() != b.day) {
		code := ""
		if day, _, ok := Birth(s, now); ok {
			code = day.Format(time.DateOnly)
		}
		out = append(out, Contradiction{OfBirth, code, p.Birth.Format(time.DateOnly)})
	}
	if sex := map[bool]string{false: "M", true: "F"}[b.female]; (p.Sex == "M" || p.Sex == "F") && p.Sex != sex {
		out = append(out, Contradiction{OfSex, sex, p.Sex})
	}
	if want := ofFamily(p.Family); want != "" && want != s[:3] {
		out = append(out, Contradiction{OfFamily, s[:3], want})
	}
	if want := ofGiven(p.Given); want != "" && want != s[3:6] {
		out = append(out, Contradiction{OfGiven, s[3:6], want})
	}
	return out
}

// ofFamily: consonants, then vowels, then X, three of them.
func ofFamily(name string) string {
	consonants, vowels := split(name)
	if consonants+vowels == "" {
		return ""
	}
	return (consonants + vowels + "XXX")[:3]
}

// ofGiven is the same, but of four consonants and more the second is left out.
func ofGiven(name string) string {
	consonants, vowels := split(name)
	if len(consonants) >= 4 {
		return consonants[:1] + consonants[2:4]
	}
	if consonants+vowels == "" {
		return ""
	}
	return (consonants + vowels + "XXX")[:3]
}

// plain are letters with marks as they stand in a number.
var plain = strings.NewReplacer("À", "A", "Á", "A", "Â", "A", "Ã", "A", "Ä", "AE", "È", "E", "É", "E", "Ê", "E", "Ë", "E",
	"Ì", "I", "Í", "I", "Î", "I", "Ï", "I", "Ò", "O", "Ó", "O", "Ô", "O", "Õ", "O", "Ö", "OE", "Ù", "U", "Ú", "U", "Û", "U",
	"Ü", "UE", "Ç", "C", "Ñ", "N", "ß", "SS", "Š", "S", "Ž", "Z", "Č", "C", "Ć", "C", "Đ", "D")

// split gives a name's consonants and vowels, each in their order. A name with a letter
// that is not known here gives nothing: who knows how it was written down.
func split(name string) (consonants, vowels string) {
	name = plain.Replace(strings.ToUpper(clip(name)))
	var c, v strings.Builder
	for _, r := range name {
		switch {
		case strings.ContainsRune("AEIOU", r):
			v.WriteRune(r)
		case r >= 'A' && r <= 'Z':
			c.WriteRune(r)
		case r > 127:
			return "", ""
		}
	}
	return c.String(), v.String()
}
