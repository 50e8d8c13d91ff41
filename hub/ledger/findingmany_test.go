package ledger

import (
	"crypto/rand"
	"errors"
	"fmt"
	"testing"

	"edged/hub"
)

func manyFindings(n int) []hub.Finding {
	list := make([]hub.Finding, n)
	for i := range list {
		rand.Read(list[i].ID[:])
		list[i].Flags = hub.FlagHold
	}
	return list
}

// A frame of findings is some transactions of bounded size, each of few statements, so
// that an appliance that sends many keeps no receipt of another one waiting for long.
func TestAFrameOfFindingsKeepsNoReceiptWaiting(t *testing.T) {
	w := start(t, Config{})
	list := manyFindings(1000)
	o := object("a", 1, "x")
	w.receive(o)
	list[300] = hub.Finding{ID: o.ID, Flags: hub.FlagHold}
	before := w.Commits()
	w.must(w.Findings(w.ctx, "a", list))
	w.want("transactions", w.Commits().Count-before.Count, 4)
	w.want("held, early", []int64{w.stats().Held, int64(w.count(`SELECT count(*) FROM findings WHERE received = 0`))}, []int64{1, 999})
	ids := make([]hub.ID, len(list))
	for i := range list {
		ids[i] = list[i].ID
	}
	n, err := w.ReleaseFrom(w.ctx, "a", ids, "checked")
	w.must(err)
	w.want("let go", []int64{int64(n), w.stats().Held}, []int64{1, 0})
	before = w.Commits()
	_, err = w.ReleaseFrom(w.ctx, "a", ids, "checked")
	w.must(err)
	w.want("transactions for nothing", w.Commits().Count-before.Count, 0)
}

// What one after the other would do to a row, a list with an object several times does.
func TestFindingsOfOneObjectInOneFrame(t *testing.T) {
	w := start(t, Config{})
	o := object("a", 1, "x")
	w.must(w.Findings(w.ctx, "a", []hub.Finding{{ID: o.ID, Words: "another patient"}, {ID: o.ID, Flags: hub.FlagHold}, {ID: o.ID, Flags: 1}}))
	w.want("row", w.count(fmt.Sprintf(`SELECT count(*) FROM findings WHERE words = 'another patient' AND flags = %d`, hub.FlagHold|1)), 1)
	w.receive(o)
	w.want("held", w.stats().Held, 1)
}

// An ID costs nothing to invent.
func TestFindingsAboutWhatWasNotSentAreBounded(t *testing.T) {
	w := start(t, Config{})
	if err := w.Findings(w.ctx, "a", manyFindings(maxEarlyFindings+1)); !errors.Is(err, ErrFindings) {
		t.Errorf("got %v", err)
	}
	w.want("findings", w.count(`SELECT count(*) FROM findings`), 0)
}

// While others wait the committer takes what weighs little together, and what is heavy
// in parts.
func TestWhatIsHeavySharesNoTransactionWithMuch(t *testing.T) {
	w := start(t, Config{})
	for range 20 {
		w.next = append(w.next, &change{weight: 256, do: func(*batch) error { return nil }, done: make(chan struct{})})
	}
	w.commitQueued()
	w.want("left for the next", len(w.next), 20-maxObjects/256)
}
