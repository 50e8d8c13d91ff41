package uplink

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	z, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

var everyDay = [7]bool{true, true, true, true, true, true, true}

func on(days ...time.Weekday) (p [7]bool) {
	for _, d := range days {
		p[d] = true
	}
	return p
}

func clock(hour, minute int) time.Duration {
	return time.Duration(hour)*time.Hour + time.Duration(minute)*time.Minute
}

// changes are all changes of the rate from one instant to another, as capAt
// tells them, in local time with its offset: "Sun 03:30 +02 5".
func changes(s Shape, from, to time.Time) (all []string) {
	rate, until := capAt(s, from)
	all = append(all, fmt.Sprintf("%d", rate))
	for !until.IsZero() && until.Before(to) {
		rate, next := capAt(s, until)
		all = append(all, until.In(s.Zone).Format("Mon 15:04 -07 ")+fmt.Sprint(rate))
		until = next
	}
	return all
}

// TestTheNightsInWhichTheClockIsPut: Europe/Rome went from 02:00 to 03:00 on 29
// March 2026, and back from 03:00 to 02:00 on 25 October.
func TestTheNightsInWhichTheClockIsPut(t *testing.T) {
	rome := zone(t, "Europe/Rome")
	spring, autumn := time.Date(2026, 3, 28, 12, 0, 0, 0, rome), time.Date(2026, 10, 24, 12, 0, 0, 0, rome)
	for _, c := range []struct {
		name     string
		from, to time.Duration
		begin    time.Time
		want     []string
	}{
		{"spring: around the missing hour", clock(1, 0), clock(4, 0), spring, []string{"0", "Sun 01:00 +01 5", "Sun 04:00 +02 0"}},
		{"spring: begins in it", clock(2, 30), clock(5, 0), spring, []string{"0", "Sun 03:00 +02 5", "Sun 05:00 +02 0"}},
		{"spring: ends in it", clock(1, 0), clock(2, 30), spring, []string{"0", "Sun 01:00 +01 5", "Sun 03:00 +02 0"}},
		{"spring: all of it within", clock(2, 15), clock(2, 45), spring, []string{"0"}},
		{"spring: exactly it", clock(2, 0), clock(3, 0), spring, []string{"0"}},
		{"spring: over midnight, ends in it", clock(22, 0), clock(2, 30), spring, []string{"0", "Sat 22:00 +01 5", "Sun 03:00 +02 0"}},
		{"spring: until it", clock(0, 0), clock(2, 0), spring, []string{"0", "Sun 00:00 +01 5", "Sun 03:00 +02 0"}},
		{"spring: from its end", clock(3, 0), clock(4, 0), spring, []string{"0", "Sun 03:00 +02 5", "Sun 04:00 +02 0"}},
		{"autumn: around the doubled hour", clock(1, 0), clock(4, 0), autumn, []string{"0", "Sun 01:00 +02 5", "Sun 04:00 +01 0"}},
		{"autumn: begins in it", clock(2, 30), clock(5, 0), autumn, []string{"0", "Sun 02:30 +02 5", "Sun 02:00 +01 0", "Sun 02:30 +01 5", "Sun 05:00 +01 0"}},
		{"autumn: ends in it", clock(1, 0), clock(2, 30), autumn, []string{"0", "Sun 01:00 +02 5", "Sun 02:30 +02 0", "Sun 02:00 +01 5", "Sun 02:30 +01 0"}},
		{"autumn: all of it within", clock(2, 15), clock(2, 45), autumn,
			[]string{"0", "Sun 02:15 +02 5", "Sun 02:45 +02 0", "Sun 02:15 +01 5", "Sun 02:45 +01 0"}},
		{"autumn: exactly it", clock(2, 0), clock(3, 0), autumn, []string{"0", "Sun 02:00 +02 5", "Sun 03:00 +01 0"}},
		{"autumn: from its end", clock(3, 0), clock(4, 0), autumn, []string{"0", "Sun 03:00 +01 5", "Sun 04:00 +01 0"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := Shape{Zone: rome, Schedule: []Period{{Days: everyDay, From: c.from, To: c.to, Rate: 5}}}
			if got := changes(s, c.begin, c.begin.Add(27*time.Hour)); !slices.Equal(got, c.want) {
				t.Errorf("got  %q\nwant %q", got, c.want)
			}
		})
	}
}

// TestADayHasAllItsHours also when it has 23 or 25 of them.
func TestADayHasAllItsHours(t *testing.T) {
	rome := zone(t, "Europe/Rome")
	for _, c := range []struct {
		name     string
		days     [7]bool
		from, to time.Duration
		begin    time.Time
		hours    float64
	}{
		{"a plain Sunday", on(time.Sunday), 0, day, time.Date(2026, 3, 21, 12, 0, 0, 0, rome), 24},
		{"the short one", on(time.Sunday), 0, day, time.Date(2026, 3, 28, 12, 0, 0, 0, rome), 23},
		{"the long one", on(time.Sunday), 0, day, time.Date(2026, 10, 24, 12, 0, 0, 0, rome), 25},
		{"from noon to noon, short", on(time.Saturday), clock(12, 0), clock(12, 0), time.Date(2026, 3, 28, 11, 0, 0, 0, rome), 23},
		{"from noon to noon, long", on(time.Saturday), clock(12, 0), clock(12, 0), time.Date(2026, 10, 24, 11, 0, 0, 0, rome), 25},
		{"to midnight said as 0", on(time.Sunday), clock(1, 0), 0, time.Date(2026, 3, 28, 12, 0, 0, 0, rome), 22},
	} {
		s := Shape{Zone: rome, Schedule: []Period{{Days: c.days, From: c.from, To: c.to, Rate: 5}}}
		rate, start := capAt(s, c.begin)
		if rate != 0 {
			t.Fatalf("%s: begins with %d", c.name, rate)
		}
		rate, end := capAt(s, start)
		if rate != 5 || end.Sub(start).Hours() != c.hours {
			t.Errorf("%s: %d for %s, want %g h", c.name, rate, end.Sub(start), c.hours)
		}
	}
}

// TestTheLowestRateWins between periods, and against the rate itself.
func TestTheLowestRateWins(t *testing.T) {
	s := Shape{Rate: 100, Schedule: []Period{
		{Days: on(time.Monday), From: clock(8, 0), To: clock(18, 0), Rate: 20},
		{Days: on(time.Monday), From: clock(12, 0), To: clock(13, 0), Rate: 50},
		{Days: on(time.Monday), From: clock(17, 0), To: clock(19, 0), Rate: 10},
		{Days: on(time.Tuesday), From: clock(8, 0), To: clock(18, 0), Rate: 200},
	}, Zone: time.UTC}
	monday := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	want := []string{"100", "Mon 08:00 +00 20", "Mon 17:00 +00 10", "Mon 19:00 +00 100"}
	if got := changes(s, monday, monday.Add(48*time.Hour)); !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if _, until := capAt(Shape{Rate: 5, Schedule: []Period{{Days: everyDay, To: day, Rate: 3}}, Zone: zone(t, "Europe/Rome")}, monday); !until.IsZero() {
		t.Errorf("a rate that never changes changes at %s", until)
	}
}

// slowRate is the rate as a person would find it: look at the clock, look at the table.
func slowRate(s Shape, at time.Time) int64 {
	local := at.In(s.Zone)
	shown, today := 60*local.Hour()+local.Minute(), int(local.Weekday())
	rate := s.Rate
	for _, p := range s.Schedule {
		in := false
		switch from, to := int(p.From.Minutes()), int(p.To.Minutes()); {
		case from < to:
			in = p.Days[today] && from <= shown && shown < to
		default:
			in = p.Days[today] && from <= shown || p.Days[(today+6)%7] && shown < to
		}
		if in && (rate == 0 || p.Rate < rate) {
			rate = p.Rate
		}
	}
	return rate
}

// TestTheScheduleIsThatOfTheClockOnTheWall compares capAt with a look at the clock
// each minute, over weeks of many years in zones that put their clocks in every
// way: at midnight, by half an hour, over a whole day.
func TestTheScheduleIsThatOfTheClockOnTheWall(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 26))
	for _, name := range []string{"Europe/Rome", "UTC", "Australia/Lord_Howe", "America/Sao_Paulo", "Africa/Cairo", "Pacific/Apia", "Asia/Kathmandu", "America/St_Johns", "Europe/Dublin"} {
		z := zone(t, name)
		for _, begin := range nightsOf(z, random) {
			against(t, randomShape(random, z), begin)
		}
	}
}

// nightsOf are days before the clock is put, in different years, and plain ones.
func nightsOf(z *time.Location, random *rand.Rand) (all []time.Time) {
	for year := 2011; year < 2032; year += 4 {
		at := time.Date(year, 1, 1, 0, 0, 0, 0, z)
		for _, end := at.ZoneBounds(); !end.IsZero() && end.Year() == year; _, end = end.ZoneBounds() {
			all = append(all, end.Add(-time.Duration(random.IntN(48*60))*time.Minute))
		}
	}
	return append(all, time.Date(2026, time.Month(1+random.IntN(12)), 1+random.IntN(28), random.IntN(24), random.IntN(60), 0, 0, z))
}

func randomShape(random *rand.Rand, z *time.Location) Shape {
	s := Shape{Rate: int64(random.IntN(3)) * 40, Zone: z}
	times := []time.Duration{0, clock(1, 0), clock(1, 30), clock(2, 0), clock(2, 15), clock(2, 30), clock(3, 0), clock(8, 0), clock(18, 0), clock(23, 30), clock(23, 59), day}
	for range 1 + random.IntN(4) {
		p := Period{From: times[random.IntN(len(times)-1)], To: times[random.IntN(len(times))], Rate: int64(1+random.IntN(6)) * 10}
		for d := range p.Days {
			p.Days[d] = random.IntN(3) > 0
		}
		s.Schedule = append(s.Schedule, p)
	}
	return s
}

// against walks three days minute by minute.
func against(t *testing.T, s Shape, begin time.Time) {
	t.Helper()
	begin = begin.Truncate(time.Minute)
	rate, until := capAt(s, begin)
	for at := begin; at.Before(begin.Add(3 * day)); at = at.Add(time.Minute) {
		if !until.IsZero() && !at.Before(until) {
			if !at.Equal(until) {
				t.Fatalf("%s: a change at %s, which is no minute", s.Zone, until)
			}
			was := rate
			if rate, until = capAt(s, at); rate == was {
				t.Fatalf("%s: %s is no change", s.Zone, at)
			}
		}
		if want := slowRate(s, at); rate != want {
			t.Fatalf("%s: at %s %d, want %d; %+v", s.Zone, at, rate, want, s)
		}
	}
}
