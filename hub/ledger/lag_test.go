package ledger

import (
	"errors"
	"testing"
	"time"

	"edged/hub"
)

// After a failover to a standby that lags, rows that were lost give their numbers to
// others, while a forwarder still delivers what it had leased before: nothing that it
// says is taken for the object that has the number of its job now.
func TestWhatIsSaidOfALostJobIsNotSaidOfAnother(t *testing.T) {
	primary := start(t, Config{})
	primary.receive(object("a", 1, "x"))
	j := primary.one("vna") // on its way to the archive when the primary dies

	standby := start(t, Config{}) // has nothing of that, and takes the next object
	standby.receive(object("b", 2, "y"))
	now := standby.one("vna")
	standby.want("number and lease", []int64{now.Seq, now.Lease}, []int64{j.Seq, j.Lease})
	standby.must(standby.Done(standby.ctx, j, "")) // the same process, connected anew
	standby.must(standby.Stored(standby.ctx, j, ""))
	standby.must(standby.Unconfirmed(standby.ctx, j, ""))
	for what, err := range map[string]error{
		"later":  standby.Later(standby.ctx, j, 0, true, ""),
		"refuse": standby.Refuse(standby.ctx, j, "no"),
		"lost":   standby.Ledger.Lost(standby.ctx, j, "no such file"),
	} {
		if !errors.Is(err, ErrLeaseLost) {
			t.Errorf("%s: %v", what, err)
		}
	}
	standby.want("archived", standby.stats().Archived, 0)
	standby.must(standby.Done(standby.ctx, now, "")) // its lease is as it was
	standby.want("archived", standby.confirmed("b"), ids(object("b", 2, "y")))
}

// A batch in which one is about another object settles all the others.
func TestOneLostJobSpoilsNoBatch(t *testing.T) {
	w := start(t, Config{})
	w.receive(object("a", 1, "x"), object("a", 2, "x"), object("a", 3, "x"))
	jobs := w.lease("vna", 9)
	jobs[1].Object = object("a", 9, "lost")
	var queued []*change
	for i := range jobs {
		queued = append(queued, &change{settled: &settlement{"done", jobs[i], ""}, done: make(chan struct{})})
	}
	w.next = queued
	w.commitQueued()
	for _, c := range queued {
		w.must(c.err)
	}
	w.want("archived", w.confirmed("a"), ids(object("a", 1, "x"), object("a", 3, "x")))
}

// The same for what sinks are told.
func TestADeliveryOfALostEventIsNotThatOfAnother(t *testing.T) {
	tell := func(w *world, uid string) *Delivery {
		o := object("a", 1, uid)
		o.Study = uid
		w.receive(o)
		w.archiveAll()
		w.say("a", uid, 1, 1)
		w.makeAll(toldRules)
		d, err := w.LeaseDelivery(w.ctx, "index", time.Minute)
		w.must(err)
		return d
	}
	primary, standby := start(t, Config{}), start(t, Config{})
	old, now := tell(primary, "1.2.3"), tell(standby, "1.2.4")
	standby.want("number and lease", []int64{old.Seq, old.Lease}, []int64{now.Seq, now.Lease})
	standby.must(standby.Delivered(standby.ctx, *old))
	if err := standby.DeliverFailed(standby.ctx, *old, "no"); !errors.Is(err, ErrLeaseLost) {
		t.Errorf("failed: %v", err)
	}
	standby.want("still leased", standby.count(`SELECT count(*) FROM deliveries WHERE state = 'leased'`), 1)
	standby.must(standby.Delivered(standby.ctx, *now))
}

// What is archived after all is asked for no more, and its receipts count again.
func TestWhatIsArchivedAfterALossIsLostNoMore(t *testing.T) {
	w := start(t, Config{Destinations: []Destination{{Name: "vna", Required: true}, {Name: "copy"}}})
	o := object("A", 1, "x")
	w.receive(o)
	w.must(w.Ledger.Lost(w.ctx, w.one("copy"), "no such file"))
	w.must(w.Done(w.ctx, w.one("vna"), "")) // had it in hand already
	known, err := w.Known(w.ctx, "A", []hub.ID{o.ID})
	w.must(err)
	troubles, err := w.Troubles(w.ctx, "A", 0, 9)
	w.must(err)
	w.want("receipts, asked", []int{len(known), len(troubles)}, []int{1, 0})
	w.want("lost", w.count(`SELECT count(*) FROM receipts WHERE lost = 1`), 0)
}
