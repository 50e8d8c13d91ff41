package ledger

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"edged/hub"
)

var toldRules = EventRules{Sinks: []string{"index"}}

// told makes what is due and lists the deliveries of a sink, each taken.
func (w *world) told(rules EventRules) (out []string) {
	w.Helper()
	w.makeAll(rules)
	for {
		d, err := w.LeaseDelivery(w.ctx, rules.Sinks[0], time.Minute)
		w.must(err)
		if d == nil {
			return out
		}
		out = append(out, fmt.Sprintf("%s/%d:%d", d.Event.Study, d.Event.Revision, d.Event.Objects))
		w.must(w.Delivered(w.ctx, *d))
	}
}

func (w *world) makeAll(rules EventRules) {
	w.Helper()
	for range 1000 {
		more, err := w.MakeEvents(w.ctx, rules)
		w.must(err)
		if !more {
			return
		}
	}
	w.Fatal("there is always more")
}

// after lets d pass.
func (w *world) after(d time.Duration) { w.now = w.now.Add(d) }

func (w *world) archiveAll() {
	w.Helper()
	for _, j := range w.lease("vna", 1000) {
		w.must(w.Done(w.ctx, j, ""))
	}
}

func (w *world) say(device, uid string, revision, count uint32) {
	w.Helper()
	w.must(w.SayStudy(w.ctx, device, uid, revision, revision == 1, count, ""))
}

// A study is told when its appliance says that it is complete, all that it counts is
// here, and all of that is archived; once, whatever is repeated.
func TestAStudyIsToldWhenAllOfItIsArchived(t *testing.T) {
	w := start(t, Config{})
	w.want("nothing was said", w.told(toldRules), []string(nil))
	w.say("one", "1.2.3", 1, 2)
	w.receive(object("one", 1, "a"))
	w.want("one of two is here", w.told(toldRules), []string(nil))
	w.archiveAll()
	w.after(time.Minute)
	w.want("one of two is archived", w.told(toldRules), []string(nil))
	w.receive(object("one", 2, "b"))
	w.after(time.Minute)
	w.want("both are here", w.told(toldRules), []string(nil))
	w.archiveAll()
	w.after(time.Minute)
	w.want("both are archived", w.told(toldRules), []string{"1.2.3/1:2"})
	w.say("one", "1.2.3", 1, 2)
	w.after(time.Hour)
	w.want("it is said again", w.told(toldRules), []string(nil))
	w.say("one", "1.2.3", 2, 2)
	w.want("it is said to have changed, and nothing has", w.told(toldRules), []string(nil))
}

// Late instances are told with the next revision, also where the appliance does not
// say that the study has changed.
func TestLateInstancesAreToldAsAChange(t *testing.T) {
	w := start(t, Config{})
	w.receive(object("one", 1, "a"))
	w.archiveAll()
	w.say("one", "1.2.3", 1, 1)
	w.want("first", w.told(toldRules), []string{"1.2.3/1:1"})
	w.receive(object("one", 2, "b"))
	w.archiveAll()
	w.say("one", "1.2.3", 2, 2)
	w.want("said", w.told(toldRules), []string{"1.2.3/2:2"})
	w.receive(object("one", 3, "c"))
	w.archiveAll()
	w.want("not said, at once", w.told(toldRules), []string(nil))
	w.after(3 * time.Minute)
	w.want("not said", w.told(toldRules), []string{"1.2.3/3:3"})
}

// What waits for a person holds no study up, and is told when it is decided.
func TestAHeldInstanceHoldsUpNoStudy(t *testing.T) {
	w := start(t, Config{})
	a, b := object("one", 1, "a"), object("one", 1, "other contents")
	w.receive(a, b)
	w.archiveAll()
	w.say("one", "1.2.3", 1, 2)
	w.want("with one held", w.told(toldRules), []string{"1.2.3/1:2"})
	w.after(time.Hour)
	w.want("still held", w.told(toldRules), []string(nil))
	w.must(w.Release(w.ctx, b.ID, "a tester"))
	w.archiveAll()
	w.after(time.Hour)
	w.want("released", w.told(toldRules), []string{"1.2.3/2:2"})
	w.after(24 * time.Hour)
	w.want("nothing is waited for", w.told(toldRules), []string(nil))
	s, err := w.EventStats(w.ctx, toldRules.Sinks)
	w.must(err)
	w.want("studies that wait", s.Studies, 0)
}

// Each appliance that sends a study is waited for; what one sent stands for no other.
func TestEveryApplianceOfAStudyIsWaitedFor(t *testing.T) {
	w := start(t, Config{})
	w.receive(object("one", 1, "a"), object("one", 2, "b"), object("one", 3, "c"))
	w.receive(object("two", 2, "b")) // the same as that of the other
	w.archiveAll()
	w.say("one", "1.2.3", 1, 3)
	w.say("two", "1.2.3", 1, 2)
	w.want("two has sent one of two", w.told(toldRules), []string(nil))
	w.receive(object("two", 3, "c"))
	w.after(time.Minute)
	w.want("two has sent both", w.told(toldRules), []string{"1.2.3/1:3"})
}

// An appliance that has sent nothing of a study delays nobody, whatever it counts and
// however often it speaks; what it said is told.
func TestWhoSentNothingOfAStudyDelaysNobody(t *testing.T) {
	w := start(t, Config{})
	w.receive(object("one", 1, "a"))
	w.archiveAll()
	w.say("one", "1.2.3", 1, 1)
	w.say("other", "1.2.3", 1, 1_000_000)
	w.makeAll(toldRules)
	d, err := w.LeaseDelivery(w.ctx, "index", time.Minute)
	w.must(err)
	if d == nil {
		t.Fatal("nobody is told")
	}
	said, err := w.SaidOf(w.ctx, d.Event)
	w.must(err)
	w.want("said", said, []Said{{"one", "", 1, 1, 1}, {"other", "", 1, 1_000_000, 0}})
}

// Nobody who has sent one object of a study keeps sinks from hearing of it for longer
// than the patience by speaking of it again and again.
func TestWhoSpeaksAgainAndAgainSilencesNoStudy(t *testing.T) {
	w := start(t, Config{})
	w.receive(object("one", 1, "a"))
	w.receive(object("other", 1, "a"))
	w.archiveAll()
	w.say("one", "1.2.3", 1, 1)
	for n := range uint32(30) {
		w.say("other", "1.2.3", 1+n%2, 1_000_000*(n%2))
		w.say("other", "1.2.3", 3+n%2, 1_000_000)
		if got := w.told(toldRules); len(got) > 0 {
			w.want("told", got, []string{"1.2.3/1:1"})
			w.want("hours", n >= 24, true)
			return
		}
		w.after(time.Hour)
	}
	t.Error("nobody is told of the study after 30 hours of 24")
}

// A study of which only was spoken is told when its objects come, also long after.
func TestWhatComesLongAfterItWasSpokenOfIsTold(t *testing.T) {
	w := start(t, Config{})
	w.say("one", "1.2.3", 1, 1)
	for range 300 { // looks at it end with the patience
		w.want("nothing is here", w.told(toldRules), []string(nil))
		w.after(5 * time.Minute)
	}
	s, err := w.EventStats(w.ctx, toldRules.Sinks)
	w.must(err)
	w.want("studies that wait", s.Studies, 0)
	w.receive(object("one", 1, "a"))
	w.archiveAll()
	w.want("at once", w.told(toldRules), []string(nil))
	w.after(3 * time.Minute)
	w.want("here", w.told(toldRules), []string{"1.2.3/1:1"})
}

// An object that waits for a person keeps its study open; what comes and is counted then
// is waited for as that of any other study.
func TestAStudyWithAHeldInstanceWaitsForWhatIsCounted(t *testing.T) {
	w := start(t, Config{})
	w.receive(object("one", 1, "a"), object("one", 1, "other contents"))
	w.archiveAll()
	w.say("one", "1.2.3", 1, 2)
	w.want("with one held", w.told(toldRules), []string{"1.2.3/1:2"})
	for range 30 {
		w.after(time.Hour)
		w.want("nothing new", w.told(toldRules), []string(nil))
	}
	w.say("one", "1.2.3", 2, 4)
	w.receive(object("one", 2, "b"))
	w.archiveAll()
	w.after(10 * time.Minute)
	w.want("one of two more", w.told(toldRules), []string(nil))
	w.receive(object("one", 3, "c"))
	w.archiveAll()
	w.after(10 * time.Minute)
	w.want("both", w.told(toldRules), []string{"1.2.3/2:4"})
}

// What an appliance counts and never sends delays the event, but not for ever.
func TestWhatNeverComesIsNotWaitedForForever(t *testing.T) {
	w := start(t, Config{})
	w.receive(object("one", 1, "a"))
	w.archiveAll()
	w.say("one", "1.2.3", 1, 2)
	w.after(time.Hour)
	w.want("an hour", w.told(toldRules), []string(nil))
	w.after(24 * time.Hour)
	w.want("a day", w.told(toldRules), []string{"1.2.3/1:1"})
}

// With events.when: received nothing waits for the archive; what becomes of the
// instances there is a change.
func TestReceivedIsEnoughWhereThatIsSaid(t *testing.T) {
	w := start(t, Config{})
	rules := toldRules
	rules.Received = true
	w.receive(object("one", 1, "a"))
	w.say("one", "1.2.3", 1, 1)
	w.want("received", w.told(rules), []string{"1.2.3/1:1"})
	w.archiveAll()
	w.after(time.Minute)
	w.want("archived", w.told(rules), []string{"1.2.3/2:1"})
}

// A header that names no study is nobody's event, and neither are test objects.
func TestNoStudyNoEvent(t *testing.T) {
	w := start(t, Config{})
	o := object("one", 1, "a")
	o.Study = ""
	p := object("one", 2, "b")
	p.Study, p.Flags = "1.2.4", hub.FlagTest
	w.receive(o, p)
	w.archiveAll()
	w.say("one", "", 1, 1)
	w.say("one", "1.2.4", 1, 1)
	w.after(48 * time.Hour)
	w.want("events", w.told(toldRules), []string(nil))
	w.after(48 * time.Hour)
	w.want("later", w.told(toldRules), []string(nil))
}

// A study that began anew at its appliance has lower revisions there; the hub's rise.
func TestTheHubsRevisionsRiseWhateverTheAppliancesSay(t *testing.T) {
	w := start(t, Config{})
	w.receive(object("one", 1, "a"))
	w.archiveAll()
	w.say("one", "1.2.3", 7, 1)
	w.want("first", w.told(toldRules), []string{"1.2.3/1:1"})
	w.receive(object("one", 2, "b"))
	w.archiveAll()
	w.say("one", "1.2.3", 1, 1)
	w.want("anew", w.told(toldRules), []string{"1.2.3/2:2"})
}

// Of one study a sink hears in order, and no study waits for another. A sink that
// refuses one hears of the next, and never of what that has overtaken.
func TestASinkHearsOfOneStudyInOrder(t *testing.T) {
	w := start(t, Config{})
	rules := EventRules{Sinks: []string{"index", "shelf"}, Received: true}
	for n := range 3 {
		o := object("one", n, "a")
		w.receive(o)
		w.say("one", "1.2.3", uint32(n+1), uint32(n+1))
		w.makeAll(rules)
		o.Study, o.ID[0] = fmt.Sprintf("1.2.9.%d", n), byte(n)
		w.receive(o)
		w.say("one", o.Study, 1, 1)
		w.makeAll(rules)
	}
	lease := func() *Delivery {
		d, err := w.LeaseDelivery(w.ctx, "index", time.Minute)
		w.must(err)
		return d
	}
	var got []string
	var first *Delivery
	for d := lease(); d != nil; d = lease() {
		got = append(got, fmt.Sprintf("%s/%d", d.Event.Study, d.Event.Revision))
		if d.Event.Study == "1.2.3" {
			first = d
			continue // it takes its time
		}
		w.must(w.Delivered(w.ctx, *d))
	}
	w.want("at first", got, []string{"1.2.3/1", "1.2.9.0/1", "1.2.9.1/1", "1.2.9.2/1"})
	w.must(w.DeliverLater(w.ctx, *first, time.Second, true, "busy"))
	w.want("too early", lease(), (*Delivery)(nil))
	w.after(time.Second)
	again := lease()
	w.want("attempts", again.Attempts, 1)
	w.must(w.DeliverFailed(w.ctx, *again, "answered 422"))
	if err := w.DeliverFailed(w.ctx, *first, "late"); err == nil {
		t.Error("an answer under an old lease is taken")
	}
	second := lease()
	w.want("behind the refused one", second.Event.Revision, 2)
	w.must(w.Delivered(w.ctx, *second))
	n, err := w.RetryDeliveries(w.ctx, "index", "a tester")
	w.must(err)
	w.want("retried of what was overtaken", n, 0)
	third := lease()
	w.must(w.DeliverFailed(w.ctx, *third, "answered 422"))
	failed, err := w.FailedDeliveries(w.ctx, 10)
	w.must(err)
	w.want("failed", failed, []FailedDelivery{{"index", "1.2.3", 3, 1, "answered 422"}})
	if n, err = w.RetryDeliveries(w.ctx, "index", "a tester"); err != nil || n != 1 {
		t.Errorf("%d retried, %v", n, err)
	}
	s, err := w.EventStats(w.ctx, rules.Sinks)
	w.must(err)
	w.want("index", s.Sinks["index"].Waiting, 1)
	w.want("shelf", s.Sinks["shelf"].Waiting, 6)
}

// Of several nodes, which look at the same time, one makes the event and one has the
// delivery; what a dead one had leased is free again.
func TestTwoNodesMakeOneEvent(t *testing.T) {
	c := place(t, Config{Node: "a"})
	w := start(t, c)
	c.Node, c.Destinations, c.Now = "b", w.config.Destinations, w.config.Now
	other, err := Open(w.ctx, c)
	w.must(err)
	defer other.Close()
	w.must(other.Start(w.ctx))
	for n := range 40 {
		o := object("one", n, "a")
		o.Study = fmt.Sprintf("1.2.%d", n)
		w.receive(o)
		w.say("one", o.Study, 1, 1)
	}
	w.archiveAll()
	done := make(chan []string, 2)
	for _, l := range []*Ledger{w.Ledger, other} {
		go func() { // waited for below
			var got []string
			for range 200 {
				if _, err := l.MakeEvents(context.Background(), toldRules); err != nil {
					got = append(got, err.Error())
				}
				if d, err := l.LeaseDelivery(context.Background(), "index", time.Minute); err != nil {
					got = append(got, err.Error())
				} else if d != nil {
					got = append(got, d.Event.Study)
					if err := l.Delivered(context.Background(), *d); err != nil {
						got = append(got, err.Error())
					}
				}
			}
			done <- got
		}()
	}
	all := append(<-done, <-done...)
	slices.Sort(all)
	if len(all) != 40 || len(slices.Compact(all)) != 40 || strings.Contains(strings.Join(all, ""), ":") {
		t.Errorf("%d told of 40 studies: %v", len(all), all)
	}
}

// What two nodes make of one event at the same time is told once: the first counts.
func TestTheFirstBodyOfAnEventCounts(t *testing.T) {
	w := start(t, Config{})
	w.receive(object("one", 1, "a"))
	w.archiveAll()
	w.say("one", "1.2.3", 1, 1)
	w.makeAll(toldRules)
	d, err := w.LeaseDelivery(w.ctx, "index", time.Minute)
	w.must(err)
	body, err := w.EventBody(w.ctx, d.Event)
	w.must(err)
	w.want("before", len(body), 0)
	for _, text := range []string{"first", "second"} {
		body, err = w.KeepEventBody(w.ctx, d.Event, []byte(text))
		w.must(err)
		w.want("kept", string(body), "first")
	}
	w.must(w.Delivered(w.ctx, *d))
	body, err = w.EventBody(w.ctx, d.Event)
	w.must(err)
	w.want("when every sink has it", len(body), 0)
	w.after(31 * 24 * time.Hour)
	n, err := w.PruneEvents(w.ctx, 30*24*time.Hour, 100)
	w.must(err)
	w.want("pruned", n, 1)
	w.receive(object("one", 2, "b"))
	w.archiveAll()
	w.say("one", "1.2.3", 2, 2)
	w.want("the revision goes on", w.told(toldRules), []string{"1.2.3/2:2"})
}

// An event lists its objects by series, with where each is, what its header says
// (each text once), and what each appliance counts and sent.
func TestAnEventListsItsObjects(t *testing.T) {
	w := start(t, Config{Destinations: []Destination{{Name: "vna", Required: true}, {Name: "copy"}}})
	a, b, c := object("one", 1, "a"), object("one", 2, "b"), object("one", 2, "other")
	w.receive(a, b, c)
	w.receive(object("two", 1, "a"))
	w.archiveAll()
	w.say("one", "1.2.3", 1, 3)
	w.makeAll(toldRules)
	d, err := w.LeaseDelivery(w.ctx, "index", time.Minute)
	w.must(err)
	list, err := w.Undescribed(w.ctx, d.Event, 10)
	w.must(err)
	w.want("undescribed", len(list), 3)
	describe := []Description{{Object: list[0].Seq, Series: "1.9", Own: "{}", Part: "p", Whole: "w"}, {Object: list[1].Seq, Series: "1.8", Part: "q", Whole: "w"}, {Object: list[2].Seq, Problem: "gone"}}
	w.must(w.Describe(w.ctx, "1.2.3", describe))
	w.must(w.Describe(w.ctx, "1.2.3", describe)) // after a crash
	if list, err = w.Undescribed(w.ctx, d.Event, 10); err != nil || len(list) > 0 {
		t.Errorf("%d undescribed, %v", len(list), err)
	}
	headers, err := w.Headers(w.ctx, "1.2.3")
	w.must(err)
	w.want("headers", len(headers), 3)
	w.receive(object("one", 9, "too late"))
	var got []string
	w.must(w.ListEvent(w.ctx, d.Event, func(o *Listed) error {
		got = append(got, fmt.Sprintf("%s %s %s%s archived=%v hold=%d %v", o.Series, o.ID.String()[:4], headers[o.Part], headers[o.Whole], !o.Archived.IsZero(), o.Hold, o.Destinations))
		return nil
	}))
	w.want("objects", got, []string{
		fmt.Sprintf(" %s  archived=false hold=1 [{copy held} {vna held}]", c.ID.String()[:4]),
		fmt.Sprintf("1.8 %s qw archived=true hold=0 [{copy pending} {vna done}]", b.ID.String()[:4]),
		fmt.Sprintf("1.9 %s pw archived=true hold=0 [{copy pending} {vna done}]", a.ID.String()[:4])})
	said, err := w.SaidOf(w.ctx, d.Event)
	w.must(err)
	w.want("said", said, []Said{{"one", "", 1, 3, 3}, {"two", "", 0, 0, 1}})
}
