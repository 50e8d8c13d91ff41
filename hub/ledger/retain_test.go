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

// many puts n rows of objects as SQL, archived an hour ago and each with a job of the last
// destination: only their number matters.
func (w *world) many(n int, uid, state string) {
	w.Helper()
	w.must(w.change(w.ctx, func(b *batch) error {
		if _, err := b.exec(fmt.Sprintf(`INSERT INTO objects (id, transfer_syntax, sop_class, sop_instance, length, study, priority, flags, calling, device, received_at, archived_at)
			SELECT CAST(SUBSTR('00000000000000000000000000000000' || i, LENGTH('' || i) + 1) AS %s), 't', 'c', %s, 1, '1.2.' || (i / 100), 1, 0, 'CT', 'd', 1, %d + i / 100
			FROM (WITH RECURSIVE k(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM k WHERE i < %d) SELECT i FROM k) AS k`, w.bytes(), uid, w.now.UnixMilli()-time.Hour.Milliseconds(), n)); err != nil {
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
	list, err := w.expire(w.ctx, expiry{}, []any{o.ID[:]})
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

// A destination that is not required and away keeps the copies while there is room, and no
// longer than its patience: where there is none they go, the oldest first, and what it does
// not get is counted. It is not asked for again when the destination is back (P6).
func TestWhatIsNotRequiredKeepsNothingWhereThereIsNoRoom(t *testing.T) {
	w := start(t, Config{Destinations: []Destination{{Name: "vna", Required: true}, {Name: "copy", Confirm: "dir"}}})
	first, second, third, open := object("A", 1, "x"), object("A", 2, "y"), object("A", 3, "z"), object("A", 4, "not archived")
	for _, o := range []hub.Object{first, second, third} {
		w.archived(o)
		w.now = w.now.Add(time.Second)
	}
	w.receive(open)
	leased := w.lease("copy", 9)
	for _, j := range leased[1:] {
		w.must(w.Later(w.ctx, j, time.Hour, true, "it is away"))
	}
	w.want("with room", len(w.expired(0)), 0)
	forRoom := func(n int) []hub.ID {
		t.Helper()
		list, err := w.ExpiredForRoom(w.ctx, n)
		w.must(err)
		w.must(w.Removed(w.ctx, list))
		return list
	}
	w.want("one, and not what is on its way", forRoom(1), ids(second))
	w.must(w.Later(w.ctx, leased[0], time.Hour, true, "it is away"))
	w.want("the others", []any{forRoom(9), forRoom(9), forRoom(9)}, []any{ids(third), ids(first), []hub.ID{}})
	b := w.stats().Backlog["copy"]
	w.want("skipped, waiting: the one that is not archived", []any{b.Skipped, b.SkippedAgo, b.Objects}, []any{3, time.Duration(0), 1})
	w.want("in the trail", w.count(`SELECT count(*) FROM audit WHERE action = 'skip' AND subject = 'copy'`), 3)
	w.now = w.now.Add(2 * time.Hour)
	w.want("when it is back", w.one("copy").Object.ID, open.ID)
	w.want("nothing is lost", w.stats().Lost, 0)
}

// The patience for a destination that is not required ends by itself.
func TestWhatIsNotRequiredIsNotWaitedForForEver(t *testing.T) {
	w := start(t, Config{Destinations: []Destination{{Name: "vna", Required: true}, {Name: "copy"}}})
	o := object("A", 1, "x")
	w.archived(o)
	w.now = w.now.Add(time.Hour + optionalPatience - time.Second)
	w.want("before", len(w.expired(time.Hour)), 0)
	w.now = w.now.Add(time.Second)
	w.want("after", w.expired(time.Hour), ids(o))
	w.want("skipped", w.stats().Backlog["copy"].Skipped, 1)
}

// What a person holds, and what a destination that is required now has not got or has
// refused, stays, however short the space.
func TestWhatAPersonOrARequiredDestinationWaitsForStays(t *testing.T) {
	config := place(t, Config{Destinations: []Destination{{Name: "vna", Required: true}, {Name: "copy"}}})
	w := start(t, config)
	w.archived(object("A", 1, "x"), object("A", 2, "y"), object("A", 3, "z"))
	jobs := w.lease("copy", 9)
	w.must(w.Refuse(w.ctx, jobs[0], "A900"))
	w.must(w.Later(w.ctx, jobs[1], 0, true, ""))
	w.tamper(`UPDATE jobs SET state = 'held' WHERE seq = ?`, jobs[2].Seq)
	config.Destinations = []Destination{{Name: "vna", Required: true}, {Name: "copy", Required: true}}
	w = start(t, config)
	list, err := w.ExpiredForRoom(w.ctx, 9)
	w.must(err)
	w.want("required", len(list), 0)
	config.Destinations = []Destination{{Name: "vna", Required: true}, {Name: "copy"}}
	w = start(t, config)
	list, err = w.ExpiredForRoom(w.ctx, 9)
	w.must(err)
	w.want("not required: the refused and the waiting one", len(list), 2)
}

// A required archive is replaced by another one, or a destination is taken out: its jobs
// keep no copy and hinder no fold. What it wanted is abandoned, and in the trail; were it
// configured again, nothing is looked for in vain (P6).
func TestADestinationThatIsGoneKeepsNothing(t *testing.T) {
	for name, required := range map[string]bool{"a required one is replaced": true, "another one is taken out": false} {
		t.Run(name, func(t *testing.T) {
			config := place(t, Config{Destinations: []Destination{{Name: "old", Required: required}, {Name: "vna", Required: true}}})
			w := start(t, config)
			o, on := object("A", 1, "x"), object("A", 2, "y")
			w.receive(o, on)
			w.must(w.Later(w.ctx, w.lease("old", 9)[0], time.Hour, true, "it is away"))
			config.Destinations = []Destination{{Name: "vna", Required: true}}
			w = start(t, config)
			w.want("P2: not before the new one has it", len(w.expired(0)), 0)
			for _, j := range w.lease("vna", 9) {
				w.must(w.Done(w.ctx, j, ""))
			}
			w.now = w.now.Add(48 * time.Hour)
			w.want("objects in the fold", len(w.fold("1.2.3").Objects), 2)
			w.want("expired", len(w.expired(time.Hour)), 2)
			w.must(w.Removed(w.ctx, ids(o, on)))
			w.want("jobs", w.count(`SELECT count(*) FROM jobs WHERE destination = 'old'`), 0)
			w.want("in the trail", w.count(`SELECT count(*) FROM audit WHERE action = 'abandon' AND subject = 'old' AND detail LIKE '2 objects%'`), 1)
			config.Destinations = []Destination{{Name: "old"}, {Name: "vna", Required: true}}
			w = start(t, config)
			w.want("configured again", []int64{int64(len(w.lease("old", 9))), w.stats().Backlog["old"].Skipped}, []int64{0, 0})
		})
	}
}
