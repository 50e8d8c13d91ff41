package ledger

import (
	"errors"
	"fmt"
	"net/url"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"edged/hub"
)

// A change that cannot end in the time of a transaction fails alone: who shared that is
// done once more without it, and the database is not away.
func TestASlowChangeFailsNoNeighbour(t *testing.T) {
	w := start(t, Config{Database: ownServer(t).Database(t)})
	w.engine.(*postgres).longest = time.Second
	w.receive(object("d", 1, "x"), object("d", 2, "x"))
	tries := 0
	slow := &change{do: func(b *batch) error {
		tries++
		_, err := b.exec(`SELECT pg_sleep(3)`)
		return err
	}}
	quick := []*change{{objects: []hub.Object{object("d", 3, "x")}}, {settled: &settlement{"done", w.lease("vna", 1)[0], ""}}, {do: func(*batch) error { return nil }}}
	w.next = append([]*change{slow}, quick...)
	for _, c := range w.next {
		c.done = make(chan struct{})
	}
	w.commitQueued()
	for _, c := range quick {
		w.must(c.err)
	}
	if !errors.Is(slow.err, errSlow) || tries != 2 {
		t.Errorf("the slow one: %d tries, %v", tries, slow.err)
	}
	w.want("objects, archived", []int64{w.stats().Objects, w.stats().Archived}, []int64{3, 1})
	w.want("away", w.engine.away(), false)
	w.must(w.Ready(w.ctx))
}

// Another node walks over its rows and has the writers' lock: changes fail, and the
// database is not away.
func TestALongWriterElsewhereIsNoAbsence(t *testing.T) {
	url := ownServer(t).Database(t)
	w := start(t, Config{Database: url + "&lock_timeout=200"})
	w.engine.(*postgres).patient = 300 * time.Millisecond
	c, err := pgx.Connect(w.ctx, url)
	w.must(err)
	defer c.Close(w.ctx)
	_, err = c.Exec(w.ctx, fmt.Sprintf(`BEGIN; SELECT pg_advisory_xact_lock(%d)`, writersLock))
	w.must(err)
	if err := w.Receive(w.ctx, []hub.Object{object("d", 1, "x")}); err == nil {
		t.Error("received without the lock")
	}
	w.want("away", w.engine.away(), false)
	w.must(w.Ready(w.ctx))
	_, err = c.Exec(w.ctx, `ROLLBACK`)
	w.must(err)
	w.receive(object("d", 1, "x"))
}

// A failover to a standby that lags, under a node that runs on: rows whose receipts went
// out are gone. The generation rises before anything else is received, once, and the
// trail says why; no reader asks the old primary any more.
func TestAFailoverThatLosesReceiptsIsSeen(t *testing.T) {
	s := ownServer(t)
	there := s.Database(t)
	u, err := url.Parse(there)
	if err != nil {
		t.Fatal(err)
	}
	name := u.Path[1:]
	w := start(t, Config{Database: there})
	admin := func(statements ...string) {
		t.Helper()
		w.must(s.Exec(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '` + name + `'`))
		for _, q := range statements {
			w.must(s.Exec(q))
		}
	}
	generation := func() uint64 {
		t.Helper()
		_, n, err := w.Identity(w.ctx)
		for range 9 { // connections of the pool that were cut
			if err != nil {
				_, n, err = w.Identity(w.ctx)
			}
		}
		w.must(err)
		return n
	}
	w.receive(object("d", 1, "x"))
	admin(`CREATE DATABASE lags TEMPLATE ` + name)
	w.receive(object("d", 2, "y")) // its receipt goes out
	before := generation()
	admin(`ALTER DATABASE `+name+` RENAME TO was`, `ALTER DATABASE lags RENAME TO `+name)
	if w.lagging() {
		t.Error("seen too early")
	}
	w.receive(object("d", 3, "z"))
	w.want("generation", generation(), before+1)
	w.receive(object("d", 4, "z"))
	w.want("generation, seen once", generation(), before+1)
	w.want("in the trail", w.count(`SELECT count(*) FROM audit WHERE action = 'rows lost'`), 1)
	_, err = w.VerifyAudit(w.ctx)
	w.must(err)
	known, err := w.Known(w.ctx, "d", ids(object("d", 2, "y")))
	w.must(err)
	w.want("receipts of what is lost", len(known), 0)
}

func (w *world) lagging() bool { return w.engine.(*postgres).epoch.Load() > 0 }

// Connections of an earlier epoch may lead to the old primary, which answers on.
func TestNoReaderAsksAnOldPrimary(t *testing.T) {
	w := start(t, Config{Database: ownServer(t).Database(t)})
	session := func() (pid int) {
		t.Helper()
		w.must(w.read.QueryRowContext(w.ctx, `SELECT pg_backend_pid()`).Scan(&pid))
		return pid
	}
	first := session()
	w.want("the same connection", session(), first)
	w.engine.(*postgres).epoch.Add(1)
	if session() == first {
		t.Error("the old connection is used on")
	}
}

// synchronous_commit is on and the one synchronous standby is away: COMMIT waits, and
// whatever ends that wait PostgreSQL commits here alone. A failover would not have it, so
// it is no receipt until the standby has it.
func TestWhatNoStandbyHasIsNotDurable(t *testing.T) {
	s := ownServer(t)
	w := start(t, Config{Database: s.Database(t)})
	e := w.engine.(*postgres)
	e.patient, e.longest, e.lockWait = 300*time.Millisecond, 2*time.Second, 500*time.Millisecond
	w.receive(object("d", 1, "x"))
	w.must(s.Exec(`ALTER SYSTEM SET synchronous_standby_names = 'standby'`))
	w.must(s.Exec(`SELECT pg_reload_conf()`))
	for waiting := ""; waiting != "standby"; {
		w.must(w.read.QueryRowContext(w.ctx, `SELECT current_setting('synchronous_standby_names')`).Scan(&waiting))
	}
	if err := w.Receive(w.ctx, []hub.Object{object("d", 2, "y")}); !errors.Is(err, errUnknown) {
		t.Errorf("the time of the transaction ends the wait: %v", err)
	}
	cancelled := make(chan error, 1)
	e.longest = 30 * time.Second
	go func() { cancelled <- w.Receive(w.ctx, []hub.Object{object("d", 3, "z")}) }()
	for n := 0; n == 0; {
		w.must(w.read.QueryRowContext(w.ctx, `SELECT count(*) FROM (SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND query NOT LIKE '%UPDATE writers%') AS c`).Scan(&n))
		time.Sleep(20 * time.Millisecond)
	}
	if err := <-cancelled; !errors.Is(err, errUnknown) {
		t.Errorf("somebody cancels the wait: %v", err)
	}
	w.want("away", e.away(), true)
	w.must(s.Exec(`ALTER SYSTEM RESET synchronous_standby_names`))
	w.must(s.Exec(`SELECT pg_reload_conf()`))
	w.receive(object("d", 2, "y"), object("d", 3, "z"))
	w.want("objects", w.stats().Objects, 3)
	w.want("away", e.away(), false)
}
