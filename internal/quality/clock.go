package quality

import (
	"strings"
	"time"
)

// dates is the part of check 8 about one instance.
func (l *list) dates(i Instance, in Context) {
	zone, ok := parseZone(i.Timezone)
	l.addIf(i.Timezone == "", ZoneMissing)
	l.addIf(i.Timezone != "" && !ok, ZoneInvalid, i.Timezone)
	if !ok {
		zone = in.Received.Location() // the facility's
	}
	at, known := parseTime(i.StudyTime)
	l.addIf(i.StudyTime != "" && !known, TimeInvalid, i.StudyTime)
	day, ok := parseDate(i.StudyDate)
	switch {
	case i.StudyDate == "":
		l.add(DateMissing)
	case !ok:
		l.add(DateInvalid, i.StudyDate)
	case !in.Backfill && !in.Received.IsZero():
		from, until := moment(day, at, known, zone)
		slack := l.checker.config.DateSlack
		far := from.After(in.Received.Add(slack)) || until.Before(in.Received.Add(-slack))
		l.addIf(far, DateFar, day.Format(time.DateOnly), in.Received.In(zone).Format(time.DateOnly))
	}
}

// moment is when a study was: all of the day where its time is not known.
func moment(day time.Time, at time.Duration, known bool, zone *time.Location) (from, until time.Time) {
	y, m, d := day.Date()
	if !known {
		return time.Date(y, m, d, 0, 0, 0, 0, zone), time.Date(y, m, d+1, 0, 0, 0, 0, zone)
	}
	from = time.Date(y, m, d, 0, 0, int(at/time.Second), 0, zone)
	return from, from
}

// parseDate reads a DA: YYYYMMDD, and YYYY.MM.DD of before 1993 (PS3.5 §6.2).
func parseDate(s string) (time.Time, bool) {
	for _, layout := range []string{"20060102", "2006.01.02"} {
		if len(s) == len(layout) {
			t, err := time.Parse(layout, s)
			return t, err == nil && t.Year() > 0
		}
	}
	return time.Time{}, false
}

// parseTime reads a TM: HH, HHMM, HHMMSS, HHMMSS.FFFFFF, with colons as before 1993
// (PS3.5 §6.2). The second 60 is one.
func parseTime(s string) (time.Duration, bool) {
	s = strings.TrimRight(s, " ")
	if len(s) > 16 {
		return 0, false
	}
	s, fraction, dot := strings.Cut(strings.ReplaceAll(s, ":", ""), ".")
	if dot && (len(s) != 6 || !decimals(fraction) || len(fraction) > 6) {
		return 0, false
	}
	if len(s) != 2 && len(s) != 4 && len(s) != 6 || !decimals(s) {
		return 0, false
	}
	s += "0000"[:6-len(s)]
	h, m, sec := pair(s), pair(s[2:]), pair(s[4:])
	at := time.Duration(h)*time.Hour + time.Duration(m)*time.Minute + time.Duration(sec)*time.Second
	return at, h < 24 && m < 60 && sec <= 60
}

// parseZone reads &ZZXX, from -1200 to +1400 (PS3.3 §C.12.1.1.8).
func parseZone(s string) (*time.Location, bool) {
	if len(s) != 5 || s[0] != '+' && s[0] != '-' || !decimals(s[1:]) {
		return nil, false
	}
	h, m := pair(s[1:]), pair(s[3:])
	minutes := 60*h + m
	if s[0] == '-' {
		minutes = -minutes
	}
	if m > 59 || minutes < -12*60 || minutes > 14*60 || s == "-0000" {
		return nil, false
	}
	return time.FixedZone(s, 60*minutes), true
}

func pair(s string) int { return 10*int(s[0]-'0') + int(s[1]-'0') }

func decimals(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}
