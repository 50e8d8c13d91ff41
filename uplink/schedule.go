package uplink

import (
	"slices"
	"time"
)

// horizon is how far capAt looks for a change: all that a week can bring, and a
// night more for clocks that are put.
const horizon = 8 * day

// capAt is the rate in force at now, 0 for unlimited, and when the next other one
// comes, zero when none comes within eight days.
//
// A period is in force while the clock on the wall shows its time. That settles
// the two nights in which the clock is put: what is not shown is not in force
// (02:15 to 02:45 in the night that goes from 02:00 to 03:00; 02:30 to 05:00 begins
// at 03:00 then), and what is shown twice is in force twice (02:00 to 02:30 in
// the night that goes from 03:00 back to 02:00). Where periods overlap, and
// between a period and Rate, the lowest rate wins.
func capAt(s Shape, now time.Time) (rate int64, until time.Time) {
	zone := s.Zone
	if zone == nil {
		zone = time.UTC
	}
	now = now.In(zone)
	rate = s.rateAt(now)
	if len(s.Schedule) == 0 {
		return rate, time.Time{}
	}
	for at := now; at.Before(now.Add(horizon)); { // one stretch between two puttings of the clock after the other
		_, put := at.ZoneBounds()
		end := now.Add(horizon)
		if !put.IsZero() && put.Before(end) {
			end = put
		}
		for _, t := range append(s.edges(at, end), end) {
			if s.rateAt(t) != rate {
				return rate, t
			}
		}
		at = end
	}
	return rate, time.Time{}
}

// rateAt is the lowest rate for what the clock shows at local, 0 when there is none.
func (s Shape) rateAt(local time.Time) int64 {
	rate := s.Rate
	for _, p := range s.Schedule {
		if p.Holds(local) && (rate == 0 || p.Rate < rate) {
			rate = p.Rate
		}
	}
	return rate
}

// Holds reports whether the clock shows a time of p.
func (p Period) Holds(local time.Time) bool {
	clock, today := clockOf(local), local.Weekday()
	if p.From < p.To {
		return p.Days[today] && p.From <= clock && clock < p.To
	}
	yesterday := (today + 6) % 7
	return p.Days[today] && p.From <= clock || p.Days[yesterday] && clock < p.To
}

// clockOf is what the clock shows, since the midnight that it would have shown.
func clockOf(local time.Time) time.Duration {
	h, m, s := local.Clock()
	return time.Duration(h)*time.Hour + time.Duration(m)*time.Minute + time.Duration(s)*time.Second + time.Duration(local.Nanosecond())
}

// edges are the times after from and before end at which a period may begin or
// end, in order. The clock is not put between the two.
func (s Shape) edges(from, end time.Time) (all []time.Time) {
	midnight := from.Add(-clockOf(from)) // by this stretch's clock; it may lie before the stretch
	for ; midnight.Before(end); midnight = midnight.Add(day) {
		all = append(all, midnight) // a weekday ends here
		for _, p := range s.Schedule {
			all = append(all, midnight.Add(p.From), midnight.Add(p.To))
		}
	}
	all = slices.DeleteFunc(all, func(t time.Time) bool { return !t.After(from) || !t.Before(end) })
	slices.SortFunc(all, time.Time.Compare)
	return all
}
