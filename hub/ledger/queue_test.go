package ledger

import (
	"strings"
	"testing"
	"time"

	"edged/hub"
)

// of receives n objects of a class of priority, with numbers from on.
func (w *world) of(priority uint8, from, n int) {
	w.Helper()
	var list []hub.Object
	for i := from; i < from+n; i++ {
		o := object("d", i, "x")
		o.Priority = priority
		list = append(list, o)
	}
	w.receive(list...)
}

// until leases 16 at a time and sends them back, due again at once, until one
// that is found is lent; it returns how many leases that took.
func (w *world) until(most int, found func(Job) bool) int {
	w.Helper()
	for n := 1; n <= most; n++ {
		jobs := w.lease("vna", 16)
		for _, j := range jobs {
			if found(j) {
				return n
			}
			w.must(w.Later(w.ctx, j, 0, true, "refused"))
		}
		w.now = w.now.Add(time.Millisecond)
	}
	w.Fatalf("not lent within %d leases", most)
	return 0
}

// P6: however soon those before it come due again, what was not tried yet has its turn.
func TestALongRowThatIsDueAgainAtOnceLetsPassWhatStandsBehind(t *testing.T) {
	w := start(t, Config{})
	w.of(1, 0, 200)
	w.of(1, 200, 1)
	if n := w.until(20, func(j Job) bool { return j.Seq == 201 }); n < 200/16 {
		t.Errorf("after %d leases: not by sequence", n)
	}
}

// The other way round: work without end lets pass what is tried again, and a long row of
// urgent ones that are tried again lets pass routine ones that are, in time.
func TestWorkWithoutEndLetsPassWhatIsTriedAgain(t *testing.T) {
	w := start(t, Config{})
	w.of(2, 0, 1)
	w.must(w.Later(w.ctx, w.one("vna"), time.Second, true, "busy"))
	w.now = w.now.Add(time.Second)
	w.of(0, 1, 100)
	jobs := w.lease("vna", 16)
	w.want("lent", len(jobs), 16)
	w.want("it is among them, as the last", jobs[15].Seq, 1)
	w.want("an urgent one before it", jobs[0].Seq, 2)

	w = start(t, Config{})
	w.of(1, 0, 1)
	w.must(w.Later(w.ctx, w.one("vna"), time.Second, true, "busy"))
	w.of(0, 1, 200)
	for range 200 / 16 {
		for _, j := range w.lease("vna", 16) {
			w.must(w.Later(w.ctx, j, 0, true, "refused"))
		}
	}
	w.now = w.now.Add(time.Second)
	w.until(100, func(j Job) bool { w.now = w.now.Add(time.Second); return j.Seq == 1 })
}

// Urgent before routine before backfill, each by sequence, of what was not tried yet; what
// is given back untried keeps its place.
func TestWhatIsGivenBackUntriedKeepsItsPlace(t *testing.T) {
	w := start(t, Config{})
	w.of(2, 0, 2)
	w.of(1, 2, 20)
	w.of(0, 22, 2)
	var seqs []int64
	for range 3 {
		jobs := w.lease("vna", 5)
		seqs = nil
		for _, j := range jobs {
			seqs = append(seqs, j.Seq)
			w.must(w.Later(w.ctx, j, 0, false, ""))
		}
	}
	w.want("lent", seqs, []int64{23, 24, 3, 4, 5})
	w.lease("vna", 22)
	w.want("the last", []int64{w.lease("vna", 2)[0].Seq}, []int64{1})
}

// A lease looks at what it lends and at little more, however much waits.
func TestALeaseLooksAtNoMoreThanItNeeds(t *testing.T) {
	onlySQLite(t)
	w := start(t, Config{})
	plan := w.plan(placesQuery(16, "?3"), "vna", 5, 6)
	if n := strings.Count(plan, "jobs_queue (destination=? AND state=? AND priority=? AND next_at"); n != 9 || strings.Contains(plan, "TEMP B-TREE") {
		t.Errorf("%d: %s", n, plan)
	}
}
