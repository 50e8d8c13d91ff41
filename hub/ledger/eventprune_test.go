package ledger

import (
	"testing"
	"time"
)

// What headers say of a study names persons: it goes when every sink has its last event
// and nothing has changed for as long as events are kept, and not before.
func TestNamesOfPersonsGoWithTheLastEventOfAStudy(t *testing.T) {
	w := start(t, Config{})
	names := func() int {
		return w.count(`SELECT (SELECT count(*) FROM headers) + (SELECT count(*) FROM described) + (SELECT count(*) FROM events WHERE body IS NOT NULL)`)
	}
	prune := func() {
		w.Helper()
		_, err := w.PruneEvents(w.ctx, 30*24*time.Hour, 100)
		w.must(err)
	}
	rules := EventRules{Sinks: []string{"index"}}
	w.receive(object("one", 1, "a"))
	w.say("one", "1.2.3", 1, 1)
	w.archiveAll()
	w.makeAll(rules)
	deliver := func() {
		w.Helper()
		d, err := w.LeaseDelivery(w.ctx, "index", time.Minute)
		w.must(err)
		w.must(w.Describe(w.ctx, "1.2.3", []Description{{Object: d.Event.Last, Series: "1.2", Own: "{}", Part: "{}", Whole: `{"PatientName":"A^B"}`}}))
		_, err = w.KeepEventBody(w.ctx, d.Event, []byte("A^B"))
		w.must(err)
		w.must(w.Delivered(w.ctx, *d))
	}
	deliver()
	w.want("kept for an event that comes soon", names(), 3)
	w.after(20 * 24 * time.Hour)
	w.receive(object("one", 2, "b"))
	w.say("one", "1.2.3", 2, 2)
	w.archiveAll()
	w.makeAll(rules)
	deliver()
	w.after(11 * 24 * time.Hour)
	prune()
	w.want("events", w.count(`SELECT count(*) FROM events`), 1)
	w.want("the second is young", names(), 4)
	w.after(20 * 24 * time.Hour)
	prune()
	w.want("every sink has the last one for 30 days", names(), 0)
	w.receive(object("one", 3, "c"))
	w.say("one", "1.2.3", 3, 3)
	w.archiveAll()
	w.want("what comes later is told", w.told(toldRules), []string{"1.2.3/3:3"})
}

// A sink that was taken out of the configuration is told nothing any more, so that nothing
// is kept for it.
func TestNothingIsKeptForASinkThatIsConfiguredNoMore(t *testing.T) {
	w := start(t, Config{})
	w.receive(object("one", 1, "a"))
	w.say("one", "1.2.3", 1, 1)
	w.archiveAll()
	w.makeAll(EventRules{Sinks: []string{"index", "gone"}})
	d, err := w.LeaseDelivery(w.ctx, "index", time.Minute)
	w.must(err)
	_, err = w.KeepEventBody(w.ctx, d.Event, []byte("A^B"))
	w.must(err)
	w.must(w.Delivered(w.ctx, *d))
	kept := func() int { return w.count(`SELECT count(*) FROM events WHERE body IS NOT NULL`) }
	drop := func(sinks ...string) (n int64) {
		w.Helper()
		n, err := w.DropSinks(w.ctx, sinks, 100)
		w.must(err)
		return n
	}
	w.want("both are configured", drop("index", "gone"), 0)
	if overPostgres() {
		w.want("another node may have it still", drop("index"), 0)
		w.after(rollingChange)
	}
	w.want("kept", kept(), 1)
	w.want("dropped", drop("index"), 1)
	w.want("kept after it", kept(), 0)
	w.want("again", drop("index"), 0)
	w.want("trail", len(w.trail("gone")), 1)
	w.after(31 * 24 * time.Hour)
	n, err := w.PruneEvents(w.ctx, 30*24*time.Hour, 100)
	w.must(err)
	w.want("pruned", n, 1)
}

// Events that a dead node had taken up are others' after half a minute, as jobs are, not
// when its leases of a quarter of an hour have run out; those of one that leaves are at once.
func TestEventsOfADeadNodeWaitNoLongerThanItsJobs(t *testing.T) {
	w := start(t, Config{Node: "a"})
	b := w.node("b")
	for _, study := range []string{"1.2.3", "1.2.4"} {
		o := object("one", len(study), study)
		o.Study = study
		w.receive(o)
		w.say("one", study, 1, 1)
	}
	w.archiveAll()
	w.makeAll(toldRules)
	lease := func(n *world) *Delivery {
		w.Helper()
		d, err := n.LeaseDelivery(w.ctx, "index", 15*time.Minute)
		w.must(err)
		return d
	}
	for range 2 {
		w.want("taken up by a", lease(w) != nil, true)
	}
	beats := func(d time.Duration) {
		w.Helper()
		for range d / (5 * time.Second) {
			w.after(5 * time.Second)
			w.must(b.Beat(w.ctx))
		}
	}
	beats(20 * time.Second)
	w.want("a was seen", lease(b) == nil, true)
	beats(unseen)
	w.want("a is dead", lease(b) != nil, true)
	w.must(w.Beat(w.ctx))
	w.want("b lives", lease(w) == nil, true)
	w.must(b.Leave(w.ctx))
	w.want("b has left", lease(w) != nil, true)
}
