package main

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"edged/agent/page"
	"edged/spool"
)

// lineDay remembers the last day of the line, a row a minute, and how many images
// came in each hour. It is in memory: after a start the line begins anew, while
// what came before is read off the objects that are still here.
type lineDay struct {
	keeper *keeper
	sent   func() int64 // bytes since the start of the uplink

	mu       sync.Mutex // guards what follows
	minutes  []page.LineMinute
	arrivals map[time.Time]int64 // by the hour's beginning
	before   lineCounts
}

// lineCounts are what two looks are compared by.
type lineCounts struct {
	at       time.Time
	sent     int64
	received int64 // -1: not known
}

// How far back, and how often.
const (
	lineDayMinutes = 24 * 60
	lineDayHours   = 48
	lineLook       = time.Minute
)

func newLineDay(k *keeper, sent func() int64) *lineDay {
	return &lineDay{keeper: k, sent: sent, arrivals: map[time.Time]int64{}, before: lineCounts{received: -1}}
}

// run looks each minute until ctx ends.
func (l *lineDay) run(ctx context.Context) error {
	s, err := l.keeper.await(ctx)
	if err != nil {
		return nil // it is over before it began
	}
	l.recall(s, time.Now())
	tick := time.NewTicker(lineLook)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			l.look(now, l.counts(now))
		}
	}
}

// recall counts the objects that are here by the hour of their arrival, from memory.
func (l *lineDay) recall(s *spool.Spool, now time.Time) {
	arrivals := map[time.Time]int64{}
	const page = 4096
	for after := uint64(0); ; {
		objects := s.Outline(after, page)
		for _, o := range objects {
			if after = o.Seq; now.Sub(o.Received) < lineDayHours*time.Hour && !o.Test {
				arrivals[hourOf(o.Received)]++
			}
		}
		if len(objects) < page {
			break
		}
	}
	before := l.counts(now).lineCounts
	l.mu.Lock()
	defer l.mu.Unlock()
	l.arrivals, l.before = arrivals, before
}

func hourOf(t time.Time) time.Time { return t.UTC().Truncate(time.Hour) }

// lineFacts is one look.
type lineFacts struct {
	lineCounts
	waiting int64
}

func (l *lineDay) counts(now time.Time) lineFacts {
	f := lineFacts{lineCounts: lineCounts{at: now, sent: l.sent(), received: -1}}
	if s, err := l.keeper.get(); err == nil {
		f.received, f.waiting = int64(s.Counters()[spool.CountReceived]), s.Stats().BacklogObjects
	}
	return f
}

// look adds what has happened since the last one. Counters that are smaller than they
// were began anew: then nobody knows what happened between.
func (l *lineDay) look(now time.Time, f lineFacts) {
	l.mu.Lock()
	defer l.mu.Unlock()
	was := l.before
	l.before = f.lineCounts
	if took := f.at.Sub(was.at); !was.at.IsZero() && took > 0 {
		l.minutes = append(l.minutes, page.LineMinute{At: now, Bits: int64(float64(8*max(0, f.sent-was.sent)) / took.Seconds()), Waiting: f.waiting})
		l.minutes = slices.Delete(l.minutes, 0, max(0, len(l.minutes)-lineDayMinutes))
	}
	if came := f.received - was.received; was.received >= 0 && came > 0 {
		l.arrivals[hourOf(now)] += came
	}
	maps.DeleteFunc(l.arrivals, func(hour time.Time, _ int64) bool { return now.Sub(hour) > lineDayHours*time.Hour })
}

// History is what the page draws, the oldest first.
func (l *lineDay) History() page.LineHistory {
	f := l.counts(time.Now())
	return l.history(f.at, f.received)
}

// history has also what came since the last look: who has just seen a study come is not to
// read that nothing did.
func (l *lineDay) history(now time.Time, received int64) page.LineHistory {
	l.mu.Lock()
	defer l.mu.Unlock()
	arrivals := maps.Clone(l.arrivals)
	if came := received - l.before.received; l.before.received >= 0 && came > 0 {
		arrivals[hourOf(now)] += came
	}
	h := page.LineHistory{Minutes: slices.Clone(l.minutes)}
	for _, hour := range slices.SortedFunc(maps.Keys(arrivals), time.Time.Compare) {
		h.Arrivals = append(h.Arrivals, page.Arrival{Hour: hour, Images: arrivals[hour]})
	}
	return h
}
