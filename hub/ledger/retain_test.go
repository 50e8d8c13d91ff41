package ledger

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"edged/hub"
	"edged/hub/receive"
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

// An appliance sends the object while its file is being removed, here or at another node:
// it is to come later, when it is known that the file is gone, and spoils nothing for who
// comes with it. A receipt would be for a file that is unlinked in a moment.
func TestAnObjectThatIsBeingRemovedGetsNoReceipt(t *testing.T) {
	w := start(t, Config{})
	o, again := object("A", 1, "x"), object("B", 1, "x")
	w.receive(o)
	w.must(w.Done(w.ctx, w.one("vna"), ""))
	gone := w.expired(0)
	var queued []*change
	for _, list := range [][]hub.Object{{object("C", 2, "y"), object("C", 3, "y")}, {object("B", 4, "y"), again}} {
		queued = append(queued, &change{objects: list, done: make(chan struct{})})
	}
	w.next = queued
	w.commitQueued()
	w.must(queued[0].err)
	var going *receive.GoingError
	if !errors.As(queued[1].err, &going) || going.ID != o.ID {
		t.Fatalf("got %v", queued[1].err)
	}
	w.want("receipts", w.stats().Receipts, 3)
	w.must(w.Removed(w.ctx, gone))
	w.receive(object("B", 4, "y"), again)
	w.want("receipts", w.stats().Receipts, 5)
	w.want("it goes in the next round", w.expired(0), ids(o))
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

// many puts n rows of objects as SQL, archived long ago and each with a job of the last
// destination: only their number matters.
func (w *world) many(n int, uid, state string) {
	w.Helper()
	w.must(w.change(w.ctx, func(b *batch) error {
		if _, err := b.exec(fmt.Sprintf(`INSERT INTO objects (id, transfer_syntax, sop_class, sop_instance, length, study, priority, flags, calling, device, received_at, archived_at)
			SELECT CAST(SUBSTR('00000000000000000000000000000000' || i, LENGTH('' || i) + 1) AS %s), 't', 'c', %s, 1, '1.2.' || (i / 100), 1, 0, 'CT', 'd', 1, 1 + i / 100
			FROM (WITH RECURSIVE k(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM k WHERE i < %d) SELECT i FROM k) AS k`, w.bytes(), uid, n)); err != nil {
			return err
		}
		_, err := b.exec(`INSERT INTO jobs (object, destination, state, priority) SELECT seq, 'copy', '` + state + `', 1 FROM objects`)
		return err
	}))
}

func (w *world) bytes() string {
	if overPostgres() {
		return "BYTEA"
	}
	return "BLOB"
}

// P6: a destination that is not required is away for weeks. What it has not got is not
// walked over in a transaction, and what lies behind that goes all the same.
func TestRetentionDoesNotWalkOverABacklogAsAWriter(t *testing.T) {
	w := start(t, Config{Destinations: []Destination{{Name: "vna", Required: true}, {Name: "copy"}}})
	const n = 5*retainPage + 7
	w.many(n, "'1.3.' || i", "pending")
	before := w.Commits().Count
	w.want("expired", len(w.expired(0)), 0)
	w.want("transactions", w.Commits().Count-before, 0)
	w.tamper(`UPDATE jobs SET state = 'done' WHERE seq > ?`, n-300)
	seen := map[hub.ID]bool{}
	for range 4 {
		list := w.expired(0)
		for _, id := range list {
			seen[id] = true
		}
		w.must(w.Removed(w.ctx, list))
	}
	w.want("gone", len(seen), 300)
}

// A candidate that is needed again meanwhile stays.
func TestACandidateThatIsNeededAgainStays(t *testing.T) {
	w := start(t, Config{})
	o := object("A", 1, "x")
	w.receive(o)
	w.must(w.Done(w.ctx, w.one("vna"), ""))
	w.tamper(`UPDATE jobs SET state = 'pending'`)
	list, err := w.expire(w.ctx, 0, []any{o.ID[:]})
	w.must(err)
	w.want("expired", len(list), 0)
}

// A modality may give all instances one UID: a further one costs no walk over those.
func TestAUIDThatAllHaveIsNotRead(t *testing.T) {
	w := start(t, Config{})
	w.many(1000, "'1.2.1'", "done")
	var used []string
	w.must(w.change(w.ctx, func(b *batch) (err error) {
		used, err = b.used([]any{"1.2.1", "1.2.9"})
		return err
	}))
	w.want("rows read", used, []string{"1.2.1"})
	w.receive(object("d", 1, "x"), object("d", 2, "y"), object("d", 3, "z"))
	w.want("held", w.stats().Held, 1)
}
