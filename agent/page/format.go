package page

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// number groups digits as the language does: 12.480 or 12,480. Four digits
// stay together in Italian by typographic custom, but columns read better alike.
func (w *words) number(n int64) string {
	digits := strconv.FormatInt(n, 10)
	sign := ""
	if n < 0 {
		sign, digits = "-", digits[1:]
	}
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + w.groupMark() + digits[i:]
	}
	return sign + digits
}

func (w *words) groupMark() string {
	if w.lang == "en" {
		return ","
	}
	return "."
}

func (w *words) decimalMark() string {
	if w.lang == "en" {
		return "."
	}
	return ","
}

// bytes are shown in decimal units, as disks and lines are sold.
func (w *words) bytes(n int64) string { return w.scaled(float64(n), "B") }

func (w *words) rate(bitsPerSecond int64) string { return w.scaled(float64(bitsPerSecond), "bit/s") }

// scaled shows one decimal below ten and none above: 1,2 GB, 12 GB.
func (w *words) scaled(v float64, unit string) string {
	prefixes := []string{"", "k", "M", "G", "T", "P"}
	i := 0
	for math.Round(v) >= 1000 && i < len(prefixes)-1 {
		v, i = v/1000, i+1
	}
	digits := 0
	if i > 0 && math.Round(v*10)/10 < 10 {
		digits = 1
	}
	text := strconv.FormatFloat(v, 'f', digits, 64)
	return strings.Replace(text, ".", w.decimalMark(), 1) + "\u00a0" + prefixes[i] + unit
}

// duration rounds up to one unit: nobody standing reads two.
func (w *words) duration(d time.Duration) string {
	ceil := func(unit time.Duration) int64 { return int64((d + unit - 1) / unit) }
	switch {
	case d < time.Minute:
		return w.Count("duration.seconds", max(1, ceil(time.Second)))
	case d < time.Hour:
		return w.Count("duration.minutes", ceil(time.Minute))
	case d < 48*time.Hour:
		return w.Count("duration.hours", ceil(time.Hour))
	}
	return w.Count("duration.days", ceil(24*time.Hour))
}

// moment shows a time as people say it: today's without a date, yesterday's
// with that word, older ones with the date. Both must be in the facility's zone.
func (w *words) moment(t, now time.Time) string {
	if t.IsZero() {
		return ""
	}
	clock := t.Format("15:04")
	switch {
	case sameDay(t, now):
		return clock
	case sameDay(t, now.AddDate(0, 0, -1)):
		return w.Say("time.yesterday", "time", clock)
	}
	return w.date(t) + " " + clock
}

func (w *words) date(t time.Time) string {
	switch w.lang {
	case "de":
		return t.Format("02.01.2006")
	case "it":
		return t.Format("02/01/2006")
	}
	return t.Format("2 Jan 2006")
}

func sameDay(a, b time.Time) bool {
	ay, am, ad := a.Date()
	by, bm, bd := b.Date()
	return ay == by && am == bm && ad == bd
}
