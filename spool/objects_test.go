package spool

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// P4: the same object any number of times is one object, and the first copy's
// file is not touched.
func TestResendsAreOneObject(t *testing.T) {
	dir := t.TempDir()
	s := open(t, Config{Dir: dir})
	body := sample(1, 5000)
	first, _ := put(t, s, newSample(1), body)
	name := filepath.Join(dir, objectName(first.Seq))
	before, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	for range 1000 {
		if o, result := put(t, s, New{Group: "another", Seed: testSeed}, body); result != Duplicate || o.Seq != first.Seq || string(o.Meta) != "meta 1" {
			t.Fatalf("re-send: %v, object %d with meta %q; want a duplicate of %d", result, o.Seq, o.Meta, first.Seq)
		}
	}
	after, err := os.Stat(name)
	if err != nil || !os.SameFile(before, after) || after.ModTime() != before.ModTime() {
		t.Fatalf("the first copy was touched: %v", err)
	}
	if st := s.Stats(); st.Objects != 1 || s.Counters()[CountReceived] != 1 {
		t.Fatalf("%d objects, counters %v; want 1", st.Objects, s.Counters())
	}
	// Another seed, the same bytes: another object.
	if _, result := put(t, s, New{Seed: []byte("other")}, body); result != Fresh {
		t.Fatal("other seed, same bytes: must be another object")
	}
}

// P4: at the same time on many associations, too; nobody is answered before the
// one copy is durable.
func TestSameObjectAtOnceIsOneObject(t *testing.T) {
	s := open(t, Config{Dir: t.TempDir()})
	for n := range 20 {
		body := sample(n, 50_000)
		var wg sync.WaitGroup
		var mu sync.Mutex
		seqs, fresh := map[uint64]bool{}, 0
		for range 8 {
			wg.Go(func() {
				o, result, err := tryPut(s, newSample(n), body)
				if err == nil && result == Duplicate {
					err = checkDurable(s, o.ID)
				}
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					t.Error(err)
				}
				seqs[o.Seq] = true
				if result == Fresh {
					fresh++
				}
			})
		}
		wg.Wait()
		if len(seqs) != 1 || fresh != 1 {
			t.Fatalf("%d sequence numbers, %d fresh; want one of each", len(seqs), fresh)
		}
	}
}

func checkDurable(s *Spool, id ID) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byID[id] == nil || s.pending[id] != nil {
		return errors.New("duplicate answered before the first copy was durable")
	}
	return nil
}

// An aborted object leaves nothing, on the disk or in the lists.
func TestAbortLeavesNothing(t *testing.T) {
	s := open(t, Config{Dir: t.TempDir()})
	w, err := s.Create(newSample(1))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(sample(1, 3<<20)); err != nil {
		t.Fatal(err)
	}
	if used := s.used(); used < 3<<20 {
		t.Errorf("%d bytes in use while writing, want at least 3 MiB", used)
	}
	w.Abort()
	names, err := s.fs.ReadDir(tmpDir)
	if err != nil || len(names) != 0 || s.used() != 0 || s.Stats().Objects != 0 {
		t.Fatalf("after abort: %v in tmp, %d bytes, %d objects, %v", names, s.used(), s.Stats().Objects, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	w, _ = s.Create(newSample(2))
	if _, _, err := w.Commit(ctx); !errors.Is(err, context.Canceled) {
		t.Fatalf("commit with a context that has ended: %v", err)
	}
	if names, _ := s.fs.ReadDir(tmpDir); len(names) != 0 {
		t.Fatalf("left in tmp: %v", names)
	}
}

// P3: preface and content lie in the file as one run, readable at any offset,
// and Checked from any offset gives the same bytes.
func TestContentIsReadAsItWasWritten(t *testing.T) {
	s := open(t, Config{Dir: t.TempDir()})
	for _, size := range []int{0, 1, 127, writeBuffer, writeBuffer + 1, 9 << 20} {
		body := sample(size, size)
		o, _ := put(t, s, newSample(1), body)
		c, err := s.Open(o.ID)
		if err != nil {
			t.Fatal(err)
		}
		if c.Size() != int64(size) || string(c.Meta()) != "meta 1" || !bytes.Equal(c.Seed(), testSeed) {
			t.Fatalf("size %d: meta %q", c.Size(), c.Meta())
		}
		whole, err := io.ReadAll(c.File())
		if err != nil || !bytes.Equal(whole, append([]byte("preface "), body...)) {
			t.Fatalf("size %d: file view differs, %v", size, err)
		}
		for _, off := range []int{0, size / 3, size} {
			got, err := io.ReadAll(c.Checked(int64(off)))
			if err != nil || !bytes.Equal(got, body[off:]) {
				t.Fatalf("size %d from %d: %d bytes, %v", size, off, len(got), err)
			}
		}
		c.Close()
	}
}

// P14, SPOOL-6: every single flipped bit and every truncation is found before
// all of the object has left; the object is quarantined, and a re-send heals it.
func TestDamageIsFoundBeforeItLeaves(t *testing.T) {
	dir := t.TempDir()
	s := open(t, Config{Dir: dir})
	rnd := rand.New(rand.NewPCG(3, 4))
	for n := range 200 {
		body := sample(n, 2000)
		o, _ := put(t, s, newSample(n), body)
		name := filepath.Join(dir, objectName(o.Seq))
		if err := damage(name, rnd, n%10 == 0); err != nil {
			t.Fatal(err)
		}
		got, err := content(s, o.ID)
		if !errors.Is(err, ErrCorrupt) || len(got) >= len(body) {
			t.Fatalf("damaged object %d: %d bytes came out, %v; want ErrCorrupt", n, len(got), err)
		}
		wantState(t, s, o.ID, Quarantined)
		if err := s.Verify(context.Background(), o.ID); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("verify: %v", err)
		}
		if again, result := put(t, s, newSample(n), body); result != Fresh || again.Seq == o.Seq {
			t.Fatalf("a good copy came again and was not kept: %v", result)
		}
		wantContent(t, s, o.ID, body)
	}
	if c := s.Counters()[CountQuarantined]; c != 200 {
		t.Errorf("%d counted as quarantined, want 200", c)
	}
	s.Close()
	s = open(t, Config{Dir: dir})
	for n := range 200 { // the good copies are what the next start offers
		body := sample(n, 2000)
		wantContent(t, s, idOf(testSeed, body), body)
		wantState(t, s, idOf(testSeed, body), Received)
	}
}

// damage flips one bit anywhere in the file, or cuts it.
func damage(name string, rnd *rand.Rand, cut bool) error {
	b, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	if cut {
		return os.Truncate(name, int64(rnd.IntN(len(b))))
	}
	at := rnd.IntN(len(b))
	b[at] ^= 1 << rnd.IntN(8)
	return os.WriteFile(name, b, 0o600)
}

// DESIGN 7: urgent first, strictly; routine and backfill four to one; inside a
// class the oldest; and a returned object takes its old place again.
func TestLeaseOrder(t *testing.T) {
	ctx := context.Background()
	s := open(t, memConfig(newMemFS()))
	kinds := map[ID]Priority{}
	for n := range 30 {
		p := Routine
		if n%2 == 0 {
			p = Backfill
		}
		o, _ := put(t, s, New{Priority: p, Seed: testSeed}, sample(n, 10))
		kinds[o.ID] = p
	}
	o, _ := put(t, s, New{Priority: Urgent, Seed: testSeed}, sample(99, 10))
	kinds[o.ID] = Urgent
	got := ""
	var first Object
	for n := range 12 {
		o, err := s.Lease(ctx, "lane")
		if err != nil {
			t.Fatal(err)
		}
		got += kinds[o.ID].String()[:1]
		if n == 1 {
			first = o
		}
	}
	if want := "urrrrbrrrrbr"; got != want {
		t.Fatalf("order %s, want %s", got, want)
	}
	if err := s.Return(first.ID, 0, nil); err != nil {
		t.Fatal(err)
	}
	if o, _ := s.Lease(ctx, "lane"); o.ID != first.ID {
		t.Fatalf("returned object %d, then leased %d", first.Seq, o.Seq)
	}
}

// P6: a poison object is parked after its tries, with its reason, across a
// restart; the others do not wait for it. Release brings it back.
func TestPoisonIsParked(t *testing.T) {
	ctx := context.Background()
	fs := newMemFS()
	cfg := memConfig(fs)
	cfg.MaxTries = 3
	s := open(t, cfg)
	bad, _ := put(t, s, routineSample(0), sample(0, 10))
	good, _ := put(t, s, routineSample(1), sample(1, 10))
	for range 3 {
		o, err := s.Lease(ctx, "lane")
		if err != nil || o.ID != bad.ID {
			t.Fatalf("leased %d, %v", o.Seq, err)
		}
		if err := s.Return(o.ID, 0, Poison(errors.New("hub says no"))); err != nil {
			t.Fatal(err)
		}
	}
	if o, err := s.Lease(ctx, "lane"); err != nil || o.ID != good.ID {
		t.Fatalf("behind the poison: %d, %v", o.Seq, err)
	}
	s.Close()
	s = open(t, cfg)
	o, err := s.Object(bad.ID)
	if err != nil || o.State != Quarantined || o.Reason != "parked after 3 tries: hub says no" {
		t.Fatalf("after restart: %+v %v", o, err)
	}
	if err := s.Release(ctx, bad.ID); err != nil {
		t.Fatal(err)
	}
	wantState(t, s, bad.ID, Received)
}

// P4: time takes no object from a sender that has it: over a slow line, or while
// the wall clock jumps, it would be sent a second time beside the first.
func TestALeaseDoesNotEndByTime(t *testing.T) {
	ctx := context.Background()
	now := time.Unix(1000, 0)
	cfg := memConfig(newMemFS())
	cfg.Now = func() time.Time { return now }
	s := open(t, cfg)
	o, _ := put(t, s, routineSample(0), sample(0, 10))
	if _, ok, err := s.TryLease("uplink"); !ok || err != nil {
		t.Fatal(err)
	}
	for _, later := range []time.Duration{2 * time.Hour, 31 * 24 * time.Hour, 10 * 365 * 24 * time.Hour} {
		now = now.Add(later)
		if err := s.Sweep(ctx); err != nil {
			t.Fatal(err)
		}
		if o, ok, _ := s.TryLease("uplink"); ok {
			t.Fatalf("object %d was leased twice after %v", o.Seq, later)
		}
	}
	if err := s.Return(o.ID, 0, nil); err != nil {
		t.Fatal(err)
	}
	if _, ok, _ := s.TryLease("uplink"); !ok {
		t.Fatal("given back and not offered again")
	}
}

// With a timeout a lease that nobody gave back ends; a session's leases end with
// it, and a delayed object comes back after its delay while the others go on.
func TestLeasesEnd(t *testing.T) {
	ctx := context.Background()
	now := time.Unix(1000, 0)
	cfg := memConfig(newMemFS())
	cfg.LeaseTimeout = time.Hour
	cfg.Now = func() time.Time { return now }
	s := open(t, cfg)
	a, _ := put(t, s, routineSample(0), sample(0, 10))
	b, _ := put(t, s, routineSample(1), sample(1, 10))
	lease := func(want ID) {
		t.Helper()
		if o, ok, err := s.TryLease("lane"); err != nil || !ok || o.ID != want {
			t.Fatalf("leased %d, %v, %v", o.Seq, ok, err)
		}
	}
	lease(a.ID)
	if err := s.Return(a.ID, time.Minute, errors.New("line is down")); err != nil {
		t.Fatal(err)
	}
	lease(b.ID)
	if _, ok, _ := s.TryLease("lane"); ok {
		t.Fatal("leased while delayed")
	}
	now = now.Add(time.Minute)
	lease(a.ID)
	s.ReturnAll("lane")
	lease(a.ID)
	now = now.Add(2 * time.Hour)
	if err := s.Sweep(ctx); err != nil {
		t.Fatal(err)
	}
	lease(a.ID)
	lease(b.ID)
}

// SPOOL-17: what does not fit changes nothing; the rest of the list is taken.
func TestReceiptsThatDoNotFitChangeNothing(t *testing.T) {
	ctx := context.Background()
	s := open(t, memConfig(newMemFS()))
	a, _ := put(t, s, newSample(1), sample(1, 10))
	b, _ := put(t, s, newSample(2), sample(2, 10))
	err := s.archivedOutright(ctx, []Receipt{{ID: a.ID, Length: 11}, {ID: ID{1}, Length: 10}, {ID: b.ID, Length: 10}})
	var unfit *UnfitError
	if !errors.Is(err, ErrMismatch) || !errors.As(err, &unfit) || unfit.Mismatched != 1 || unfit.Unknown != 1 {
		t.Fatalf("wrong length: %v", err)
	}
	wantState(t, s, a.ID, Received)
	wantState(t, s, b.ID, Archived)
	if err := s.AtHub(ctx, []Receipt{{ID: ID{9}}}); !errors.Is(err, ErrUnknown) {
		t.Fatalf("unknown: %v", err)
	}
}

// DESIGN 7: the ledger's generation rose: what is not archived is offered again,
// and counted once.
func TestReofferIsTheOnlyStepBack(t *testing.T) {
	ctx := context.Background()
	fs := newMemFS()
	cfg := memConfig(fs)
	cfg.RetainArchived = time.Hour
	s := open(t, cfg)
	a, _ := put(t, s, newSample(1), sample(1, 10))
	b, _ := put(t, s, newSample(2), sample(2, 10))
	for _, err := range []error{s.AtHub(ctx, receipt(a)), s.archivedOutright(ctx, receipt(b)), s.Hold(ctx, a.ID)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	wantState(t, s, a.ID, Held)
	if err := s.Reoffer(ctx); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		wantState(t, s, a.ID, Received)
		wantState(t, s, b.ID, Archived)
		s.Close()
		s = open(t, cfg)
	}
	if o, err := s.Lease(ctx, "lane"); err != nil || o.ID != a.ID || !o.Held {
		t.Fatalf("leased %+v, %v", o, err)
	}
	if err := s.AtHub(ctx, receipt(a)); err != nil {
		t.Fatal(err)
	}
	wantState(t, s, a.ID, Held)
	if c := s.Counters(); c[CountAtHub] != 2 || c[CountReceived] != 2 {
		t.Fatalf("counters %v, want 2 received and 2 at the hub", c)
	}
}

// Counters are for the life of the directory; test objects are not counted.
func TestCountersSurvive(t *testing.T) {
	fs := newMemFS()
	s := open(t, memConfig(fs))
	for n := range 5 {
		put(t, s, New{Seed: testSeed, Test: n == 0}, sample(n, 10))
	}
	s.Count(CountRefused, 3)
	if err := s.Sweep(context.Background()); err != nil {
		t.Fatal(err)
	}
	put(t, s, New{Seed: testSeed}, sample(77, 10)) // behind the mark
	s = open(t, memConfig(fs.powerCut(0, rand.New(rand.NewPCG(1, 1)))))
	if c := s.Counters(); c[CountReceived] != 5 || c[CountRefused] != 3 {
		t.Fatalf("after a power cut: %v; want 5 received, 3 refused", c)
	}
}

// A watcher hears of every change, and of having missed some.
func TestWatchTellsAndTellsWhatItLost(t *testing.T) {
	ctx := context.Background()
	s := open(t, memConfig(newMemFS()))
	w, slow := s.Watch(16), s.Watch(1)
	defer w.Close()
	defer slow.Close()
	o, _ := put(t, s, newSample(1), sample(1, 10))
	if _, err := s.Lease(ctx, "lane"); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.AtHub(ctx, receipt(o)), s.archivedOutright(ctx, receipt(o)), s.Sweep(ctx)); err != nil {
		t.Fatal(err)
	}
	for _, want := range []State{Received, Sending, AtHub, Archived, Archived} {
		if ev := <-w.C; ev.State != want || ev.ID != o.ID || ev.Lost {
			t.Fatalf("event %+v, want %v", ev, want)
		}
	}
	<-slow.C
	put(t, s, newSample(2), sample(2, 10))
	if ev := <-slow.C; !ev.Lost {
		t.Fatalf("event %+v, want it to say that some were lost", ev)
	}
}

// Lists and sums say what is here.
func TestListsAndSums(t *testing.T) {
	s := open(t, Config{Dir: t.TempDir()})
	for n := range 10 {
		put(t, s, newSample(n), sample(n, 100))
	}
	var seqs []uint64
	for after := uint64(0); ; {
		page := s.Objects(after, 3)
		if len(page) == 0 {
			break
		}
		for _, o := range page {
			seqs, after = append(seqs, o.Seq), o.Seq
			if len(o.Meta) == 0 {
				t.Fatal("no meta")
			}
		}
	}
	groups := s.Groups(10)
	if len(seqs) != 10 || len(groups) != 3 || groups[0].Name != "group 0" || groups[0].Objects != 4 || groups[0].Bytes != 400 {
		t.Fatalf("objects %v, groups %+v", seqs, groups)
	}
	if got := s.GroupObjects("group 1", 10); len(got) != 3 {
		t.Fatalf("%d objects in group 1, want 3", len(got))
	}
	if st := s.Stats(); st.BacklogObjects != 10 || st.Objects != 10 || st.FreeBytes <= 0 {
		t.Fatalf("%+v", st)
	}
}

// A spool has one owner.
func TestSecondOpenerIsLockedOut(t *testing.T) {
	dir := t.TempDir()
	s := open(t, Config{Dir: dir})
	if _, err := Open(context.Background(), Config{Dir: dir, AllowUnsafeFilesystem: true}); !errors.Is(err, ErrLocked) {
		t.Fatalf("second opener: %v, want ErrLocked", err)
	}
	if _, err := OpenReadOnly(dir, nil); !errors.Is(err, ErrLocked) {
		t.Fatalf("reader beside the daemon: %v, want ErrLocked", err)
	}
	s.Close()
	s.Close() // twice is harmless
	open(t, Config{Dir: dir})
}

// While the daemon is down, the files and the journal tell the same, and
// looking changes nothing.
func TestReaderSaysTheSameAndChangesNothing(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	s := open(t, Config{Dir: dir, RetainArchived: -1})
	var objects []Object
	for n := range 6 {
		o, _ := put(t, s, newSample(n), sample(n, 1000))
		objects = append(objects, o)
	}
	if err := errors.Join(s.AtHub(ctx, receipt(objects[1])), s.archivedOutright(ctx, receipt(objects[2])), s.Sweep(ctx), s.Quarantine(ctx, objects[3].ID, "because")); err != nil {
		t.Fatal(err)
	}
	want := s.Objects(0, 100)
	s.Close()
	if err := damage(filepath.Join(dir, objectName(objects[5].Seq)), rand.New(rand.NewPCG(1, 1)), true); err != nil {
		t.Fatal(err)
	}
	before := treeOf(t, dir)
	r, err := OpenReadOnly(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	i := 0
	err = r.Each(func(o Object) error {
		if i == 4 {
			if !o.Damaged || o.State != Quarantined {
				t.Errorf("cut file: %+v", o)
			}
			return nil
		}
		if o.ID != want[i].ID || o.State != want[i].State || o.Reason != want[i].Reason || string(o.Meta) != string(want[i].Meta) {
			t.Errorf("object %d: %+v, want %+v", i, o, want[i])
		}
		i++
		return r.Verify(ctx, o.Seq)
	})
	if err != nil || i != 4 {
		t.Fatalf("%d objects, %v", i, err)
	}
	if err := r.Verify(ctx, objects[5].Seq); !errors.Is(err, ErrCorrupt) {
		t.Fatalf("verify of the cut file: %v", err)
	}
	if got := r.Forgotten(5); len(got) != 1 || got[0].ID != objects[2].ID {
		t.Fatalf("forgotten: %+v", got)
	}
	if after := treeOf(t, dir); after != before {
		t.Fatalf("looking changed the directory:\n%s\n%s", before, after)
	}
}

func treeOf(t *testing.T, dir string) string {
	t.Helper()
	var out []byte
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		out = append(out, []byte(path+" "+info.ModTime().String()+"\n")...)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// P2: a hub that was restored from a backup takes its receipts back; a
// permission to forget that was decided just before must not be carried out.
func TestReofferBeatsForgettingInTheSameRound(t *testing.T) {
	ctx := context.Background()
	cfg := memConfig(newMemFS())
	cfg.Keep = KeepHub
	s := open(t, cfg)
	o, _ := put(t, s, newSample(1), sample(1, 10))
	if err := s.AtHub(ctx, receipt(o)); err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	forget, _ := s.forgettable(false)
	s.mu.Unlock()
	if len(forget) != 1 {
		t.Fatalf("%d objects may be forgotten, want 1", len(forget))
	}
	if err := s.oblige(append([]op{{kind: opReoffer}}, forget...)...); err != nil {
		t.Fatal(err)
	}
	wantState(t, s, o.ID, Received)
	if err := errors.Join(s.AtHub(ctx, receipt(o)), s.Hold(ctx, o.ID), s.Sweep(ctx)); err != nil {
		t.Fatal(err)
	}
	wantState(t, s, o.ID, Held)
	if err := errors.Join(s.Release(ctx, o.ID), s.Sweep(ctx)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Object(o.ID); !errors.Is(err, ErrUnknown) {
		t.Fatalf("with KeepHub the hub's word is enough: %v", err)
	}
}
