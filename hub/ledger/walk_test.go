package ledger

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"edged/hub"
)

// begins is node with other destinations that ends where the destinations have changed
// and no object has its jobs yet, as one that is killed there.
func (w *world) begins(name string, list ...Destination) *world {
	w.Helper()
	n := &world{T: w.T, ctx: w.ctx}
	c := w.config
	c.Node, c.Destinations, c.Now = name, list, func() time.Time { return w.now }
	l, err := Open(w.ctx, c)
	w.must(err)
	w.Cleanup(func() { l.Close() })
	n.Ledger = l
	w.must(l.begin(w.ctx))
	return n
}

func many(device string, from, to int) (list []hub.Object) {
	for n := from; n < to; n++ {
		list = append(list, object(device, n, "x"))
	}
	return list
}

// walkAll walks to the end.
func (w *world) walkAll() (pages int) {
	w.Helper()
	for more := true; more; pages++ {
		var err error
		more, err = w.Walk(w.ctx)
		w.must(err)
		if pages > 1000 {
			w.Fatal("it does not end")
		}
	}
	return pages
}

var vnaAndSecond = []Destination{{Name: "vna", Required: true}, {Name: "second", Required: true}}

// Objects get their jobs for a new destination page by page: between two everybody
// writes, and no transaction is about more than one.
func TestAChangeOfDestinationsIsBroughtToObjectsPageByPage(t *testing.T) {
	w := start(t, Config{Node: "a"})
	w.receive(many("d", 0, 2*walkPage+500)...)
	n := w.begins("b", vnaAndSecond...)
	most := 0
	for pages, before := 1, 0; ; pages++ {
		more, err := n.Walk(n.ctx)
		n.must(err)
		now := n.count(`SELECT count(*) FROM jobs WHERE destination = 'second'`)
		most, before = max(most, now-before), now
		n.receive(object("e", 10_000+pages, "between")) // has a job at once
		before++
		if !more {
			break
		}
	}
	if most == 0 || most > walkPage {
		t.Errorf("%d objects in a transaction", most)
	}
	w.want("objects without a job for the second", n.count(`SELECT count(*) FROM objects o WHERE NOT EXISTS (SELECT 1 FROM jobs j WHERE j.object = o.seq AND j.destination = 'second')`), 0)
	w.want("rows about it that are left", n.count(`SELECT count(*) FROM meta WHERE key LIKE 'walk%'`), 0)
}

// A node dies when the destinations have changed and few objects have their jobs for the
// new one. What is delivered meanwhile is archived nowhere without it; another node goes
// on with the walk, and repeats nothing.
func TestAWalkThatWasCutIsGoneOnWith(t *testing.T) {
	w := start(t, Config{Node: "a"})
	w.receive(many("d", 0, 2*walkPage+10)...)
	dead := w.begins("b", vnaAndSecond...)
	for range 2 { // jobs, and a page
		_, err := dead.Walk(w.ctx)
		w.must(err)
	}
	w.want("objects with a job for it", dead.count(`SELECT count(*) FROM jobs WHERE destination = 'second'`), walkPage)
	w.must(dead.Close())

	w.now = w.now.Add(time.Minute)
	c := w.begins("c", vnaAndSecond...) // was started with the same, and has not walked
	deliver := func(destination string) {
		t.Helper()
		for {
			jobs := c.lease(destination, 500)
			var all sync.WaitGroup
			for _, j := range jobs {
				all.Go(func() {
					if err := c.Done(c.ctx, j, ""); err != nil {
						t.Error(err)
					}
				})
			}
			all.Wait()
			if len(jobs) == 0 {
				return
			}
		}
	}
	deliver("vna")
	w.want("archived before the walk went on", c.stats().Archived, 0)
	c.walkAll()
	w.want("archived before the second has any", c.stats().Archived, 0)
	deliver("second")
	w.want("archived", c.stats().Archived, 2*walkPage+10)
	w.want("confirmed", c.count(`SELECT count(*) FROM confirmations`), 2*walkPage+10)
}

// What only a destination that is gone held up is archived by the walk, also when the
// last job was done before the walk came by.
func TestAWalkArchivesWhatOnlyAGoneDestinationHeldUp(t *testing.T) {
	w := start(t, Config{Node: "a", Destinations: vnaAndSecond})
	w.receive(object("d", 1, "x"), object("d", 2, "x"))
	jobs := w.lease("vna", 2)
	w.must(w.Done(w.ctx, jobs[0], ""))
	w.must(w.Leave(w.ctx))
	n := w.begins("a", Destination{Name: "vna", Required: true})
	n.must(n.Done(n.ctx, jobs[1], ""))
	w.want("archived before the walk", n.stats().Archived, 0)
	n.walkAll()
	w.want("archived", n.stats().Archived, 2)
}

// Two nodes with the same configuration walk at the same time; a third one with another
// begins a walk of its own, and theirs ends.
func TestWalksOfSeveralNodes(t *testing.T) {
	w := start(t, Config{Node: "a"})
	w.receive(many("d", 0, 3*walkPage)...)
	b, c := w.begins("b", vnaAndSecond...), w.begins("c", vnaAndSecond...)
	for i := range 5 {
		_, err := []*world{b, c}[i%2].Walk(w.ctx)
		w.must(err)
	}
	w.want("jobs for the second", b.count(`SELECT count(*) FROM jobs WHERE destination = 'second'`), 3*walkPage)
	third := Destination{Name: "third", Required: true}
	d := w.begins("d", Destination{Name: "vna", Required: true}, third)
	if overPostgres() {
		more, err := b.Walk(w.ctx)
		w.want("goes on with a walk that is another's", fmt.Sprint(more, err), "false <nil>")
		w.want("receives", errors.Is(b.Receive(w.ctx, many("d", 9000, 9001)), ErrDestinations), true)
	}
	d.walkAll()
	w.want("jobs for the third", d.count(`SELECT count(*) FROM jobs WHERE destination = 'third'`), 3*walkPage)
}

// Whoever runs goes on with a walk that its node has left, without a start.
func TestARunningNodeFollowsAWalk(t *testing.T) {
	w := start(t, Config{Node: "a"})
	w.receive(object("d", 1, "x"))
	n := w.begins("b", vnaAndSecond...)
	ctx, cancel := context.WithCancel(w.ctx)
	ended := make(chan error, 1)
	go func() { ended <- n.Follow(ctx) }()
	for deadline := time.Now().Add(time.Minute); n.count(`SELECT count(*) FROM jobs WHERE destination = 'second'`) == 0 && time.Now().Before(deadline); {
		time.Sleep(5 * time.Millisecond)
	}
	cancel()
	w.must(<-ended)
	w.want("jobs", n.count(`SELECT count(*) FROM jobs WHERE destination = 'second'`), 1)
}

// A destination that is for some objects no more loses its jobs for archived ones too, and
// of what has come from two appliances none.
func TestAWalkTakesAwayJobsOfArchivedObjects(t *testing.T) {
	w := start(t, Config{Node: "a", Destinations: []Destination{{Name: "vna", Required: true}, {Name: "copy"}}})
	ct, mr := object("d", 1, "x"), object("d", 2, "x")
	ct.Modality, mr.Modality = "CT", "MR"
	w.receive(ct, mr)
	for _, j := range w.lease("vna", 2) {
		w.must(w.Done(w.ctx, j, ""))
	}
	w.want("archived", w.stats().Archived, 2)
	c := w.config
	c.Routes = map[string]Route{"copy": {Modalities: []string{"MR"}}}
	again := start(t, c)
	jobs := again.lease("copy", 9)
	w.want("jobs", len(jobs), 1)
	w.want("about", jobs[0].Object.ID == mr.ID, true)
	w.want("rows in the trail", len(again.trail("copy")), 2) // the change, and what went
}

// fillWithJobs puts n archived objects, each with a job that waits for a destination.
func (w *world) fillWithJobs(n int, destination string) {
	w.Helper()
	numbers := fmt.Sprintf(`(WITH RECURSIVE k(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM k WHERE i < %d) SELECT i FROM k) AS k`, n)
	id := `CAST(CAST(i AS TEXT) AS BLOB)`
	if overPostgres() {
		id = `decode(lpad(CAST(i AS TEXT), 8, '0'), 'hex')`
	}
	for _, q := range []string{
		`INSERT INTO objects (id, transfer_syntax, sop_class, sop_instance, length, study, priority, flags, calling, device, modality, received_at, archived_at)
			SELECT ` + id + `, '1.2.840.10008.1.2.1', '1.2', '1.2.3.' || i, 5, '1.2.9', 1, 0, 'CT1', 'd', 'CT', 1, 2 FROM ` + numbers,
		`INSERT INTO receipts (device, id, length, at) SELECT 'd', id, length, 1 FROM objects`,
		`INSERT INTO jobs (object, destination, state, priority) SELECT seq, '` + destination + `', 'pending', 1 FROM objects ORDER BY seq`,
	} {
		w.rows(q)
	}
}

// rows changes them without a method.
func (w *world) rows(query string) {
	w.Helper()
	w.must(w.change(w.ctx, func(b *batch) error {
		_, err := b.exec(query)
		return err
	}))
}

// walkIs is what a walk says of itself in meta.
func (w *world) walkIs(key string) (n int) {
	w.Helper()
	w.must(w.read.QueryRowContext(w.ctx, `SELECT CAST(value AS BIGINT) FROM meta WHERE key = ?`, key).Scan(&n))
	return n
}

// However many jobs a destination has not got, no statement is about more than a range of
// them: a walk that is cut, by a database's patience too, goes on where it was.
func TestJobsThatAreAstrayAreFoundRangeByRange(t *testing.T) {
	two := []Destination{{Name: "vna", Required: true}, {Name: "research"}}
	w := start(t, Config{Node: "a", Destinations: two})
	const all = walkRange + 500
	w.fillWithJobs(all, "research")
	w.rows(fmt.Sprintf(`UPDATE objects SET modality = 'MR' WHERE seq IN (%d, %d)`, 3, all-3))
	w.config.Routes = map[string]Route{"research": {Modalities: []string{"CT"}}}

	dead := w.begins("b", two...)
	_, err := dead.Walk(w.ctx)
	w.must(err)
	w.want("place after a range", dead.walkIs(walkAt), jobsFirst-walkRange)
	w.want("jobs that went", all-dead.count(`SELECT count(*) FROM jobs WHERE destination = 'research'`), 1)
	w.want("objects that a walk has passed", dead.count(`SELECT count(*) FROM objects o WHERE NOT `+unwalked), 0)
	w.must(dead.Close())

	w.now = w.now.Add(time.Minute)
	c := w.begins("c", two...)
	_, err = c.Walk(w.ctx)
	w.must(err)
	w.want("place after the rest", c.walkIs(walkAt), jobsFirst-all)
	w.want("jobs that went", all-c.count(`SELECT count(*) FROM jobs WHERE destination = 'research'`), 2)
	c.walkAll()
	w.want("rows about it that are left", c.count(`SELECT count(*) FROM meta WHERE key LIKE 'walk%'`), 0)
}

// A walk that cannot go on keeps no hub from its start: who runs tries again, and says for
// how long nothing has moved.
func TestAWalkThatFailsIsNoReasonNotToStart(t *testing.T) {
	w := start(t, Config{Node: "a"})
	w.receive(object("d", 1, "x"))
	c := w.config
	c.Node, c.Destinations, c.Now = "b", vnaAndSecond, func() time.Time { return w.now }
	c.Routes = map[string]Route{"second": {Modalities: []string{"CT"}}}
	l, err := Open(w.ctx, c)
	w.must(err)
	t.Cleanup(func() { l.Close() })
	n := &world{T: t, ctx: w.ctx, Ledger: l}

	w.rows(`ALTER TABLE receipts RENAME TO elsewhere`) // what a page asks for cannot be answered
	if err := n.Start(w.ctx); err != nil {
		t.Errorf("it does not start: %v", err)
	}
	_, err = n.Walk(w.ctx)
	w.want("a page fails", err != nil, true)
	if !overPostgres() { // which has its own clock
		w.now = w.now.Add(7 * time.Minute)
		w.want("nothing has moved for", n.stats().Stands, 7*time.Minute)
	}
	n.rows(`ALTER TABLE elsewhere RENAME TO receipts`)
	n.walkAll()
	w.want("nothing has moved for", n.stats().Stands, time.Duration(0))
	w.want("rows about it that are left", n.count(`SELECT count(*) FROM meta WHERE key LIKE 'walk%'`), 0)
}

// Destinations change, and change back. A page that was read before ends no walk that came
// after: what was received with the other ones is still to get its jobs.
func TestAPageOfAnOlderWalkEndsNoNewerOne(t *testing.T) {
	w := start(t, Config{Node: "a"})
	w.receive(many("d", 0, walkPage+500)...)
	walked := func(name string, list ...Destination) *world {
		n := w.begins(name, list...)
		for range 2 { // jobs, and a page
			_, err := n.Walk(n.ctx)
			n.must(err)
		}
		return n
	}
	b := walked("b", vnaAndSecond...)
	old, there, err := b.walkThere(b.ctx)
	w.must(err)
	w.want("walks", there, true)
	c := w.begins("c", Destination{Name: "vna", Required: true}, Destination{Name: "third", Required: true})
	c.receive(many("d", 5000, 5010)...)
	d := walked("d", vnaAndSecond...)

	w.must(b.walkObjects(b.ctx, old))
	w.want("the end of the walk", d.walkIs(walkEnd), walkPage+510)
	d.walkAll()
	w.want("objects without a job for the second", d.count(`SELECT count(*) FROM objects o WHERE NOT EXISTS (SELECT 1 FROM jobs j WHERE j.object = o.seq AND j.destination = 'second')`), 0)
}
