package main

import (
	"context"
	"hash/fnv"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"edged/agent/account"
	"edged/agent/page"
	"edged/agent/status"
	"edged/internal/quality"
)

// studied knows the studies that are here.
type studied interface {
	// eachStudy visits each that is no test, in the order in which they came, nearly.
	// visit returns soon and keeps nothing of found.
	eachStudy(visit func(s studySeen, found []metaFinding)) (reading bool)
	// studyCard is a study as who has logged in may see it.
	studyCard(key uint64) (status.Card, bool)
}

// studySeen is what of a study is counted.
type studySeen struct {
	key    uint64
	device string
	first  time.Time
}

// fixDesk implements page.FixDesk: what is to be corrected among the studies that are here,
// and what somebody has seen to.
type fixDesk struct {
	studies studied
	judge   *assessor
	done    *doneBook
	audited func(by account.Actor, action, object, reason string, act func() error) error
	now     func() time.Time

	mu     sync.Mutex // guards what follows
	count  fixCount
	counts time.Time // when that was
}

var _ page.FixDesk = (*fixDesk)(nil)

// fixFor is how long a study counts in the status sentence. What nobody has corrected by
// then stays on the page To fix as long as the study is here.
const fixFor = 7 * 24 * time.Hour

// fixOld is how old counts may be: 100,000 studies are looked through in some milliseconds.
const fixOld = 5 * time.Second

// fixCount is what one look through the studies gives.
type fixCount struct {
	groups page.FixGroups
	open   int64 // studies that count in the status sentence
}

// toFix is how many studies of the last days have data that nobody has seen to.
func (d *fixDesk) toFix() int64 { return d.counted().open }

// FixGroups implements page.FixDesk.
func (d *fixDesk) FixGroups() page.FixGroups {
	g := d.counted().groups
	g.Groups = slices.Clone(g.Groups)
	return g
}

func (d *fixDesk) counted() fixCount {
	d.mu.Lock()
	defer d.mu.Unlock()
	if now := d.now(); d.counts.IsZero() || now.Sub(d.counts) > fixOld || now.Before(d.counts) {
		d.count, d.counts = d.look(now), now
	}
	return d.count
}

func (d *fixDesk) again() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.counts = time.Time{}
}

type fixKey struct {
	cause  quality.Cause
	device string
}

func (d *fixDesk) look(now time.Time) (out fixCount) {
	weeks := weeksOf(now.In(d.judge.zone))
	groups, came, most := map[fixKey]*page.FixGroup{}, map[string]*page.FixWeeks{}, map[string]quality.Level{}
	out.groups.Reading = d.studies.eachStudy(func(s studySeen, found []metaFinding) {
		here := came[s.device]
		if here == nil {
			here = &page.FixWeeks{}
			came[s.device], most[s.device] = here, d.judge.most(s.device)
		}
		weeks.count(here, s.first)
		causes, n := d.causes(found)
		if n == 0 {
			return
		}
		open := now.Sub(s.first) < fixFor && !d.done.has(s.key, found)
		if open {
			out.open++
		}
		for _, c := range causes[:n] {
			k := fixKey{c.cause, s.device}
			g := groups[k]
			if g == nil {
				g = &page.FixGroup{Cause: string(c.cause), Device: s.device, Level: status.LevelWarn}
				groups[k] = g
			}
			if min(c.level, most[s.device]) == quality.Hold {
				g.Level = status.LevelHold
			}
			if weeks.count(&g.Weeks, s.first); open {
				g.Open++
			}
		}
	})
	for _, g := range groups {
		out.groups.Groups = append(out.groups.Groups, *g)
	}
	out.groups.Came = make(map[string]page.FixWeeks, len(came))
	for device, w := range came {
		out.groups.Came[device] = *w
	}
	return out
}

type causeLevel struct {
	cause quality.Cause
	level quality.Level
}

// causes are those of findings that somebody can mend, each once.
func (d *fixDesk) causes(found []metaFinding) (out [10]causeLevel, n int) {
	for _, f := range found {
		is := d.judge.today[f.Code]
		if is.level < quality.Warn {
			continue
		}
		i := 0
		for i < n && out[i].cause != is.cause {
			i++
		}
		if i == n && n < len(out) {
			out[n], n = is, n+1
		}
		if i < n {
			out[i].level = max(out[i].level, is.level)
		}
	}
	return out, n
}

// theWeeks are when this one and the last one began, on Monday.
type theWeeks struct{ this, last time.Time }

func weeksOf(t time.Time) theWeeks {
	y, m, d := t.Date()
	this := time.Date(y, m, d-(int(t.Weekday())+6)%7, 0, 0, 0, 0, t.Location())
	return theWeeks{this, this.AddDate(0, 0, -7)}
}

func (x theWeeks) count(w *page.FixWeeks, at time.Time) {
	switch {
	case !at.Before(x.this):
		w.This++
	case !at.Before(x.last):
		w.Last++
	default:
		w.Before++
	}
}

// FixStudies implements page.FixDesk.
func (d *fixDesk) FixStudies(cause, device string, limit int) (out []page.FixStudy, total int) {
	keys, done := d.keysOf(cause, device)
	for i := len(keys) - 1; i >= 0 && len(out) < limit; i-- {
		card, here := d.studies.studyCard(keys[i])
		if here {
			out = append(out, page.FixStudy{Card: card, Done: done[keys[i]]})
		}
	}
	return out, len(keys)
}

// keysOf are the studies of a group in the order in which they came, and those of them
// that somebody has seen to.
func (d *fixDesk) keysOf(cause, device string) (keys []uint64, done map[uint64]bool) {
	done = map[uint64]bool{}
	d.studies.eachStudy(func(s studySeen, found []metaFinding) {
		if s.device != device {
			return
		}
		causes, n := d.causes(found)
		if slices.ContainsFunc(causes[:n], func(c causeLevel) bool { return string(c.cause) == cause }) {
			keys = append(keys, s.key)
			if d.done.has(s.key, found) {
				done[s.key] = true
			}
		}
	})
	return keys, done
}

// FixDone implements page.FixDesk. Who it was is on the audit trail before it counts.
func (d *fixDesk) FixDone(_ context.Context, key string, by account.Actor) error {
	number := keyNumber(key)
	var sum uint32
	d.studies.eachStudy(func(s studySeen, found []metaFinding) {
		if s.key == number {
			sum = codeSum(found)
		}
	})
	if sum == 0 {
		return page.ErrFixGone
	}
	err := d.audited(by, "data seen to", "study "+key, "", func() error { return d.done.set(number, sum) })
	d.again()
	return err
}

// codeSum names the codes of findings: what is found later counts again.
func codeSum(found []metaFinding) uint32 {
	var all []string
	for _, f := range found {
		all = append(all, f.Code)
	}
	slices.Sort(all)
	h := fnv.New32a()
	h.Write([]byte(strings.Join(slices.Compact(all), " ")))
	return max(h.Sum32(), 1)
}

func (a *appliance) fixDesk() *fixDesk {
	book, err := openDone(filepath.Join(a.cfg.DataDir, doneFile), time.Now)
	if err != nil {
		a.log.Warn("which data somebody has seen to is forgotten", "err", err)
	}
	return &fixDesk{studies: a.studyDesk(), judge: a.judge, done: book, audited: a.audited, now: time.Now}
}

// clockOf is how far the clock of a device is ahead, once that is known. One that is behind
// cannot be told from a device whose images come a while after the study began, as most do.
func (a *appliance) clockOf(device string) (time.Duration, bool) {
	if a.usual == nil {
		return 0, false
	}
	c := a.usual.of(device)
	return max(c.ahead, 0), c.clock
}
