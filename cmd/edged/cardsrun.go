package main

import (
	"cmp"
	"context"
	"math"
	"runtime/debug"
	"slices"
	"time"

	"edged/agent/status"
	"edged/spool"
)

// run keeps the cards until ctx ends.
func (c *cards) run(ctx context.Context) error {
	c.load()
	for {
		s, err := c.keeper.await(ctx)
		if err != nil {
			return c.save()
		}
		c.follow(ctx, s)
		if !pause(ctx, 100*time.Millisecond) {
			return c.save()
		}
	}
}

// How the cards keep up: what changed is looked at at once, saved a little later, and
// after lost events all is looked through.
const (
	cardsLook  = 250 * time.Millisecond
	cardsSave  = 5 * time.Second
	cardsAgain = 5 * time.Second
	fillAtOnce = 64 // cards are read from the disk, and then it is left to images
	fillRest   = 10 * time.Millisecond
)

// follow returns when s is no longer the spool.
func (c *cards) follow(ctx context.Context, s *spool.Spool) {
	w := s.Watch(4096)
	defer w.Close()
	look, save := time.NewTicker(cardsLook), time.NewTicker(cardsSave)
	defer look.Stop()
	defer save.Stop()
	c.through(ctx, s)
	looked, lost := time.Now(), false
	dirty := map[string]bool{} // whether the file is to know
	fill := time.NewTimer(0)
	defer fill.Stop()
	for {
		var more <-chan time.Time
		if c.stillReading() {
			more = fill.C
		}
		select {
		case <-ctx.Done():
			return
		case ev := <-w.C:
			lost = lost || ev.Lost
			c.event(s, ev, dirty)
		case n := <-c.news:
			c.heard(n, dirty)
		case <-more:
			c.fillSome(s)
			fill.Reset(fillRest)
		case <-save.C:
			c.countRefused(time.Now())
			if err := c.save(); err != nil {
				c.log.Warn("what is known of studies that are gone could not be written", "err", err)
			}
		case <-look.C:
			c.drain(dirty)
			lost = c.missed.Swap(false) || lost
			c.refresh(s, dirty)
			clear(dirty)
			c.learn(time.Now())
			if lost && time.Since(looked) > cardsAgain {
				c.through(ctx, s)
				looked, lost = time.Now(), false
			}
			if now, _ := c.keeper.get(); now != s {
				return
			}
		}
	}
}

// countRefused notes what devices were refused, by day.
func (c *cards) countRefused(now time.Time) {
	if c.devices == nil {
		return
	}
	list := c.devices()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.days.refusals(now.In(c.days.zone), list)
}

// event looks at the Meta of the first object of a study, once.
func (c *cards) event(s *spool.Spool, ev spool.Event, dirty map[string]bool) {
	if ev.Kind == 0 && ev.State == spool.Received && !ev.Forgotten {
		c.mu.Lock()
		_, wanted := c.met(ev.Group, ev.Seq, ev.At, ev.Test)
		c.mu.Unlock()
		if wanted {
			c.fillOne(s, ev.Group, ev.Seq)
		}
	}
	dirty[ev.Group] = dirty[ev.Group] || ev.Kind != 0 || ev.Forgotten || ev.Discarded
}

func (c *cards) fillOne(s *spool.Spool, group string, seq uint64) {
	m, err := decodeMeta(s.Meta(seq))
	if err != nil { // the first one has gone meanwhile, or cannot be read
		for _, o := range s.GroupOutline(group, seq, 1) {
			m, err = decodeMeta(s.Meta(o.Seq))
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	in := c.find(c.keyOf(group))
	if in == nil || in.bits&cardFilled != 0 || in.seq == 0 {
		return
	}
	if err != nil {
		in.bits |= cardFilled // its study is shown without
		return
	}
	c.fill(in, m)
}

// through looks at all that is in the spool: first without reading anything, so that
// the page has all studies at once, then at how far each is. What the cards have and
// the spool has not is gone.
func (c *cards) through(ctx context.Context, s *spool.Spool) {
	var again map[uint64]int
	c.mu.Lock()
	if c.reading = true; !c.loaded {
		again = map[uint64]int{}
	}
	c.mu.Unlock()
	for after := uint64(0); ctx.Err() == nil; {
		page := s.Outline(after, 1024)
		c.mu.Lock()
		for _, o := range page {
			in, _ := c.met(o.Group, o.Seq, o.Received, o.Test)
			if again == nil || !c.later(in, o, again) {
				c.foundNew(in, ofObject(o))
			}
		}
		c.mu.Unlock()
		if len(page) < 1024 {
			break
		}
		after = page[len(page)-1].Seq
	}
	c.mu.Lock()
	c.order()
	here := make(map[string]bool, len(c.all))
	for i := range c.all {
		if c.all[i].seq > 0 {
			here[c.all[i].group] = false
		}
	}
	c.unread = len(c.all)
	c.mu.Unlock()
	c.refresh(s, here)
	c.mu.Lock()
	c.loaded = true
	c.mu.Unlock()
}

// order sorts the cards by when they came. Guarded by mu.
func (c *cards) order() {
	came := func(a, b card) int { return cmp.Or(cmp.Compare(a.first, b.first), cmp.Compare(a.seq, b.seq)) }
	if !slices.IsSortedFunc(c.all, came) {
		slices.SortStableFunc(c.all, came)
	}
	for i := range c.all {
		c.byKey[c.all[i].key] = uint32(i)
	}
}

// refresh asks the spool how far studies are.
func (c *cards) refresh(s *spool.Spool, dirty map[string]bool) {
	for group, save := range dirty {
		g, known := s.Group(group)
		c.mu.Lock()
		if in := c.find(c.keyOf(group)); in != nil {
			c.look(in, g, known, save)
		}
		c.mu.Unlock()
	}
}

// look takes in what the spool says of a study. Guarded by mu.
func (c *cards) look(in *card, g spool.Group, known, save bool) {
	before := in.sums
	if known {
		in.sums.look(g, in.bits&cardBack != 0)
		in.bits &^= cardBack
		in.hop = hopIndex(c.hopsOf(g, in.sums).State())
		if g.Expected > 0 { // else nobody knows now, as after a start: what was announced was announced
			in.expected = int32(min(g.Expected, math.MaxInt32))
		}
		if in.bits &^= cardSettled; g.Complete {
			in.bits |= cardSettled
		}
	}
	if g.Objects == 0 {
		in.forget()
		c.persons.forget(in.key)
		in.hop = c.goneHop()
	}
	if save && (before != in.sums || g.Objects == 0 || g.Complete) {
		in.bits |= cardUnsaved
	}
}

// hopsOf counts what the spool has no trace of any more among what it let go.
func (c *cards) hopsOf(g spool.Group, sums cardSums) status.Hops {
	return c.hopsBy(func(st spool.State) int64 { return g.ByState[st] }, g.Objects, sums)
}

// hopsBy is hopsOf of figures alone.
func (c *cards) hopsBy(by func(spool.State) int64, objects int64, sums cardSums) status.Hops {
	h := status.Hops{Received: by(spool.Received), Sending: by(spool.Sending), AtHub: by(spool.AtHub),
		Archived: by(spool.Archived) + max(sums.left()-objects, 0), Held: by(spool.Held), Quarantined: by(spool.Quarantined)}
	if c.keepHub {
		h.AtHub, h.Archived = h.AtHub+h.Archived-by(spool.Archived), by(spool.Archived)
	}
	return h
}

// goneHop is how far a study was when the last of it left.
func (c *cards) goneHop() uint8 {
	if c.keepHub {
		return hopIndex(status.AtHub)
	}
	return hopIndex(status.Archived)
}

func hopIndex(h status.Hop) uint8 { return uint8(max(0, slices.Index(status.AllHops, h))) }

func (c *cards) stillReading() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.reading
}

// manyCards is from how many on memory is looked after: what reading them leaves behind is
// given back at once.
const manyCards = 10_000

// fillSome reads the next ones, newest first.
func (c *cards) fillSome(s *spool.Spool) {
	type job struct {
		group string
		seq   uint64
	}
	var jobs []job
	c.mu.Lock()
	c.unread = min(c.unread, len(c.all))
	for c.unread > 0 && len(jobs) < fillAtOnce {
		c.unread--
		if in := &c.all[c.unread]; in.bits&cardFilled == 0 && in.seq > 0 {
			jobs = append(jobs, job{in.group, in.seq})
		}
	}
	var again []reread
	if c.unread == 0 {
		n := min(len(c.rereads), fillAtOnce)
		again, c.rereads = c.rereads[:n:n], c.rereads[n:]
	}
	was := c.reading
	c.reading = c.unread > 0 || len(c.rereads) > 0
	ended := was && !c.reading && len(c.all) >= manyCards
	c.mu.Unlock()
	if ended {
		defer debug.FreeOSMemory() // of a Meta only words stay; what the rest took is not needed again
	}
	for _, j := range jobs {
		c.fillOne(s, j.group, j.seq)
	}
	for _, r := range again {
		c.reread(s, r)
	}
}
