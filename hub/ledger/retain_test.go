package ledger

import (
	"strings"
	"testing"
	"time"

	"edged/hub"
)

func (w *world) expired(age time.Duration) []hub.ID {
	w.Helper()
	list, err := w.Expired(w.ctx, age, 100)
	w.must(err)
	return list
}

// P2: only what every required destination has, for long enough, and nobody
// waits for, may lose its file.
func TestOnlyArchivedFilesThatNobodyWaitsForGo(t *testing.T) {
	w := start(t, Config{Destinations: []Destination{{Name: "vna", Required: true}, {Name: "copy", Required: false}}})
	o, open := object("A", 1, "x"), object("A", 2, "y")
	w.receive(o, open)
	w.want("before anything", len(w.expired(0)), 0)
	jobs := w.lease("vna", 9)
	w.must(w.Done(w.ctx, jobs[0], ""))
	w.want("while the other one waits for it", len(w.expired(0)), 0)
	w.must(w.Refuse(w.ctx, w.lease("copy", 1)[0], "A900"))
	w.want("too early", len(w.expired(time.Hour)), 0)
	w.now = w.now.Add(time.Hour)
	w.want("in time", w.expired(time.Hour), ids(o))
}

// Row before unlink: killed anywhere between the two, the next one goes on.
func TestARemovalThatACrashCutIsFinished(t *testing.T) {
	w := start(t, Config{})
	o := object("A", 1, "x")
	w.receive(o)
	w.must(w.Done(w.ctx, w.one("vna"), ""))
	w.want("expired", w.expired(0), ids(o))
	w = start(t, w.config)
	w.want("again, however young", w.expired(time.Hour), ids(o))
	w.must(w.Removed(w.ctx, ids(o)))
	w.want("after the end", len(w.expired(0)), 0)
}

// The row answers for what is gone, and who never sent it sends it as ever.
func TestWhatIsRemovedIsStillKnown(t *testing.T) {
	w := start(t, Config{})
	o := object("A", 1, "x")
	w.receive(o)
	w.must(w.Done(w.ctx, w.one("vna"), ""))
	w.must(w.AcknowledgeConfirmations(w.ctx, "A", []uint64{1}))
	w.must(w.Removed(w.ctx, w.expired(0)))
	known, err := w.Known(w.ctx, "A", ids(o))
	w.must(err)
	w.want("known", known[o.ID], o.Length)
	w.want("confirmed again", w.confirmed("A"), ids(o))

	w.receive(object("B", 1, "x"))
	w.want("confirmed", w.confirmed("B"), ids(o))
	w.want("jobs", len(w.lease("vna", 9)), 0)
	w.want("its file goes in its turn", w.expired(0), ids(o))
}

// An appliance sends the object again while its file is being removed: the row
// does not say that it is gone, and it goes in the next round.
func TestAnObjectReceivedWhileItIsRemovedIsNotCountedAsGone(t *testing.T) {
	w := start(t, Config{})
	o := object("A", 1, "x")
	w.receive(o)
	w.must(w.Done(w.ctx, w.one("vna"), ""))
	going := w.expired(0)
	w.receive(object("B", 1, "x"))
	w.must(w.Removed(w.ctx, going))
	w.want("again", w.expired(0), ids(o))
}

// What the hub has no copy of any more cannot be tried again: whoever asks is
// told so, and nothing is looked for in vain. When it has come again it can.
func TestRetryOfWhatWasRemovedIsRefusedWithWords(t *testing.T) {
	w := start(t, Config{Destinations: []Destination{{Name: "vna", Required: true}, {Name: "copy", Required: false}}})
	o := object("A", 1, "x")
	w.receive(o)
	w.must(w.Done(w.ctx, w.one("vna"), ""))
	w.must(w.Refuse(w.ctx, w.one("copy"), "A900"))
	w.must(w.Removed(w.ctx, w.expired(0)))
	if err := w.Retry(w.ctx, o.ID, "somebody"); err == nil || !strings.Contains(err.Error(), "removed its copy") {
		t.Errorf("retry: %v", err)
	}
	w.want("jobs", len(w.lease("copy", 9)), 0)
	w.receive(object("B", 1, "x"))
	w.must(w.Retry(w.ctx, o.ID, "somebody"))
	w.want("jobs", len(w.lease("copy", 9)), 1)
}
