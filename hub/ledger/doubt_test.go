package ledger

import (
	"testing"
	"time"
)

// unheard is an engine of which the answer to some commits is not heard, whether they
// were made or not.
type unheard struct {
	engine
	left int
	made bool
}

func (u *unheard) commit(b *batch) error {
	defer func(l *Ledger) { l.engine = u }(b.Ledger)
	b.Ledger.engine = u.engine // PostgreSQL's looks for itself there
	if u.left == 0 {
		return u.engine.commit(b)
	}
	u.left--
	if u.made {
		if err := u.engine.commit(b); err != nil {
			return err
		}
	}
	return errUnknown
}

// A database that goes away for long while jobs are leased may have leased them for
// nobody. They do not wait for the end of that lease (1 h): who leases next frees them.
func TestALeaseThatNobodyHeardOfKeepsNoJob(t *testing.T) {
	for _, made := range []bool{true, false} {
		w := start(t, Config{})
		w.receive(object("one", 1, "a"), object("one", 2, "b"))
		u := &unheard{engine: w.engine, left: 2, made: made}
		w.engine = u
		for n := range 2 { // what was leased cannot be freed the first time
			if jobs, err := w.Lease(w.ctx, "vna", 10, time.Hour); err == nil || len(jobs) > 0 {
				t.Errorf("made %v, time %d: %d jobs, %v", made, n, len(jobs), err)
			}
			w.now = w.now.Add(time.Second)
		}
		jobs := w.lease("vna", 10)
		if len(jobs) != 2 {
			t.Fatalf("made %v: %d jobs, want 2", made, len(jobs))
		}
		for _, j := range jobs {
			w.must(w.Later(w.ctx, j, 0, false, ""))
		}
	}
}

// What another one has leased meanwhile stays that one's.
func TestALeaseThatNobodyHeardOfTakesNoneFromAnother(t *testing.T) {
	a := start(t, Config{Node: "a"})
	a.receive(object("one", 1, "a"))
	b := a.node("b")
	a.engine = &unheard{engine: a.engine, left: 1}
	if _, err := a.Lease(a.ctx, "vna", 10, time.Hour); err == nil {
		t.Fatal("it was heard")
	}
	j := b.one("vna")
	if jobs := a.lease("vna", 10); len(jobs) != 0 {
		t.Errorf("%d jobs are leased twice", len(jobs))
	}
	b.must(b.Later(b.ctx, j, 0, false, ""))
}

// The same of the delivery of an event, which would wait for a quarter of an hour.
func TestALeaseThatNobodyHeardOfKeepsNoDelivery(t *testing.T) {
	for _, made := range []bool{true, false} {
		w := start(t, Config{})
		w.receive(object("one", 1, "a"))
		w.say("one", "1.2.3", 1, 1)
		w.archiveAll()
		w.makeAll(toldRules)
		w.engine = &unheard{engine: w.engine, left: 2, made: made}
		for n := range 2 { // what was leased cannot be freed the first time
			if d, err := w.LeaseDelivery(w.ctx, "index", 15*time.Minute); err == nil || d != nil {
				t.Errorf("made %v, time %d: %+v, %v", made, n, d, err)
			}
			w.now = w.now.Add(time.Second)
		}
		d, err := w.LeaseDelivery(w.ctx, "index", 15*time.Minute)
		w.must(err)
		if d == nil {
			t.Fatalf("made %v: nothing to deliver", made)
		}
		w.must(w.Delivered(w.ctx, *d))
	}
}
