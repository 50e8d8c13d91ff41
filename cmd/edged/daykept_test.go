package main

import (
	"testing"
	"time"

	"edged/agent/page"
)

// A report that took long is not made anew for a while; one that was made in a moment, or
// while studies were still being read, is.
func TestALongReportOfADayIsKeptForAWhile(t *testing.T) {
	var now time.Time
	counted := 0
	k := &keptDays{}
	ask := func(day int, took time.Duration, reading bool) {
		k.of(time.Date(2026, 11, day, 0, 0, 0, 0, time.UTC), func() time.Time { return now }, func() page.DayReport {
			counted++
			now = now.Add(took)
			return page.DayReport{Reading: reading}
		})
	}
	now = time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		what    string
		day     int
		after   time.Duration
		took    time.Duration
		reading bool
		want    int
	}{
		{"the first", 22, 0, time.Millisecond, false, 1},
		{"a short one again", 22, 0, time.Second, true, 2},
		{"one while reading again", 22, 0, time.Second, false, 3},
		{"a long one again", 22, keepFor / 2, time.Second, false, 3},
		{"another day", 21, 0, time.Millisecond, false, 4},
		{"the long one later", 22, keepFor, time.Millisecond, false, 5},
	} {
		now = now.Add(c.after)
		if ask(c.day, c.took, c.reading); counted != c.want {
			t.Errorf("%s: counted %d times, want %d", c.what, counted, c.want)
		}
	}
}
