package ledger

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"edged/hub"
)

var committing = []Destination{{Name: "vna", Required: true, Confirm: "commitment"}}

// every is the pause of these stories.
func every(int) time.Duration { return 10 * time.Minute }

// ref is how storage commitment names object n.
func ref(n int) Reference {
	o := object("", n, "")
	return Reference{o.Names.SOPClass, o.Names.SOPInstance}
}

// stored receives objects and stores them all.
func (w *world) storeAll(os ...hub.Object) {
	w.Helper()
	w.receive(os...)
	for _, j := range w.lease("vna", 1000) {
		w.must(w.Stored(w.ctx, j, ""))
	}
}

func (w *world) ask(uid string) []Reference {
	w.Helper()
	refs, err := w.Ask(w.ctx, "vna", uid, 500, every)
	w.must(err)
	return refs
}

func (w *world) report(r Report) Settled {
	w.Helper()
	s, err := w.Reported(w.ctx, []string{"vna"}, r, every)
	w.must(err)
	w.want("reported by", s.Destination, "vna")
	s.Destination, s.Why = "", ""
	return s
}

func (w *world) backlog(destination string) Backlog {
	w.Helper()
	return w.stats().Backlog[destination]
}

// reopened is the ledger after a restart of the hub, with another configuration
// when change says so.
func (w *world) reopened(change func(*Config)) *world {
	w.Helper()
	c := w.config
	if change != nil {
		change(&c)
	}
	next := &world{T: w.T, ctx: w.ctx, now: w.now}
	c.Now = func() time.Time { return next.now }
	l, err := Open(w.ctx, c)
	w.must(err)
	w.T.Cleanup(func() { l.Close() })
	next.Ledger = l
	w.must(l.Start(w.ctx))
	return next
}

// P2: the archive's Success alone archives nothing, its report does, also after a
// restart in between.
func TestStoredIsNotArchivedUntilItIsCommitted(t *testing.T) {
	w := start(t, Config{Destinations: committing})
	w.storeAll(object("A", 1, "x"), object("A", 2, "x"))
	w.want("archived by Success", w.stats().Archived, 0)
	w.want("leased again", len(w.lease("vna", 9)), 0)
	w = w.reopened(nil)
	w.want("waiting after the restart", w.backlog("vna").Uncommitted, 2)
	w.want("asked for", w.ask("2.25.1"), []Reference{ref(1), ref(2)})
	w.want("asked for twice", len(w.ask("2.25.2")), 0)
	w = w.reopened(nil)
	w.want("settled", w.report(Report{Transaction: "2.25.1", Committed: []Reference{ref(1), ref(2)}}), Settled{Committed: 2})
	w.want("confirmed", len(w.confirmed("A")), 2)
	w.want("repeated", w.report(Report{Transaction: "2.25.1", Committed: []Reference{ref(1), ref(2)}}), Settled{Strange: 2})
	w.want("archived", w.stats().Archived, 2)
}

// Reports that lie, or are somebody else's, archive nothing.
func TestAReportCountsOnlyForWhatWasAskedInItsTransaction(t *testing.T) {
	w := start(t, Config{Destinations: append(committing, Destination{Name: "other", Required: false})})
	w.storeAll(object("A", 1, "x"))
	w.ask("2.25.1")
	w.receive(object("A", 2, "x"))
	w.must(w.Stored(w.ctx, w.one("vna"), ""))
	w.ask("2.25.2")
	class := ref(1)
	class.SOPClass = "1.2.840.10008.5.1.4.1.1.4"
	for what, r := range map[string]Report{
		"not asked for": {Transaction: "2.25.1", Committed: []Reference{ref(2), ref(3)}},
		"other class":   {Transaction: "2.25.1", Committed: []Reference{class}},
	} {
		w.want(what, w.report(r), Settled{Strange: len(r.Committed)})
	}
	for _, r := range []struct {
		from, uid string
	}{{"vna", "2.25.9"}, {"vna", ""}, {"other", "2.25.1"}} {
		_, err := w.Reported(w.ctx, []string{r.from}, Report{Transaction: r.uid, Committed: []Reference{ref(1)}}, every)
		w.want(fmt.Sprint(r), errors.Is(err, ErrUnknownTransaction), true)
	}
	both := Report{Transaction: "2.25.1", Committed: []Reference{ref(1)}, Failed: []Failure{{ref(1), 0x0213}}}
	w.want("committed and failed", w.report(both), Settled{Later: 1})
	w.want("archived", w.stats().Archived, 0)
}

func TestWhatAFailureReasonMeans(t *testing.T) {
	w := start(t, Config{Destinations: committing})
	cases := []struct {
		reason uint16
		state  string
	}{
		{0x0110, "pending"}, {0x0112, "pending"}, {0, "pending"}, {0x0213, "stored"}, {0x0131, "stored"},
		{0x0119, "permanent"}, {0x0122, "permanent"}, {0xC000, "permanent"},
	}
	committed := len(cases) + 1
	r := Report{Transaction: "2.25.1", Committed: []Reference{ref(committed)}} // a partial failure: one counts
	for i, c := range cases {
		w.storeAll(object("A", i+1, "x"))
		r.Failed = append(r.Failed, Failure{ref(i + 1), c.reason})
	}
	w.storeAll(object("A", committed, "x"))
	w.ask("2.25.1")
	w.want("settled", w.report(r), Settled{Committed: 1, Again: 3, Later: 2, Refused: 3})
	w.want("archived", w.confirmed("A"), []hub.ID{object("A", committed, "x").ID})
	for i, c := range cases {
		var state string
		w.must(w.read.QueryRowContext(w.ctx, `SELECT state FROM jobs WHERE object = ?`, i+1).Scan(&state))
		w.want(fmt.Sprintf("%04X", c.reason), state, c.state)
	}
	troubles, err := w.Troubles(w.ctx, "A", 0, 9)
	w.must(err)
	w.want("troubles", len(troubles), 3)
	for i, x := range troubles {
		if c := cases[5+i]; !x.Permanent || !strings.Contains(x.Words, fmt.Sprintf("%04X", c.reason)) {
			t.Errorf("%04X: %+v", c.reason, x)
		}
	}
	w.want("sent again at once", len(w.lease("vna", 9)), 0)
	w.now = w.now.Add(every(0))
	w.want("sent again", len(w.lease("vna", 9)), 3)
	w.want("asked again", len(w.ask("2.25.2")), 2)
}

// An archive that answers Success and never has the object gets it so many times.
func TestSendingAgainIsBounded(t *testing.T) {
	w := start(t, Config{Destinations: committing})
	w.receive(object("A", 1, "x"))
	for n := range maxResends + 1 {
		j := w.one("vna")
		w.want("a duplicate would be our own", j.Unanswered, n > 0)
		w.must(w.Stored(w.ctx, j, ""))
		uid := fmt.Sprintf("2.25.%d", n)
		w.ask(uid)
		w.report(Report{Transaction: uid, Failed: []Failure{{ref(1), 0x0112}}})
		w.now = w.now.Add(every(0))
	}
	w.want("quarantined", w.backlog("vna").Quarantined, 1)
	w.must(w.Retry(w.ctx, object("A", 1, "x").ID, "admin"))
	w.want("an administrator may try again", len(w.lease("vna", 9)), 1)
}

// No report: it is asked for again, and the older transaction may still answer,
// unless what it speaks of is not the case any more.
func TestWithoutAReportItIsAskedForAgain(t *testing.T) {
	w := start(t, Config{Destinations: committing})
	w.storeAll(object("A", 1, "x"), object("A", 2, "x"))
	w.ask("2.25.1")
	w.now = w.now.Add(every(0) - time.Second)
	w.want("too early", len(w.ask("2.25.2")), 0)
	w.now = w.now.Add(time.Second)
	w.want("asked again", len(w.ask("2.25.3")), 2)
	w.report(Report{Transaction: "2.25.3", Failed: []Failure{{ref(1), 0x0112}}})
	w.want("the late report", w.report(Report{Transaction: "2.25.1", Committed: []Reference{ref(1), ref(2)}}), Settled{Committed: 1, Strange: 1})
	w.want("archived", w.stats().Archived, 1)
}

func TestOnlyTheLastTransactionsOfAJobAreKept(t *testing.T) {
	w := start(t, Config{Destinations: committing})
	w.storeAll(object("A", 1, "x"))
	for n := range 10 {
		w.ask(fmt.Sprintf("2.25.%d", n))
		w.now = w.now.Add(every(0))
	}
	w.want("rows", w.count(`SELECT count(*) FROM asked`), maxAsked)
	w.now = w.now.Add(keptTransactions + time.Hour)
	w.ask("2.25.99")
	w.want("transactions", w.count(`SELECT count(*) FROM transactions`), maxAsked+1) // forgotten before the new one is asked
}

func (w *world) count(query string) (n int) {
	w.Helper()
	w.must(w.read.QueryRowContext(w.ctx, query).Scan(&n))
	return n
}

func TestARequestThatWasNotTakenIsMadeLater(t *testing.T) {
	w := start(t, Config{Destinations: committing})
	w.storeAll(object("A", 1, "x"))
	w.ask("2.25.1")
	w.must(w.NotAsked(w.ctx, "2.25.1", time.Minute, false))
	w.want("at once", len(w.ask("2.25.2")), 0)
	w.now = w.now.Add(time.Minute)
	w.want("later", len(w.ask("2.25.3")), 1)
	w.must(w.NotAsked(w.ctx, "2.25.3", time.Minute, true))
	_, err := w.Reported(w.ctx, []string{"vna"}, Report{Transaction: "2.25.3"}, every)
	w.want("refused", errors.Is(err, ErrUnknownTransaction), true)
	w.want("the answer to the first was lost, its report counts", w.report(Report{Transaction: "2.25.1", Committed: []Reference{ref(1)}}), Settled{Committed: 1})
}

// P5: with other contents under the UID, whichever came first and whenever they
// came, a commitment confirms neither; an administrator who has compared does.
func TestACommitmentNeverConfirmsAUIDWithOtherContents(t *testing.T) {
	for name, late := range map[string]bool{"before it is asked for": false, "while it is asked for": true} {
		t.Run(name, func(t *testing.T) {
			w := start(t, Config{Destinations: committing})
			a, b := object("A", 1, "x"), object("B", 1, "y")
			w.storeAll(a)
			if late {
				w.want("asked for", len(w.ask("2.25.1")), 1)
			}
			w.receive(b)
			if late {
				w.want("settled", w.report(Report{Transaction: "2.25.1", Committed: []Reference{ref(1)}}), Settled{Unconfirmed: 1})
			}
			w.want("asked for", len(w.ask("2.25.2")), 0)
			w.must(w.Release(w.ctx, b.ID, "admin"))
			w.must(w.Stored(w.ctx, w.one("vna"), ""))
			w.want("asked for", len(w.ask("2.25.3")), 0)
			w.want("archived", w.stats().Archived, 0)
			w.want("unconfirmed", w.backlog("vna").Unconfirmed, 2)
			for _, device := range []string{"A", "B"} {
				troubles, err := w.Troubles(w.ctx, device, 0, 9)
				w.must(err)
				told := false
				for _, x := range troubles {
					told = told || x.Words == unconfirmedWords && !x.Permanent && x.Destination == "" // shown as held
				}
				w.want(device+" was told", told, true)
			}
			w.must(w.Confirm(w.ctx, b.ID, "admin"))
			w.want("confirmed", w.confirmed("B"), []hub.ID{b.ID})
			w.want("the other", len(w.confirmed("A")), 0)
			w.want("twice", w.Confirm(w.ctx, b.ID, "admin") == nil, false)
			w.want("audit", w.count(`SELECT count(*) FROM audit WHERE action = 'confirm' AND actor = 'admin'`), 1)
		})
	}
}

// Who configures deliver has said that the archive is known: it has answered
// Success to each of the two, and has committed itself to their UID.
func TestWithDeliverACommitmentCountsForBoth(t *testing.T) {
	w := start(t, Config{Destinations: committing, Deliver: true})
	w.storeAll(object("A", 1, "x"), object("A", 1, "y"))
	w.want("one name", w.ask("2.25.1"), []Reference{ref(1)})
	w.want("settled", w.report(Report{Transaction: "2.25.1", Committed: []Reference{ref(1)}}), Settled{Committed: 2})
	w.want("archived", w.stats().Archived, 2)
}

// What waits for a commitment follows the configuration.
func TestAChangeOfConfirmIsFollowed(t *testing.T) {
	w := start(t, Config{Destinations: committing})
	a, b := object("A", 1, "x"), object("A", 1, "y")
	w.storeAll(a, object("A", 2, "x"))
	w.ask("2.25.1")
	w.receive(b)
	w.report(Report{Transaction: "2.25.1", Committed: []Reference{ref(1)}})
	w.want("waiting", fmt.Sprint(w.backlog("vna").Uncommitted, w.backlog("vna").Unconfirmed), "1 1")
	anew := func(confirm string, deliver bool) *world {
		return w.reopened(func(c *Config) {
			c.Destinations, c.Deliver = []Destination{{Name: "vna", Required: true, Confirm: confirm}}, deliver
		})
	}
	w = anew("commitment", true)
	w.want("deliver: asked for again", w.ask("2.25.2"), []Reference{ref(1)})
	w = anew("success", false)
	w.want("success: archived", w.stats().Archived, 2)
}

func TestAnotherKindOfDestinationIsDeliveredToAnew(t *testing.T) {
	w := start(t, Config{Destinations: committing})
	w.storeAll(object("A", 1, "x"))
	w.ask("2.25.1")
	w = w.reopened(func(c *Config) {
		c.Destinations = []Destination{{Name: "vna", Required: true, Confirm: "dir"}}
	})
	w.want("archived", w.stats().Archived, 0)
	w.want("jobs", len(w.lease("vna", 9)), 1)
}

func TestDueSaysWhatATransactionWouldAskFor(t *testing.T) {
	w := start(t, Config{Destinations: committing})
	due := func() Due {
		d, err := w.Due(w.ctx, "vna", 2)
		w.must(err)
		return d
	}
	w.want("nothing", due(), Due{Paused: true})
	w.storeAll(object("A", 1, "x"), object("A", 2, "x"), object("A", 3, "x"))
	w.now = w.now.Add(time.Minute)
	w.want("all stored", due(), Due{Objects: 2, Waited: time.Minute, Paused: true})
	w.receive(object("A", 4, "x"))
	w.want("one on its way", due().Paused, false)
	w.one("vna")
	w.want("one leased", due().Paused, false)
	w.ask("2.25.1")
	w.want("all asked for", due().Objects, 0)
}

// A clock that was years ahead and is set back makes nothing wait for years: what was
// stored, or asked for, by it is due, and counts as waiting from now on.
func TestAClockThatIsSetBackLetsNothingWait(t *testing.T) {
	w := start(t, Config{Destinations: committing})
	right := w.now
	w.now = right.AddDate(3, 0, 0)
	w.storeAll(object("A", 0, "x"))
	w.ask("2.25.1")
	w.storeAll(object("A", 1, "x"))
	w.now = right
	due, err := w.Due(w.ctx, "vna", 500)
	w.must(err)
	if due.Objects != 2 {
		t.Errorf("%d objects are due, want 2", due.Objects)
	}
	w.now = right.Add(3 * time.Hour)
	if b := w.backlog("vna"); b.Waited != 3*time.Hour {
		t.Errorf("waited %s, want 3h", b.Waited)
	}
	if refs := w.ask("2.25.2"); len(refs) != 2 {
		t.Errorf("%d objects are asked for, want 2", len(refs))
	}
	w.now = w.now.Add(time.Minute)
	if due, err = w.Due(w.ctx, "vna", 500); err != nil || due.Objects != 0 {
		t.Errorf("%d objects are due a minute after they were asked for, %v", due.Objects, err)
	}
}

// The file stays while the archive may say that it does not have it.
func TestAFileStaysWhileItsCommitmentIsMissing(t *testing.T) {
	w := start(t, Config{Destinations: []Destination{{Name: "first", Required: true, Confirm: "success"}, {Name: "vna", Confirm: "commitment"}}})
	w.storeAll(object("A", 1, "x"))
	w.must(w.Done(w.ctx, w.one("first"), ""))
	w.want("archived", w.stats().Archived, 1)
	expired := func() int {
		ids, err := w.Expired(w.ctx, 0, 9)
		w.must(err)
		return len(ids)
	}
	w.want("expired before", expired(), 0)
	w.ask("2.25.1")
	w.report(Report{Transaction: "2.25.1", Committed: []Reference{ref(1)}})
	w.want("expired after", expired(), 1)
}

// A ledger of the version before has jobs in every state that it knew. They come
// through with all that was known of them, and their numbers are not used again.
func TestJobsOfTheVersionBeforeComeThroughTheMigration(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.db")
	db, err := sql.Open("sqlite", dsn(path, "immediate", ""))
	if err != nil {
		t.Fatal(err)
	}
	for _, statement := range append(migrations[:5:5], `
		INSERT INTO meta VALUES ('ledger_id', 'x'), ('generation', '3');
		INSERT INTO objects (id, transfer_syntax, sop_class, sop_instance, length, study, priority, flags, calling, device, received_at)
			VALUES (zeroblob(32), 't', 'c', 'i', 5, 's', 1, 0, '', 'A', 7);
		INSERT INTO jobs VALUES (10, 1, 'pending', 'pending', 1, 2, 3, 4, 5, 'w', 1, 0), (11, 1, 'leased', 'leased', 1, 2, 3, 4, 5, 'w', 0, 0),
			(12, 1, 'done', 'done', 1, 2, 3, 4, 5, 'w', 0, 0), (13, 1, 'permanent', 'permanent', 1, 2, 3, 4, 5, 'w', 0, 1), (14, 1, 'held', 'held', 1, 2, 3, 4, 5, 'w', 0, 0);
		PRAGMA user_version = 5`) {
		if _, err := db.Exec(statement); err != nil {
			t.Fatal(err)
		}
	}
	rows := func(l *sql.DB) string {
		r, err := l.QueryContext(context.Background(), `SELECT format('%d %d %s %s %d %d %d %d %d %s %d %d', seq, object, destination, state, priority, attempts, next_at, lease, lease_until, words, unanswered, lost) FROM jobs ORDER BY seq`)
		if err != nil {
			t.Fatal(err)
		}
		all, err := collect[string](r)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(all, "\n")
	}
	before := rows(db)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	l, err := Open(t.Context(), Config{Path: path, Destinations: committing})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if after := rows(l.read); after != before || strings.Count(before, "\n") != 4 {
		t.Errorf("got\n%s\nwant\n%s", after, before)
	}
	w := &world{T: t, Ledger: l, ctx: t.Context()}
	w.receive(object("A", 1, "x"))
	w.want("the next number", w.count(`SELECT max(seq) FROM jobs`), 15)
	w.want("foreign keys", w.count(`SELECT count(*) FROM pragma_foreign_key_check`), 0)
	w.want("indexes", w.count(`SELECT count(*) FROM pragma_index_list('jobs')`), 5)
	_, gen, err := l.Identity(t.Context())
	w.must(err)
	w.want("generation", gen, 3)
}

// On the word of a report no more are given up than the caller says, who knows what the
// archive has committed itself to; the others are asked for again, and what the report
// commits to counts whatever stands before it.
func TestNoMoreIsGivenUpThanAReportIsBelieved(t *testing.T) {
	w := start(t, Config{Destinations: []Destination{{Name: "vna", Required: true, Confirm: "commitment"}}})
	w.storeAll(object("a", 1, "x"), object("a", 2, "x"), object("a", 3, "x"), object("a", 4, "x"), object("a", 5, "x"))
	r := Report{Transaction: "2.25.1", Committed: []Reference{ref(5)}, GiveUp: func(destination string, committed int) int {
		w.want("asked of", destination, "vna")
		return 2 * committed
	}}
	for n := 1; n < 5; n++ {
		r.Failed = append(r.Failed, Failure{ref(n), 0x0122})
	}
	w.ask("2.25.1")
	w.want("settled", w.report(r), Settled{Committed: 1, Refused: 2, Doubted: 2})
	w.want("quarantined", w.backlog("vna").Quarantined, 2)
	w.now = w.now.Add(24 * time.Hour)
	w.want("asked again", len(w.ask("2.25.2")), 2)
	r.Transaction, r.Committed = "2.25.2", nil
	w.want("settled", w.report(r), Settled{Doubted: 2, Strange: 2})
}
