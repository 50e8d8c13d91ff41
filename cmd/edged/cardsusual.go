package main

import (
	"slices"
	"time"

	"edged/internal/quality"
)

// usualKey is a device and a modality, as the cards number them.
type usualKey struct{ device, kind uint16 }

// usualCount is how many instances a study of a device has, usually: the median, and of how
// many studies.
type usualCount struct {
	median  int64
	studies int
}

// What the median is made of: the latest studies of which nothing more is expected, those
// that have left included.
const (
	usualOver  = 101
	learnEvery = time.Minute
	maxLearnt  = 1024
)

// learn looks what is usual, now and then, as soon as all has been read.
func (c *cards) learn(now time.Time) {
	c.mu.Lock()
	wait := c.reading || !c.learned.IsZero() && now.Sub(c.learned) < learnEvery && !now.Before(c.learned)
	c.mu.Unlock()
	if wait {
		return
	}
	all := map[usualKey][]int64{}
	c.newestFirst(func(in *card) bool {
		key, n := usualKey{in.device, in.kind}, in.sums.left()
		if in.bits&cardTest != 0 || in.seq > 0 && in.bits&cardSettled == 0 || n <= 0 {
			return true
		}
		if have, met := all[key]; len(have) < usualOver && (met || len(all) < maxLearnt) {
			all[key] = append(have, n)
		}
		return true
	})
	usual := make(map[usualKey]usualCount, len(all))
	for key, counts := range all {
		slices.Sort(counts)
		usual[key] = usualCount{counts[len(counts)/2], len(counts)}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.usual, c.learned = usual, now
}

// usualOf is guarded by mu.
func (c *cards) usualOf(in *card) usualCount { return c.usual[usualKey{in.device, in.kind}] }

// atOnce is how many cards are looked at before the lock is given up: the door waits for it with
// every instance.
const atOnce = 1024

// newestFirst visits all cards, under mu, until visit says false. One goes through at a
// time: however many ask for pages, the door waits for one of them.
func (c *cards) newestFirst(visit func(*card) bool) {
	c.scan.Lock()
	defer c.scan.Unlock()
	for until, more := 1<<62, true; more && until > 0; until -= atOnce {
		c.mu.Lock()
		until = min(until, len(c.all))
		for i := until - 1; i >= max(0, until-atOnce) && more; i-- {
			more = visit(&c.all[i])
		}
		c.mu.Unlock()
	}
}

// oldestFirst is newestFirst the other way round, of all.
func (c *cards) oldestFirst(visit func(*card)) {
	c.scan.Lock()
	defer c.scan.Unlock()
	for from, more := 0, true; more; from += atOnce {
		c.mu.Lock()
		for i := from; i < min(from+atOnce, len(c.all)); i++ {
			visit(&c.all[i])
		}
		more = from+atOnce < len(c.all)
		c.mu.Unlock()
	}
}

// together is what the instances of a card that is here say together.
func (c *cards) together(in *card) studyData {
	return studyData{device: c.names.name(in.device), first: time.Unix(0, in.first), usual: c.usualOf(in),
		Study: quality.Study{Instances: in.sums.left(), Expected: int64(in.expected), Settled: in.bits&cardSettled != 0}}
}

// few reports whether a study may have too few instances: most have not, and need no judge.
func (d studyData) few() bool {
	return d.Settled && (d.Instances < d.Expected || d.Expected == 0 && d.Instances < d.usual.median)
}
