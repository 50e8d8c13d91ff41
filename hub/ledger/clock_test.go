package ledger

import (
	"fmt"
	"testing"
	"time"
)

// A clock that was a year ahead for a moment: what was put down then is delivered when it
// is right again, and what a dead node leased then is lent to others.
func TestAClockThatWasAheadKeepsNoJob(t *testing.T) {
	w := start(t, Config{Node: "a"})
	right := w.now
	w.receive(object("d", 1, "x"), object("d", 2, "y"), object("d", 3, "z"))
	w.now = right.Add(365 * 24 * time.Hour)
	b := w.node("b")
	jobs := b.lease("vna", 2)
	b.must(b.Later(b.ctx, jobs[0], time.Minute, true, "busy")) // jobs[1] stays leased, and b dies
	b.must(b.Beat(b.ctx))
	w.now = right.Add(48 * time.Hour)
	w.must(w.Beat(w.ctx))
	w.want("may be delivered two days after", len(w.lease("vna", 10)), 3)
	nodes, err := w.Nodes(w.ctx)
	w.must(err)
	w.want("alive", []bool{nodes[0].Alive, nodes[1].Alive}, []bool{true, false})
}

// The same for what sinks are told.
func TestAClockThatWasAheadKeepsNoEvent(t *testing.T) {
	w := start(t, Config{})
	right := w.now
	w.receive(object("one", 1, "a"))
	w.archiveAll()
	w.say("one", "1.2.3", 1, 1)
	w.makeAll(toldRules)
	lease := func() *Delivery {
		d, err := w.LeaseDelivery(w.ctx, "index", time.Minute)
		w.must(err)
		return d
	}
	w.now = right.Add(365 * 24 * time.Hour)
	d := lease()
	w.must(w.DeliverLater(w.ctx, *d, time.Minute, true, "busy"))
	w.now = right.Add(time.Hour)
	w.want("may be tried", lease() != nil, true)
}

// The same for studies: one that was to be looked at in a year is looked at when the
// clock is right again, and what its appliance counts and never sends is awaited for a
// day from then on, not for a year.
func TestAClockThatWasAheadKeepsNoStudy(t *testing.T) {
	w := start(t, Config{})
	right := w.now
	w.receive(object("one", 1, "a"))
	w.archiveAll()
	w.now = right.Add(365 * 24 * time.Hour)
	w.say("one", "1.2.3", 1, 2) // and one is still to come
	w.makeAll(toldRules)
	w.now = right.Add(time.Hour)
	w.makeAll(toldRules)
	w.want("events while one is to come", w.count(`SELECT count(*) FROM events`), 0)
	w.want("is looked at in a year", w.count(fmt.Sprintf(`SELECT count(*) FROM studies WHERE look_at > %d`, w.now.Add(time.Hour).UnixMilli())), 0)
	w.now = w.now.Add(25 * time.Hour)
	w.makeAll(toldRules)
	w.want("events when it did not come for a day", w.count(`SELECT count(*) FROM events`), 1)
}

// Nobody could write for 31 s, so that nobody's beat is young. Who comes first takes not
// all others for dead, nor delivers what they deliver; who beats no more when the others
// can is dead in time.
func TestWhenNobodyCouldWriteNobodyIsDead(t *testing.T) {
	w := start(t, Config{})
	a, b := w.node("a"), w.node("b")
	w.receive(object("d", 1, "x"))
	a.must(a.Beat(a.ctx))
	b.must(b.Beat(b.ctx))
	_, err := a.Lease(a.ctx, "vna", 1, time.Hour) // it delivers that
	a.must(err)
	w.now = w.now.Add(31 * time.Second)
	w.want("leased while a delivers it", len(b.lease("vna", 1)), 0)
	b.must(b.Beat(b.ctx))
	w.want("leased before a could beat", len(b.lease("vna", 1)), 0)
	for range 6 {
		w.now = w.now.Add(5 * time.Second)
		b.must(b.Beat(b.ctx))
	}
	w.want("leased when a is dead", len(b.lease("vna", 1)), 1)
}

// A hub with nothing to deliver writes nothing for that.
func TestLeasingNothingWritesNothing(t *testing.T) {
	w := start(t, Config{})
	before := w.Commits().Count
	w.want("jobs", len(w.lease("vna", 9)), 0)
	w.want("transactions", w.Commits().Count-before, 0)
}
