package ledger

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"edged/hub"
	"edged/hub/enrol"
	"edged/internal/dicom"
)

// world is one story's ledger, clock and shorthand.
type world struct {
	*testing.T
	*Ledger
	ctx context.Context
	now time.Time
}

// start opens a ledger: where config says, else over the engine of this run of the tests
// (see bothengines_test.go).
func start(t *testing.T, config Config) *world {
	t.Helper()
	w := &world{T: t, ctx: t.Context(), now: time.UnixMilli(1_790_000_000_000)}
	if config.Path == "" && config.Database == "" {
		config = fresh(t, config)
	}
	if config.Destinations == nil {
		config.Destinations = []Destination{{Name: "vna", Required: true}}
	}
	config.Now = func() time.Time { return w.now }
	l, err := Open(w.ctx, config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	w.Ledger = l
	w.must(l.Start(w.ctx))
	return w
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// object n has the SOP Instance UID 1.2.n, so that other contents differ in s alone.
func object(device string, n int, s string) hub.Object {
	o := hub.Object{Device: device, Length: int64(100 + n), Study: "1.2.3", Priority: 1,
		Names: dicom.Names{TransferSyntax: "1.2.840.10008.1.2.1", SOPClass: "1.2.840.10008.5.1.4.1.1.2", SOPInstance: fmt.Sprintf("1.2.%d", n)}}
	h := o.Names.NewHash()
	h.Write([]byte(s))
	h.Sum(o.ID[:0])
	return o
}

func (w *world) receive(os ...hub.Object) {
	w.Helper()
	w.must(w.Receive(w.ctx, os))
}

func (w *world) lease(destination string, n int) []Job {
	w.Helper()
	jobs, err := w.Lease(w.ctx, destination, n, time.Minute)
	w.must(err)
	return jobs
}

func (w *world) one(destination string) Job {
	w.Helper()
	jobs := w.lease(destination, 10)
	if len(jobs) != 1 {
		w.Fatalf("%d jobs for %s, want 1", len(jobs), destination)
	}
	return jobs[0]
}

func (w *world) confirmed(device string) []hub.ID {
	w.Helper()
	cs, err := w.Confirmations(w.ctx, device, 0, 1000)
	w.must(err)
	var ids []hub.ID
	for _, c := range cs {
		ids = append(ids, c.ID)
	}
	return ids
}

func (w *world) stats() Stats {
	w.Helper()
	s, err := w.Stats(w.ctx)
	w.must(err)
	return s
}

func (w *world) want(what string, got, want any) {
	w.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		w.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// stories are what every ledger must tell, whatever it is made of.
var stories = map[string]struct {
	config Config
	tell   func(w *world)
}{
	"receiving again changes nothing (P4)": {tell: func(w *world) {
		o := object("a", 1, "x")
		for range 3 {
			w.receive(o, o)
		}
		s := w.stats()
		w.want("objects, receipts", []int64{s.Objects, s.Receipts, s.Bytes}, []int64{1, 1, 101})
		w.want("jobs", len(w.lease("vna", 10)), 1)
	}},
	"claiming an id proves nothing: receipts are the appliance's own": {tell: func(w *world) {
		o := object("a", 1, "x")
		w.receive(o)
		for device, want := range map[string]string{"a": fmt.Sprint(map[hub.ID]int64{o.ID: 101}), "b": "map[]"} {
			known, err := w.Known(w.ctx, device, []hub.ID{o.ID, {1}})
			w.must(err)
			w.want("known to "+device, known, want)
		}
	}},
	"the same object from two appliances is archived once and confirmed to both (P4)": {tell: func(w *world) {
		a, b := object("a", 1, "x"), object("b", 1, "x")
		w.receive(a)
		w.receive(b)
		w.must(w.Done(w.ctx, w.one("vna"), ""))
		w.want("a", w.confirmed("a"), []hub.ID{a.ID})
		w.want("b", w.confirmed("b"), []hub.ID{a.ID})
		w.want("more jobs", len(w.lease("vna", 10)), 0)
		s := w.stats()
		w.want("objects, receipts, archived, held", []int64{s.Objects, s.Receipts, s.Archived, s.Held}, []int64{1, 2, 1, 0})
	}},
	"who comes after the archive is confirmed at once": {tell: func(w *world) {
		w.receive(object("a", 1, "x"))
		w.must(w.Done(w.ctx, w.one("vna"), ""))
		w.receive(object("b", 1, "x"))
		w.want("b", len(w.confirmed("b")), 1)
	}},
	"archived waits for every required destination and for no other": {
		config: Config{Destinations: []Destination{{Name: "vna", Required: true}, {Name: "copy", Required: true}, {Name: "extra", Required: false}}},
		tell: func(w *world) {
			w.receive(object("a", 1, "x"))
			w.must(w.Done(w.ctx, w.one("vna"), ""))
			w.want("after one", len(w.confirmed("a")), 0)
			w.must(w.Done(w.ctx, w.one("copy"), ""))
			w.want("after both", len(w.confirmed("a")), 1)
		}},
	"without a required destination nothing is archived": {
		config: Config{Destinations: []Destination{{Name: "extra", Required: false}}},
		tell: func(w *world) {
			w.receive(object("a", 1, "x"))
			w.must(w.Done(w.ctx, w.one("extra"), ""))
			w.want("confirmed", len(w.confirmed("a")), 0)
		}},
	"confirmations repeat until acknowledged, each by its own appliance": {tell: func(w *world) {
		w.receive(object("a", 1, "x"), object("a", 2, "x"), object("b", 1, "x"))
		for _, j := range w.lease("vna", 10) {
			w.must(w.Done(w.ctx, j, ""))
		}
		cs, err := w.Confirmations(w.ctx, "a", 0, 1)
		w.must(err)
		w.want("page", len(cs), 1)
		w.must(w.AcknowledgeConfirmations(w.ctx, "b", []uint64{cs[0].Seq, 999}))
		w.want("somebody else's word", len(w.confirmed("a")), 2)
		w.must(w.AcknowledgeConfirmations(w.ctx, "a", []uint64{cs[0].Seq}))
		w.want("after one", len(w.confirmed("a")), 1)
		more, err := w.Confirmations(w.ctx, "a", cs[0].Seq, 10)
		w.must(err)
		w.want("after seq", len(more), 1)
		w.want("b", len(w.confirmed("b")), 1)
	}},
	"an appliance that forgot asks again and is told again": {tell: func(w *world) {
		o := object("a", 1, "x")
		w.receive(o)
		w.must(w.Done(w.ctx, w.one("vna"), ""))
		cs, err := w.Confirmations(w.ctx, "a", 0, 10)
		w.must(err)
		w.must(w.AcknowledgeConfirmations(w.ctx, "a", []uint64{cs[0].Seq}))
		w.want("acknowledged", len(w.confirmed("a")), 0)
		for range 2 {
			_, err = w.Known(w.ctx, "a", []hub.ID{o.ID})
			w.must(err)
		}
		w.want("told again", w.confirmed("a"), []hub.ID{o.ID})
		again, err := w.Confirmations(w.ctx, "a", cs[0].Seq, 10)
		w.must(err)
		w.want("under a new number", len(again), 1)
	}},
	"other contents under one UID are kept and held until released (P5)": {tell: func(w *world) {
		first, second, third := object("a", 1, "x"), object("b", 1, "y"), object("c", 1, "z")
		w.receive(first)
		w.receive(second, third)
		w.must(w.Done(w.ctx, w.one("vna"), ""))
		s := w.stats()
		w.want("objects, archived, held", []int64{s.Objects, s.Archived, s.Held}, []int64{3, 1, 2})
		tr, err := w.Troubles(w.ctx, "b", 0, 10)
		w.must(err)
		if len(tr) != 1 || tr[0].ID != second.ID || tr[0].Permanent || !strings.HasPrefix(tr[0].Words, "held: ") {
			w.Errorf("trouble %+v", tr)
		}
		stuck, err := w.Stuck(w.ctx, 9)
		w.must(err)
		if len(stuck) != 2 || stuck[0].ID != second.ID || stuck[0].State != "held" || stuck[0].SOPInstance != "1.2.1" {
			w.Errorf("stuck %+v", stuck)
		}
		w.must(w.Release(w.ctx, second.ID, "admin"))
		w.must(w.Done(w.ctx, w.one("vna"), ""))
		w.want("b", w.confirmed("b"), []hub.ID{second.ID})
		w.want("c", len(w.confirmed("c")), 0)
		if err := w.Release(w.ctx, second.ID, "admin"); err == nil {
			w.Error("released twice")
		}
	}},
	"conflict: deliver delivers": {config: Config{Deliver: true}, tell: func(w *world) {
		w.receive(object("a", 1, "x"), object("b", 1, "y"))
		w.want("jobs", len(w.lease("vna", 10)), 2)
	}},
	"urgent first, then in the order of arrival": {tell: func(w *world) {
		var want []string
		for n, p := range []uint8{2, 1, 0, 1, 0} {
			o := object("a", n, "x")
			o.Priority = p
			w.receive(o)
		}
		for _, n := range []int{2, 4, 1, 3, 0} {
			want = append(want, fmt.Sprintf("1.2.%d", n))
		}
		var got []string
		for _, j := range slices.Concat(w.lease("vna", 3), w.lease("vna", 9)) {
			got = append(got, j.Object.Names.SOPInstance)
		}
		w.want("order", got, want)
	}},
	"a lease that runs out is lent again, and the late answer of failure is not taken": {tell: func(w *world) {
		w.receive(object("a", 1, "x"))
		old := w.one("vna")
		w.want("while leased", len(w.lease("vna", 9)), 0)
		w.now = w.now.Add(time.Minute)
		young := w.one("vna")
		for _, err := range []error{w.Refuse(w.ctx, old, "no"), w.Later(w.ctx, old, 0, true, "")} {
			if !errors.Is(err, ErrLeaseLost) {
				w.Errorf("got %v", err)
			}
		}
		w.must(w.Done(w.ctx, old, "")) // the archive has it: that is a fact
		w.must(w.Done(w.ctx, young, ""))
		w.want("archived", w.stats().Archived, 1)
	}},
	"later means later, and counts attempts": {tell: func(w *world) {
		w.receive(object("a", 1, "x"))
		w.must(w.Later(w.ctx, w.one("vna"), time.Hour, true, "out of resources"))
		w.want("now", len(w.lease("vna", 9)), 0)
		w.now = w.now.Add(time.Hour)
		j := w.one("vna")
		w.want("attempts", j.Attempts, 1)
		w.must(w.Later(w.ctx, j, 0, false, ""))
		w.want("attempts", w.one("vna").Attempts, 1)
	}},
	"a permanent refusal is told to every appliance, also to one that comes later, and can be tried again": {tell: func(w *world) {
		o := object("a", 1, "x")
		w.receive(o, object("b", 1, "x"))
		w.must(w.Refuse(w.ctx, w.one("vna"), "A900 wrong class"))
		w.receive(object("c", 1, "x"))
		for _, d := range []string{"a", "b", "c"} {
			tr, err := w.Troubles(w.ctx, d, 0, 9)
			w.must(err)
			if len(tr) != 1 || !tr[0].Permanent || tr[0].Words != "A900 wrong class" || tr[0].Destination != "vna" || tr[0].ID != o.ID {
				w.Fatalf("%s: %+v", d, tr)
			}
			w.must(w.AcknowledgeTroubles(w.ctx, d, []uint64{tr[0].Seq}))
			if tr, _ = w.Troubles(w.ctx, d, 0, 9); len(tr) != 0 {
				w.Errorf("%s: acknowledged and still there", d)
			}
		}
		w.want("quarantined", w.stats().Backlog["vna"].Quarantined, 1)
		w.must(w.Retry(w.ctx, o.ID, "admin"))
		w.must(w.Done(w.ctx, w.one("vna"), ""))
		w.want("c", w.confirmed("c"), []hub.ID{o.ID})
	}},
	"a self-test object gets a receipt, is never counted and never archived": {tell: func(w *world) {
		o := object("a", 1, "x")
		o.Flags = hub.FlagTest
		w.receive(o)
		s := w.stats()
		w.want("objects, tests, receipts", []int64{s.Objects, s.Tests, s.Receipts}, []int64{0, 1, 1})
		w.want("jobs", len(w.lease("vna", 9)), 0)
		w.receive(object("a", 1, "y"))
		w.want("no conflict with a test", len(w.lease("vna", 9)), 1)
	}},
	"the outbox wakes who waits for it, after it has grown": {tell: func(w *world) {
		jobs := w.JobsChanged()
		w.receive(object("a", 1, "x"))
		isClosed(w, "jobs", jobs)
		a, b := w.Changed("a"), w.Changed("b")
		w.must(w.Done(w.ctx, w.one("vna"), ""))
		isClosed(w, "a", a)
		select {
		case <-b:
			w.Error("b was woken for nothing")
		default:
		}
	}},
	"an ID with another length is an error and harms nobody else": {tell: func(w *world) {
		o := object("a", 1, "x")
		w.receive(o)
		o.Length++
		var wg sync.WaitGroup
		for n := range 10 {
			wg.Go(func() {
				if err := w.Receive(w.ctx, []hub.Object{object("a", 10+n, "x")}); err != nil {
					w.Error(err)
				}
			})
		}
		if err := w.Receive(w.ctx, []hub.Object{o}); err == nil {
			w.Error("taken")
		}
		wg.Wait()
		w.want("objects", w.stats().Objects, 11)
	}},
	"a code serves one key, once, in time": {tell: func(w *world) {
		hash, k1, k2 := [32]byte{1}, [32]byte{2}, [32]byte{3}
		w.must(w.AddCode(w.ctx, hash, "F1", w.now.Add(time.Hour), "admin"))
		if _, err := w.Claim(w.ctx, [32]byte{9}, k1, "d1", ""); !errors.Is(err, enrol.ErrNoCode) {
			w.Errorf("wrong code: %v", err)
		}
		for range 2 { // the second time because the answer was lost
			d, err := w.Claim(w.ctx, hash, k1, "d-new", "")
			w.must(err)
			w.want("device", []any{d.ID, d.Facility, d.Approved}, []any{"d-new", "F1", true})
		}
		if _, err := w.Claim(w.ctx, hash, k2, "d2", ""); !errors.Is(err, enrol.ErrUsed) {
			w.Errorf("reused: %v", err)
		}
		w.must(w.AddCode(w.ctx, [32]byte{4}, "F1", w.now.Add(time.Hour), "admin"))
		w.now = w.now.Add(time.Hour)
		if _, err := w.Claim(w.ctx, [32]byte{4}, k2, "d2", ""); !errors.Is(err, enrol.ErrExpired) {
			w.Errorf("expired: %v", err)
		}
		out, err := w.Revoked(w.ctx)
		w.must(err)
		w.want("revoked before", len(out), 0)
		w.must(w.SetApproved(w.ctx, "d-new", false, "admin"))
		out, err = w.Revoked(w.ctx)
		w.must(err)
		w.want("revoked", out, []string{"d-new"})
		d, err := w.Device(w.ctx, "d-new")
		w.must(err)
		w.want("approved", d.Approved, false)
		if err := w.Receive(w.ctx, []hub.Object{object("d-new", 1, "x")}); !errors.Is(err, errRevoked) {
			w.Errorf("revoked while connected: %v", err)
		}
		if err := w.SetApproved(w.ctx, "nobody", true, "admin"); !errors.Is(err, enrol.ErrNoDevice) {
			w.Errorf("nobody: %v", err)
		}
	}},
}

func isClosed(w *world, what string, c <-chan struct{}) {
	w.Helper()
	select {
	case <-c:
	default:
		w.Errorf("%s: not woken", what)
	}
}

func TestConformance(t *testing.T) {
	for name, s := range stories {
		t.Run(name, func(t *testing.T) { s.tell(start(t, s.config)) })
	}
}

func TestEverythingIsThereAfterReopening(t *testing.T) {
	config := place(t, Config{})
	w := start(t, config)
	w.receive(object("a", 1, "x"), object("a", 2, "x"))
	w.must(w.Done(w.ctx, w.lease("vna", 1)[0], ""))
	id, generation, err := w.Identity(w.ctx)
	w.must(err)
	again := start(t, config)
	id2, generation2, err := again.Identity(w.ctx)
	w.must(err)
	w.want("identity", []any{id2, generation2}, []any{id, generation})
	w.want("confirmed", len(again.confirmed("a")), 1)
	w.want("jobs", len(again.lease("vna", 9)), 1)
}

func TestLeasesOfADeadProcessAreFreeAtStart(t *testing.T) {
	config := place(t, Config{})
	w := start(t, config)
	w.receive(object("a", 1, "x"))
	w.one("vna")
	start(t, config).one("vna")
}

func TestDestinationsMayComeAndGo(t *testing.T) {
	config := place(t, Config{Destinations: []Destination{}})
	w := start(t, config)
	w.receive(object("a", 1, "x"), object("a", 2, "x"), object("b", 2, "y"))
	config.Destinations = []Destination{{Name: "vna", Required: true}, {Name: "old", Required: true}}
	w = start(t, config)
	for _, j := range w.lease("vna", 9) {
		w.must(w.Done(w.ctx, j, ""))
	}
	w.want("two jobs, the conflict is held", []int64{w.stats().Held, w.stats().Archived}, []int64{1, 0})
	config.Destinations = []Destination{{Name: "vna", Required: true}}
	w = start(t, config)
	w.want("archived without the old one", []any{w.stats().Archived, len(w.confirmed("a"))}, []any{2, 2})
}

func TestNewerSchemaIsNotTouched(t *testing.T) {
	w := start(t, Config{})
	if overPostgres() {
		_, err := w.write.Exec(`UPDATE version SET n = 99`)
		w.must(err)
	} else {
		_, err := w.write.Exec(`PRAGMA user_version = 99`)
		w.must(err)
	}
	if _, err := Open(w.ctx, w.config); err == nil || !strings.Contains(err.Error(), "newer hubd") {
		t.Errorf("got %v", err)
	}
}

func TestCommitsAreFsynced(t *testing.T) {
	onlySQLite(t)
	w := start(t, Config{})
	for pragma, want := range map[string]string{"synchronous": "2", "journal_mode": "wal", "busy_timeout": "10000", "foreign_keys": "1"} {
		var got string
		w.must(w.conn.QueryRowContext(w.ctx, "PRAGMA "+pragma).Scan(&got))
		w.want(pragma, got, want)
	}
}

func TestCommitsAreSharedByWhoWaits(t *testing.T) {
	w := start(t, Config{})
	for n := range 100 { // as if they had queued while somebody was committing
		o := object("a", n, "x")
		w.next = append(w.next, &change{do: func(b *batch) error { return b.receive(&o) }, done: make(chan struct{})})
	}
	queued, woken := w.next, w.JobsChanged()
	w.commitQueued() // one transaction for all of them
	isClosed(w, "jobs", woken)
	for _, c := range queued {
		isClosed(w, "caller", c.done)
		w.must(c.err)
	}
	w.want("objects", w.stats().Objects, 100)
}

func TestAFailedDiskEndsTheLedger(t *testing.T) {
	onlySQLite(t)
	w := start(t, Config{})
	w.receive(object("a", 1, "x"))
	l := w.Ledger
	if err := l.engine.judge(ioError(t)); err == nil {
		t.Fatal("no error")
	}
	isClosed(w, "failed", l.Failed())
	if err := l.Receive(w.ctx, []hub.Object{object("a", 2, "x")}); err == nil || !strings.Contains(err.Error(), "started again") {
		t.Errorf("got %v", err)
	}
}

// ioError is a real one: a database file that is no database.
func ioError(t *testing.T) error {
	t.Helper()
	path := filepath.Join(t.TempDir(), "broken.db")
	if err := writeGarbage(path); err != nil {
		t.Fatal(err)
	}
	_, err := Open(t.Context(), Config{Path: path})
	return err
}

// BenchmarkReceive is objects a second that are durable, by appliances at once.
func BenchmarkReceive(b *testing.B) {
	for _, devices := range []int{1, 16, 128} {
		b.Run(fmt.Sprintf("appliances=%d", devices), func(b *testing.B) {
			l, err := Open(b.Context(), Config{Path: filepath.Join(b.TempDir(), "l.db"), Destinations: []Destination{{Name: "vna", Required: true}}})
			if err != nil {
				b.Fatal(err)
			}
			defer l.Close()
			work := make(chan hub.Object, 1024)
			var wg sync.WaitGroup
			for range devices {
				wg.Go(func() {
					for o := range work {
						if err := l.Receive(b.Context(), []hub.Object{o}); err != nil {
							b.Error(err)
						}
					}
				})
			}
			for n := 0; b.Loop(); n++ {
				work <- object("a", n, "x")
			}
			close(work)
			wg.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "objects/s")
		})
	}
}
