package ledger

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"edged/hub"
)

// node opens the ledger of w once more, as another node does.
func (w *world) node(name string) *world {
	w.Helper()
	n := &world{T: w.T, ctx: w.ctx}
	c := w.config
	c.Node, c.Now = name, func() time.Time { return w.now }
	l, err := Open(w.ctx, c)
	w.must(err)
	w.Cleanup(func() { l.Close() })
	n.Ledger = l
	w.must(l.Start(w.ctx))
	return n
}

// P4: the same object at two nodes at the same time is one object with one job, and two
// receipts. P5: of different contents under one UID exactly one is not held.
func TestTwoNodesThatReceiveTheSameAtOnce(t *testing.T) {
	w := start(t, Config{})
	nodes := []*world{w.node("a"), w.node("b")}
	const rounds = 40
	for n := range rounds {
		var both sync.WaitGroup
		for i, node := range nodes {
			device := fmt.Sprintf("d%d", i)
			both.Go(func() {
				list := []hub.Object{object(device, 1000+n, "same"), object(device, 2000+n, device), object(device, 3000+n, "same"), object(device, 4000+n, device)}
				if i == 1 {
					slices.Reverse(list)
				}
				if err := node.Receive(w.ctx, list); err != nil {
					t.Error(err)
				}
			})
		}
		both.Wait()
	}
	s := w.stats()
	w.want("objects, receipts, held", fmt.Sprint(s.Objects, s.Receipts, s.Held), fmt.Sprint(6*rounds, 8*rounds, 2*rounds))
	w.want("jobs", w.count(`SELECT count(*) FROM jobs`), 6*rounds)
	w.want("UIDs of which both or none are held", w.count(`SELECT count(*) FROM (SELECT o.sop_instance FROM objects o JOIN jobs j ON j.object = o.seq
		GROUP BY o.sop_instance HAVING sum(CASE WHEN j.state = 'pending' THEN 1 ELSE 0 END) <> 1) AS u`), 0)
}

// Of nodes that lease at the same time no two get the same job, and none is left over.
func TestNodesThatLeaseAtOnceGetDifferentJobs(t *testing.T) {
	w := start(t, Config{})
	var list []hub.Object
	for n := range 200 {
		list = append(list, object("a", n, "x"))
	}
	w.receive(list...)
	var all sync.WaitGroup
	var mu sync.Mutex // guards seen
	seen := map[int64]int{}
	for _, name := range []string{"a", "b", "c"} {
		node := w.node(name)
		all.Go(func() {
			for {
				jobs, err := node.Lease(w.ctx, "vna", 7, time.Minute)
				if err != nil || len(jobs) == 0 {
					if err != nil {
						t.Error(err)
					}
					return
				}
				mu.Lock()
				for _, j := range jobs {
					seen[j.Seq]++
				}
				mu.Unlock()
			}
		})
	}
	all.Wait()
	w.want("jobs", len(seen), 200)
	for seq, n := range seen {
		if n != 1 {
			t.Errorf("job %d was leased %d times", seq, n)
		}
	}
}

// What a node that is seen no more has leased goes to another, long before the lease
// ends; what it says of it later counts only where it is a fact.
func TestTheJobsOfADeadNodeAreLentToAnother(t *testing.T) {
	w := start(t, Config{})
	a, b := w.node("a"), w.node("b")
	w.receive(object("d", 1, "x"), object("d", 2, "x"))
	old, err := a.Lease(w.ctx, "vna", 9, time.Hour)
	w.must(err)
	w.want("while it lives", len(b.lease("vna", 9)), 0)
	w.now = w.now.Add(29 * time.Second)
	w.must(a.Beat(w.ctx))
	w.now = w.now.Add(29 * time.Second)
	w.want("after a beat", len(b.lease("vna", 9)), 0)
	w.now = w.now.Add(time.Second)
	w.must(b.Beat(b.ctx))
	w.want("who could not beat itself takes nobody for dead", len(b.lease("vna", 9)), 0)
	for range 6 {
		w.now = w.now.Add(5 * time.Second)
		w.must(b.Beat(b.ctx))
	}
	jobs := b.lease("vna", 9)
	w.want("unseen for thirty seconds", len(jobs), 2)
	if err := a.Later(w.ctx, old[0], 0, true, ""); !errors.Is(err, ErrLeaseLost) {
		t.Errorf("a failure under the old lease: %v", err)
	}
	w.must(a.Done(w.ctx, old[0], "")) // the archive has it
	w.must(b.Done(w.ctx, jobs[0], ""))
	w.must(b.Done(w.ctx, jobs[1], ""))
	w.want("archived", w.stats().Archived, 2)
}

// A node that starts again frees what it had leased itself, and nobody else's.
func TestAStartFreesOnesOwnLeasesOnly(t *testing.T) {
	w := start(t, Config{})
	a, b := w.node("a"), w.node("b")
	w.receive(object("d", 1, "x"), object("d", 2, "x"))
	w.want("a has", len(a.lease("vna", 1)), 1)
	w.want("b has", len(b.lease("vna", 1)), 1)
	a = w.node("a")
	w.want("free", len(a.lease("vna", 9)), 1)
	w.must(b.Leave(w.ctx))
	w.want("free when it leaves", len(a.lease("vna", 9)), 1)
	nodes, err := w.Nodes(w.ctx)
	w.must(err)
	w.want("nodes", len(nodes), 1)
}

// A node that was cut off until its name was another's, and ends, gives back nothing that
// the other has leased under that name.
func TestWhoLeavesUnderALostNameFreesNothing(t *testing.T) {
	a := start(t, Config{Node: "a"})
	a.receive(object("d", 1, "x"))
	a.want("the first has", len(a.lease("vna", 1)), 1)
	a.now = a.now.Add(time.Minute)
	b, c := a.node("a"), a.node("c")
	b.want("the second has", len(b.lease("vna", 1)), 1)
	a.must(a.Leave(a.ctx))
	c.want("free when the first leaves", len(c.lease("vna", 1)), 0)
	b.must(b.Leave(b.ctx))
	c.want("free when the second leaves", len(c.lease("vna", 1)), 1)
}

func TestNodesAreSeenByTheirBeats(t *testing.T) {
	w := start(t, Config{Address: "hub-1:8443", Version: "1.2"})
	a := w.node("a")
	seen := func() Node {
		nodes, err := w.Nodes(w.ctx)
		w.must(err)
		if len(nodes) != 1 || nodes[0].ID != "a" || nodes[0].Address != "hub-1:8443" || nodes[0].Version != "1.2" {
			t.Fatalf("nodes %+v", nodes)
		}
		return nodes[0]
	}
	w.want("at once", seen().Alive, true)
	w.now = w.now.Add(time.Minute)
	w.want("after a minute", seen().Alive, false)
	w.must(a.Beat(w.ctx))
	w.want("after a beat", seen().Alive, true)
	w.want("started", w.now.Sub(seen().Started), time.Minute)
	w.must(w.Beat(w.ctx)) // without a name nothing
	w.want("nodes", seen().ID, "a")
}

// What one node writes wakes who waits at another, also after the connection that hears
// it was lost.
func TestNodesHearOfEachOther(t *testing.T) {
	if !overPostgres() {
		t.Skip("about PostgreSQL")
	}
	w := start(t, Config{})
	a, b := w.node("a"), w.node("b")
	ctx, cancel := context.WithCancel(w.ctx)
	ended := make(chan error, 1)
	go func() { ended <- b.Listen(ctx) }()
	hears := func(what string, n int) {
		w.Helper()
		jobs, outbox := b.JobsChanged(), b.Changed("d")
		for deadline := time.After(20 * time.Second); ; n++ {
			w.must(a.Receive(w.ctx, []hub.Object{object("d", n, "x")}))
			w.must(a.Done(w.ctx, a.lease("vna", 1)[0], ""))
			select {
			case <-outbox:
				<-jobs
				return
			case <-deadline:
				t.Fatalf("%s: nothing was heard", what)
			case <-time.After(50 * time.Millisecond): // it may not listen yet
			}
		}
	}
	hears("at first", 0)
	_, err := w.write.Exec(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'`)
	w.must(err)
	hears("after the connection was lost", 1000)
	cancel()
	w.must(<-ended)
}

func TestNewsForOthersAreBounded(t *testing.T) {
	keys := []string{"a", ""}
	if got := payload("w", keys); got != "w\na\n" {
		t.Errorf("got %q", got)
	}
	for n := range 1000 {
		keys = append(keys, fmt.Sprintf("appliance-%d", n))
	}
	if got := payload("w", keys); got != "w\n*" {
		t.Errorf("got %d bytes", len(got))
	}
}
