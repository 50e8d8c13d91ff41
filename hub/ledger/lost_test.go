package ledger

import (
	"testing"
	"time"

	"edged/hub"
)

// P14: what the hub lost is asked for again, from everybody who sent it, in one
// transaction that survives a restart; until one of them has sent it nobody is
// told that it is here.
func TestWhatTheHubLostIsAskedForAgain(t *testing.T) {
	w := start(t, Config{})
	a, b := object("A", 1, "x"), object("B", 1, "x")
	w.receive(a, b)
	w.must(w.Ledger.Lost(w.ctx, w.one("vna"), "no such file"))
	w = start(t, w.config) // another process
	for _, device := range []string{"A", "B"} {
		troubles, err := w.Troubles(w.ctx, device, 0, 9)
		w.must(err)
		if len(troubles) != 1 || !troubles[0].Lost || troubles[0].ID != a.ID {
			t.Errorf("%s is told %+v", device, troubles)
		}
		known, err := w.Known(w.ctx, device, ids(a))
		w.must(err)
		w.want("receipts of "+device, len(known), 0)
	}
	w.want("lost", w.stats().Lost, int64(1))
	w.want("leased while lost", len(w.lease("vna", 9)), 0)

	w.receive(b)
	w.want("lost", w.stats().Lost, int64(0))
	for _, device := range []string{"A", "B"} { // A once sent it, and it is here
		known, err := w.Known(w.ctx, device, ids(a))
		w.must(err)
		w.want("receipts of "+device, len(known), 1)
	}
	troubles, err := w.Troubles(w.ctx, "A", 0, 9)
	w.must(err)
	w.want("A is told", len(troubles), 0)
	w.must(w.Done(w.ctx, w.one("vna"), ""))
	w.want("confirmed to A", len(w.confirmed("A")), 1)
	w.want("confirmed to B", len(w.confirmed("B")), 1)
	w.want("receipts", w.stats().Receipts, int64(2))
}

// An archive's own refusal stays one when the object comes again.
func TestARefusalIsNotUndoneByALoss(t *testing.T) {
	w := start(t, Config{Destinations: []Destination{{Name: "vna", Required: true}, {Name: "copy", Required: true}}})
	o := object("A", 1, "x")
	w.receive(o)
	w.must(w.Refuse(w.ctx, w.one("vna"), "A900 wrong class"))
	w.must(w.Ledger.Lost(w.ctx, w.one("copy"), "digest"))
	w.receive(o)
	w.want("jobs of vna", len(w.lease("vna", 9)), 0)
	w.want("jobs of copy", len(w.lease("copy", 9)), 1)
}

// An appliance may have forgotten what is archived: it is not asked, and what it
// was told stays true.
func TestALossAfterTheArchiveHasItIsOnlyTold(t *testing.T) {
	w := start(t, Config{Destinations: []Destination{{Name: "vna", Required: true}, {Name: "copy", Required: false}}})
	o := object("A", 1, "x")
	w.receive(o)
	w.must(w.Done(w.ctx, w.one("vna"), ""))
	w.must(w.Ledger.Lost(w.ctx, w.one("copy"), "no such file"))
	troubles, err := w.Troubles(w.ctx, "A", 0, 9)
	w.must(err)
	known, err := w.Known(w.ctx, "A", ids(o))
	w.must(err)
	stuck, err := w.Stuck(w.ctx, 9)
	w.must(err)
	if len(troubles) != 0 || len(known) != 1 || len(w.confirmed("A")) != 1 || len(stuck) != 1 || stuck[0].State != "permanent" {
		t.Errorf("troubles %+v, known %v, stuck %+v", troubles, known, stuck)
	}
	w.receive(object("B", 1, "x")) // somebody has it still, and sends it
	w.want("the other destination gets it after all", len(w.lease("copy", 9)), 1)
}

// Whoever worked on it under an older lease judges nothing.
func TestALossUnderAnOldLeaseIsNotTaken(t *testing.T) {
	w := start(t, Config{})
	w.receive(object("A", 1, "x"))
	old := w.one("vna")
	w.now = w.now.Add(time.Hour)
	w.one("vna")
	if err := w.Ledger.Lost(w.ctx, old, "digest"); err == nil || w.stats().Lost != 0 {
		t.Errorf("taken: %v", err)
	}
}

// An administrator who retries has the appliances asked once more.
func TestRetryOfALostObjectAsksOnceMore(t *testing.T) {
	w := start(t, Config{})
	o := object("A", 1, "x")
	w.receive(o)
	w.must(w.Ledger.Lost(w.ctx, w.one("vna"), "no such file"))
	troubles, err := w.Troubles(w.ctx, "A", 0, 9)
	w.must(err)
	w.must(w.AcknowledgeTroubles(w.ctx, "A", []uint64{troubles[0].Seq}))
	w.must(w.Retry(w.ctx, o.ID, "somebody"))
	w.must(w.Ledger.Lost(w.ctx, w.one("vna"), "no such file"))
	troubles, err = w.Troubles(w.ctx, "A", 0, 9)
	w.must(err)
	w.want("asked", len(troubles), 1)
	w.receive(o)
	w.want("jobs", len(w.lease("vna", 9)), 1)
}

func TestARestoredLedgerHasANewGeneration(t *testing.T) {
	w := start(t, Config{})
	id, before, err := w.Identity(w.ctx)
	w.must(err)
	n, err := w.Restored(w.ctx, "somebody")
	w.must(err)
	same, after, err := w.Identity(w.ctx)
	w.must(err)
	if same != id || after != before+1 || n != after {
		t.Errorf("%s %d, then %s %d (%d)", id, before, same, after, n)
	}
}

func ids(objects ...hub.Object) (list []hub.ID) {
	for _, o := range objects {
		list = append(list, o.ID)
	}
	return list
}
