package ledger

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"edged/hub"
	"edged/internal/pglab"
)

// ownServer is a server that a test may kill. Such tests run once, not again over
// PostgreSQL, and beside each other.
func ownServer(t *testing.T) *pglab.Server {
	t.Helper()
	if overPostgres() {
		t.Skip("it has run already")
	}
	t.Parallel() // they wait more than they work
	return pglab.New(t)
}

// Wherever the connection is cut, before the server has a message or after it has
// answered it (the COMMIT among them: failed, and failed but happened), each change
// succeeds all the same and has happened once.
func TestALostConnectionLosesNothingAndDoesNothingTwice(t *testing.T) {
	c, through, direct := throughCutter(t, ownServer(t))
	w := &cutWorld{world: start(t, Config{Database: direct}), cut: start(t, Config{Database: through})}
	w.must(w.Audit(w.ctx, "a", "begin", "", ""))
	for what, try := range map[string]func(){"receive": w.receives, "later": w.later, "audit": w.audits, "claim a code": w.claims} {
		for _, after := range []bool{false, true} {
			cuts := 0
			for n := 1; ; n++ {
				w.arm = func() { c.arm(n, after) }
				try()
				if !c.done() {
					break
				}
				cuts++
			}
			if cuts < 3 {
				t.Errorf("%s: cut %d times only", what, cuts)
			}
		}
	}
	s := w.stats()
	w.want("counted and there", s.Objects, w.count(`SELECT count(*) FROM objects`))
	w.want("receipts counted and there", s.Receipts, w.count(`SELECT count(*) FROM receipts`))
	if _, err := w.VerifyAudit(w.ctx); err != nil {
		t.Error(err)
	}
}

// cutWorld looks directly at what was done through the cutter.
type cutWorld struct {
	*world
	cut *world
	arm func()
	n   int
}

func (w *cutWorld) next() int {
	w.n++
	return w.n
}

func (w *cutWorld) receives() {
	before := w.stats()
	list := []hub.Object{object("a", w.next(), "x"), object("a", w.next(), "x"), object("a", w.next(), "x"), object("a", w.next(), "x")}
	w.arm()
	w.cut.receive(list...)
	after := w.stats()
	w.want("received", fmt.Sprint(after.Objects-before.Objects, after.Receipts-before.Receipts), "4 4")
	for _, j := range w.lease("vna", 9) {
		w.must(w.Done(w.ctx, j, ""))
	}
}

func (w *cutWorld) later() {
	w.receive(object("a", w.next(), "x"))
	j := w.one("vna")
	w.arm()
	w.must(w.cut.Later(w.ctx, j, 0, true, "out of resources"))
	j = w.one("vna")
	w.want("attempts", j.Attempts, 1)
	w.must(w.Done(w.ctx, j, ""))
}

func (w *cutWorld) audits() {
	before := w.count(`SELECT count(*) FROM audit`)
	w.arm()
	w.must(w.cut.Audit(w.ctx, "a", "act", "", ""))
	w.want("rows of the trail", w.count(`SELECT count(*) FROM audit`), before+1)
}

func (w *cutWorld) claims() {
	n := w.next()
	hash, key := [32]byte{1, byte(n), byte(n >> 8)}, [32]byte{2, byte(n), byte(n >> 8)}
	w.must(w.AddCode(w.ctx, hash, "F", w.now.Add(time.Hour), "admin"))
	w.arm()
	d, err := w.cut.Claim(w.ctx, hash, key, fmt.Sprintf("d%d", n), "")
	w.must(err)
	w.want("device", d.ID, fmt.Sprintf("d%d", n))
}

// While the database is away changes fail after a bounded time, nothing ends, and when
// it is back all goes on. What was answered is there.
func TestADatabaseThatGoesAwayEndsNothing(t *testing.T) {
	s := ownServer(t)
	w := start(t, Config{Database: s.Database(t)})
	w.engine.(*postgres).patient = 300 * time.Millisecond
	w.receive(object("a", 1, "x"))
	s.Kill()
	began := time.Now()
	for n := range 3 {
		if err := w.Receive(w.ctx, []hub.Object{object("a", 2+n, "x")}); err == nil {
			t.Error("received without a database")
		}
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it took %v to say so", took)
	}
	if err := w.Ready(w.ctx); err == nil {
		t.Error("ready without a database")
	}
	if err := w.Err(); err != nil {
		t.Errorf("the ledger has failed: %v", err)
	}
	s.Restart(t)
	if err := w.Ready(w.ctx); err != nil {
		t.Error(err)
	}
	w.receive(object("a", 2, "x"))
	known, err := w.Known(w.ctx, "a", ids(object("a", 1, "x"), object("a", 2, "x")))
	w.must(err)
	w.want("known", len(known), 2)
}

// The server is killed again and again while eight appliances send: what was answered
// is there, each object once.
func TestAnsweredReceiptsSurviveAServerThatIsKilled(t *testing.T) {
	s := ownServer(t)
	w := start(t, Config{Database: s.Database(t)})
	ctx, stop := context.WithCancel(w.ctx)
	answered := make(chan []hub.ID, 8)
	var some atomic.Int64
	for d := range 8 {
		go func() { answered <- w.receiveUntil(ctx, fmt.Sprintf("d%d", d), &some) }()
	}
	more := func(n int64) { // lets some be answered
		for deadline := time.Now().Add(time.Minute); some.Load() < n && time.Now().Before(deadline); {
			time.Sleep(5 * time.Millisecond)
		}
	}
	for i := range int64(2) {
		more(25 * (i + 1))
		s.Restart(t)
	}
	more(75)
	stop()
	total := 0
	for range 8 {
		list := <-answered
		total += len(list)
		if len(list) == 0 {
			continue
		}
		var there int
		for _, id := range list {
			if w.read.QueryRowContext(w.ctx, `SELECT 1 FROM objects WHERE id = ?`, id[:]).Scan(new(int)) == nil {
				there++
			}
		}
		w.want("answered and there", there, len(list))
	}
	st := w.stats()
	w.want("counted and there", st.Objects, w.count(`SELECT count(*) FROM objects`))
	w.want("a job each", st.Objects, w.count(`SELECT count(*) FROM jobs`))
	if total < 75 {
		t.Errorf("only %d were answered: this proves little", total)
	}
	t.Logf("2 kills, %d answered, none lost", total)
}

// receiveUntil returns what was answered. A change that failed is tried again with the
// same object, as an appliance does.
func (w *world) receiveUntil(ctx context.Context, device string, some *atomic.Int64) (list []hub.ID) {
	for n := 0; ctx.Err() == nil; {
		o := object(device, n, device)
		if err := w.Receive(w.ctx, []hub.Object{o}); err == nil {
			list = append(list, o.ID)
			some.Add(1)
			n++
		}
	}
	return list
}

// A node that stops in the middle of a transaction, as one whose machine hangs, loses it
// to the others within the server's time, and does it again when it goes on.
func TestANodeThatHangsFreesTheWritersLock(t *testing.T) {
	if !overPostgres() {
		t.Skip("about PostgreSQL")
	}
	config := place(t, Config{})
	config.Database += "&idle_in_transaction_session_timeout=700"
	a, b := start(t, config), start(t, config)
	in, out := make(chan struct{}, 9), make(chan struct{})
	hung := make(chan error, 1)
	go func() {
		hung <- a.change(a.ctx, func(b *batch) error {
			if _, err := b.exec(`UPDATE counters SET n = n + 1 WHERE name = 'tests'`); err != nil {
				return err
			}
			in <- struct{}{}
			<-out
			return nil
		})
	}()
	<-in
	b.receive(object("a", 1, "x"))
	close(out)
	a.must(<-hung)
	a.want("done once", a.stats().Tests, 1)
}
