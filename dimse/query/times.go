package query

import (
	"strconv"
	"strings"
	"time"
)

// matchesTime is single value and range matching of DA, TM and DT (PS3.4
// §C.2.2.2.1, §C.2.2.2.5): A-B, A- and -B, both ends included. Date and time are
// matched each on their own: the combined form has to be negotiated (§C.2.2.2.5).
func matchesTime(vr, wanted, have string) bool {
	from, to, ranged := bounds(vr, wanted)
	if !ranged {
		to = from
	}
	first, _, ok := span(vr, have)
	if !ok {
		return !ranged && wanted == have
	}
	if from != "" {
		low, _, ok := span(vr, from)
		if !ok || first.before(low) {
			return false
		}
	}
	if to != "" {
		_, high, ok := span(vr, to)
		return ok && !high.before(first)
	}
	return from != ""
}

// bounds splits a range at its hyphen. In a DT a hyphen may also begin the
// offset from UTC, four digits that end the value (PS3.5 §6.2): -0500 alone is
// one only behind digits.
func bounds(vr, s string) (from, to string, ranged bool) {
	if vr != "DT" {
		from, to, ranged = strings.Cut(s, "-")
		return strings.TrimSpace(from), strings.TrimSpace(to), ranged
	}
	for i := 0; i < len(s); i++ {
		if s[i] == '-' && !offsetAt(s, i) {
			return s[:i], s[i+1:], true
		}
	}
	return s, "", false
}

// offsetAt says that the hyphen at i begins an offset: digits before it, exactly
// four behind it, then the end or the hyphen of the range. "2020-2021" fits that,
// too, and is a range: no offset goes west beyond 12 hours.
func offsetAt(s string, i int) bool {
	j := i + 1
	for j < len(s) && s[j] >= '0' && s[j] <= '9' {
		j++
	}
	return i > 0 && j == i+5 && (j == len(s) || s[j] == '-') && s[i+1:j] <= "1200" && s[i-1] != '-'
}

// instant is a point of time as digits, comparable among its VR, and in UTC if
// it carried an offset.
type instant struct {
	digits string    // as long as the VR can be
	utc    time.Time // zero: no offset
}

func (a instant) before(b instant) bool {
	if !a.utc.IsZero() && !b.utc.IsZero() {
		return a.utc.Before(b.utc)
	}
	return a.digits < b.digits
}

// The latest value of each VR: what is left out of a value is the least of it as
// a beginning, and the most as an end.
var latest = map[string]string{"DA": "99991231", "TM": "235960999999", "DT": "99991231235960999999"}
var earliest = map[string]string{"DA": "00010101", "TM": "000000000000", "DT": "00010101000000000000"}

// span is the first and the last instant that a value means.
func span(vr, s string) (first, last instant, ok bool) {
	s, offset := cutOffset(vr, s)
	s = strings.NewReplacer(".", "", ":", "").Replace(strings.TrimSpace(s)) // also the forms of before 1993
	full := latest[vr]
	if s == "" || len(s) > len(full) || strings.Trim(s, "0123456789") != "" {
		return first, last, false
	}
	first.digits, last.digits = s+earliest[vr][len(s):], s+full[len(s):]
	if offset != "" {
		first.utc, last.utc = utc(first.digits, offset), utc(last.digits, offset)
	}
	return first, last, true
}

func cutOffset(vr, s string) (value, offset string) {
	if i := strings.LastIndexAny(s, "+-"); vr == "DT" && i > 0 && len(s) == i+5 {
		return s[:i], s[i:]
	}
	return s, ""
}

// utc is zero when it is no time at all.
func utc(digits, offset string) time.Time {
	day := digits[:14]
	if day[12:14] == "60" { // a leap second
		day = day[:12] + "59"
	}
	t, err := time.Parse("20060102150405", day)
	if err != nil { // the 31st of a month of 30 days is the end of it
		if t, err = time.Parse("20060102150405", day[:6]+"01"+day[8:]); err != nil {
			return time.Time{}
		}
		t = t.AddDate(0, 1, -1)
	}
	fraction, _ := strconv.Atoi(digits[14:])
	zone, err := time.Parse("-0700", offset)
	if err != nil {
		return time.Time{}
	}
	_, seconds := zone.Zone()
	return t.Add(time.Duration(fraction)*time.Microsecond - time.Duration(seconds)*time.Second)
}
