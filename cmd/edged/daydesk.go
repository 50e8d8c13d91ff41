package main

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"edged/agent/page"
	"edged/agent/status"
	"edged/spool"
)

// dayDesk compares what came with what was archived: a study belongs to the day on
// which its first image came. The counts are those of the spool, and, of what it has
// let go, those of the cards' file; see cardsfile.go.
type dayDesk struct {
	studyDesk
	kept *keptDays
}

// keptDays are reports that took long, for a while: a day of very many studies is not
// counted anew for its page, its sheet and its table, nor for each who looks.
type keptDays struct {
	mu    sync.Mutex // one counts at a time
	day   time.Time
	until time.Time
	last  page.DayReport
}

// A report that took so long is kept for keepFor.
const (
	longReport = 100 * time.Millisecond
	keepFor    = 10 * time.Second
)

// of is the report of a day, as count makes it.
func (k *keptDays) of(day time.Time, now func() time.Time, count func() page.DayReport) page.DayReport {
	k.mu.Lock()
	defer k.mu.Unlock()
	began := now()
	if day.Equal(k.day) && began.Before(k.until) {
		return k.last
	}
	report := count()
	if ended := now(); ended.Sub(began) >= longReport && !report.Reading {
		k.day, k.until, k.last = day, ended.Add(keepFor), report
	}
	return report
}

var _ page.DayDesk = dayDesk{}

func (a *appliance) dayDesk() dayDesk { return dayDesk{a.studyDesk(), &keptDays{}} }

// maxMissing is how many studies of a day are listed that are not archived.
const maxMissing = 200

// Days implements page.DayDesk: the latest first.
func (d dayDesk) Days(limit int) (out []time.Time) {
	c := d.cards
	is := map[int]bool{}
	c.oldestFirst(func(in *card) {
		if in.first != 0 && in.bits&cardTest == 0 {
			is[c.days.dayOf(in.first)] = true
		}
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	for at := range c.days.sums {
		is[at.day] = true
	}
	for day := range is {
		out = append(out, time.Date(day/10000, time.Month(day/100%100), day%100, 0, 0, 0, 0, c.days.zone))
	}
	slices.SortFunc(out, func(a, b time.Time) int { return b.Compare(a) })
	return out[:min(limit, len(out))]
}

// Day implements page.DayDesk.
func (d dayDesk) Day(day time.Time) page.DayReport {
	return d.kept.of(day, time.Now, func() page.DayReport { return d.count(day) })
}

// count goes through all studies.
func (d dayDesk) count(day time.Time) page.DayReport {
	studies, sums, out := d.ofDay(day)
	s, _ := d.keeper.get()
	by := map[string]*page.DayDevice{}
	of := func(device string) *page.DayDevice {
		if by[device] == nil {
			by[device] = &page.DayDevice{Device: device}
		}
		return by[device]
	}
	for device, x := range sums {
		in := of(device)
		in.Studies, in.Images, in.Discarded, in.Refused = x.studies, x.images, x.discarded, x.refused
		if left := x.images - x.discarded; d.cards.keepHub {
			in.Hops.AtHub += left
		} else {
			in.Hops.Archived += left
		}
		in.Complete += x.studies
	}
	for _, f := range studies {
		hops := d.hopsNow(s, f)
		in := of(f.device)
		in.Studies, in.Images, in.Discarded, in.Hops = in.Studies+1, in.Images+max(f.sums.total(), hops.Total()+f.sums.gone()), in.Discarded+f.sums.gone(), added(in.Hops, hops)
		in.Short += f.short
		if hops.Archived == hops.Total() && f.short == 0 {
			in.Complete++
			continue
		}
		if out.More++; len(out.Missing) < maxMissing {
			if card, ok := d.cards.byNumber(f.key); ok {
				out.Missing = append(out.Missing, d.missing(s, card, card.inSpool(s), f.short))
				out.More--
			}
		}
	}
	for _, in := range by {
		out.Devices = append(out.Devices, *in)
	}
	slices.SortFunc(out.Devices, func(a, b page.DayDevice) int { return cmp.Compare(a.Device, b.Device) })
	return out
}

// dayStudy is what a day's count needs of a card: a day may have very many.
type dayStudy struct {
	key           uint64
	group, device string
	here          bool
	sums          cardSums
	short         int64 // instances that the device announced by MPPS, and that did not come
}

// hopsNow asks the spool for figures only.
func (d dayDesk) hopsNow(s *spool.Spool, f dayStudy) status.Hops {
	by, objects := func(spool.State) int64 { return 0 }, int64(0)
	if s != nil && f.here {
		by, objects, _ = s.Figures(f.group)
	}
	return d.cards.hopsBy(by, objects, f.sums)
}

// ofDay has the studies of a day, the first first, and the sums of what has no card.
func (d dayDesk) ofDay(day time.Time) (studies []dayStudy, sums map[string]daySum, out page.DayReport) {
	c := d.cards
	from, until, number := day.UnixNano(), day.AddDate(0, 0, 1).UnixNano(), dayNumber(day)
	oldest := int64(0)
	sums = map[string]daySum{}
	c.countRefused(time.Now())
	c.oldestFirst(func(in *card) {
		if in.first == 0 || in.bits&cardTest != 0 {
			return
		}
		if oldest == 0 || in.first < oldest {
			oldest = in.first
		}
		if in.first >= from && in.first < until {
			studies = append(studies, dayStudy{in.key, in.group, c.names.name(in.device), in.seq > 0, in.sums, in.short()})
		}
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	out.Reading = c.reading
	first := number + 1
	if oldest != 0 {
		first = c.days.dayOf(oldest)
	}
	for at, x := range c.days.sums {
		if first = min(first, at.day); at.day == number {
			sums[at.device] = x
		}
	}
	out.Before = number < first
	return studies, sums, out
}

// short is what did not come of a study that has settled; 0 where nobody announced a number.
func (c *card) short() int64 {
	if c.bits&cardSettled == 0 {
		return 0
	}
	return max(int64(c.expected)-c.sums.total(), 0)
}

// missing is a study that is not archived as it was announced, and why.
func (d dayDesk) missing(s *spool.Spool, f cardCopy, g spool.Group, short int64) page.StudyDetail {
	out := page.StudyDetail{Card: d.cardIn(f, g), Here: g.Objects, Short: short}
	if s != nil && g.Objects > 0 && g.LastSeq-f.seq <= maxSpan { // why, of what is larger, its own page says
		walk := d.walkOf(out.Card, g)
		eachOf(s, f, walk.object)
		walk.into(&out, g)
	}
	return out
}

func added(a, b status.Hops) status.Hops {
	return status.Hops{Receiving: a.Receiving + b.Receiving, Received: a.Received + b.Received, Sending: a.Sending + b.Sending, AtHub: a.AtHub + b.AtHub,
		Archived: a.Archived + b.Archived, Held: a.Held + b.Held, Quarantined: a.Quarantined + b.Quarantined}
}
