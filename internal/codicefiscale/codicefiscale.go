package codicefiscale

import (
	"strings"
	"time"
)

// Length of a number of a person that is not provisional, in characters.
const Length = 16

// Problem says what is wrong with a number; "" is nothing.
type Problem string

const (
	Empty     Problem = "empty"
	BadLength Problem = "length"    // neither 16 nor a form of its own
	BadShape  Problem = "shape"     // a letter where a digit belongs, or the other way round
	BadMonth  Problem = "month"     // no month has this letter
	BadDay    Problem = "day"       // not 1 to 31, nor 41 to 71
	BadCheck  Problem = "character" // the check character is another one
)

// Clean is a number as it is compared: without blanks around it, in capitals. A number of 17
// characters loses the last one, as the gateway has it.
func Clean(s string) string {
	s = strings.ToUpper(strings.TrimSpace(clip(s)))
	if len(s) == Length+1 {
		return s[:Length]
	}
	return s
}

// longest is how much of a text is looked at: no number is longer.
const longest = 64

func clip(s string) string {
	if len(s) > longest {
		return s[:longest]
	}
	return s
}

// Accepted says what the national gateway would: "" is a number that it takes.
func Accepted(s string) Problem {
	s = Clean(s)
	switch {
	case s == "":
		return Empty
	case len(s) == Length && (strings.HasPrefix(s, "ENI") || strings.HasPrefix(s, "STP")) && digits(s[3:]):
		return "" // a European without insurance, a stranger who is here for the time being
	case len(s) == 11:
		return provisional(s)
	case len(s) != Length:
		return BadLength
	case !letters(s[:6]):
		return BadShape
	}
	return checked(s)
}

// provisional numbers have a check digit as a VAT number has: every second digit counts
// twice, with its own digits added, and all of it is a multiple of ten.
func provisional(s string) Problem {
	if !digits(s) {
		return BadShape
	}
	if luhn(s) != 0 {
		return BadCheck
	}
	return ""
}

// CheckDigit is the last of a provisional number, for the ten digits before it; "" for
// anything else.
func CheckDigit(s string) string {
	if len(s) != 10 || !digits(s) {
		return ""
	}
	return string(rune('0' + (10-luhn(s+"0"))%10))
}

// luhn is what is left of the sum.
func luhn(s string) int {
	sum := 0
	for i := range len(s) {
		d := int(s[i] - '0')
		if i%2 == 1 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
	}
	return sum % 10
}

// Strict says whether a number of a person has the shape of the decree.
func Strict(s string) Problem {
	s = Clean(s)
	switch {
	case s == "":
		return Empty
	case len(s) != Length:
		return BadLength
	case !shaped(s):
		return BadShape
	}
	d, _ := decode(s)
	switch {
	case d.month == 0:
		return BadMonth
	case d.day < 1 || d.day > 31:
		return BadDay
	}
	return checked(s)
}

// shape has A for a letter and 9 for a digit or its stand-in, in the order of the number.
const shape = "AAAAAA99A99A999A"

func shaped(s string) bool {
	for i := range len(s) {
		if _, ok := digitOf(s[i]); !ok && shape[i] == '9' || !letter(s[i]) && shape[i] == 'A' {
			return false
		}
	}
	return true
}

// standIns are the letters of omocodia for 0 to 9.
const standIns = "LMNPQRSTUV"

// digitOf is what a digit or its stand-in says.
func digitOf(c byte) (int, bool) {
	if c >= '0' && c <= '9' {
		return int(c - '0'), true
	}
	i := strings.IndexByte(standIns, c)
	return i, i >= 0
}

// Base is a number with its omocodia undone, and so with another check character: the
// same for everybody who was born as that one and is called so. "" where the shape is
// wrong.
func Base(s string) string {
	s = Clean(s)
	if len(s) != Length || !shaped(s) {
		return ""
	}
	b := []byte(s)
	for i := range b {
		if shape[i] == '9' {
			d, _ := digitOf(b[i])
			b[i] = byte('0' + d)
		}
	}
	b[Length-1] = CheckCharacter(string(b[:Length-1]))
	return string(b)
}

// odd are the weights of the characters in the odd places, for 0 to 9 and A to Z alike
// (decree 23.12.1976, table).
var odd = [26]int{1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23}

// CheckCharacter of the first fifteen characters, letters A to Z and digits; 0 for any
// other text.
func CheckCharacter(s string) byte {
	if len(s) != Length-1 {
		return 0
	}
	sum := 0
	for i := range len(s) {
		v := 0
		switch c := s[i]; {
		case letter(c):
			v = int(c - 'A')
		case c >= '0' && c <= '9':
			v = int(c - '0')
		default:
			return 0
		}
		if i%2 == 0 { // the first place is odd
			v = odd[v]
		}
		sum += v
	}
	return byte('A' + sum%26)
}

func checked(s string) Problem {
	switch CheckCharacter(s[:Length-1]) {
	case 0:
		return BadShape
	case s[Length-1]:
		return ""
	}
	return BadCheck
}

// born is what a number says about a birth.
type born struct {
	year       int // of the century
	month, day int // month 0: none
	female     bool
}

const months = "ABCDEHLMPRST"

// decode needs the right shape.
func decode(s string) (b born, ok bool) {
	if len(s) != Length || !shaped(s) {
		return b, false
	}
	pair := func(i int) int {
		tens, _ := digitOf(s[i])
		ones, _ := digitOf(s[i+1])
		return 10*tens + ones
	}
	b.year, b.month, b.day = pair(6), strings.IndexByte(months, s[8])+1, pair(9)
	if b.female = b.day > 40; b.female {
		b.day -= 40
	}
	return b, true
}

// Birth is what a number of the right shape says. The century is not in it: it is that
// of the youngest person who was born by now. ok is false where there is no such day.
func Birth(s string, now time.Time) (day time.Time, female, ok bool) {
	b, ok := decode(Clean(s))
	if !ok || b.month == 0 {
		return time.Time{}, false, false
	}
	year := now.Year() - now.Year()%100 + b.year
	for _, y := range []int{year, year - 100} {
		day = time.Date(y, time.Month(b.month), b.day, 0, 0, 0, 0, time.UTC)
		if day.Day() == b.day && !day.After(now) { // the 29th of February is not in every century's year
			return day, b.female, true
		}
	}
	return time.Time{}, false, false
}

func letter(c byte) bool { return c >= 'A' && c <= 'Z' }

func letters(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r < 'A' || r > 'Z' }) < 0
}

func digits(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r < '0' || r > '9' }) < 0
}
