package spool

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"
)

// failNth fails the n-th operation that which accepts, once.
func failNth(n int, which func(kind string) bool, err error) func(string, string) error {
	seen := 0
	return func(kind, _ string) error {
		if !which(kind) {
			return nil
		}
		if seen++; seen == n {
			return err
		}
		return nil
	}
}

func isSync(kind string) bool { return strings.HasPrefix(kind, "sync") }
func isAny(string) bool       { return true }
func isWrite(kind string) bool {
	return kind == "write" || kind == "create" || kind == "rename" || kind == "mkdir"
}

func countOps(t *testing.T, which func(string) bool) (n int) {
	t.Helper()
	fs := newMemFS()
	if err := story(fs, newLedger()); err != nil {
		t.Fatal(err)
	}
	for _, line := range fs.log {
		if which(strings.Fields(line)[0]) {
			n++
		}
	}
	return n
}

// P8, SPOOL-4, D-S6: a failed sync ends the spool at once, nothing is answered
// well after it, no file is synced a second time, and the restart does not take
// the page cache's word: what was promised is on the disk.
func TestFailedSyncIsFinal(t *testing.T) {
	for n := 1; n <= countOps(t, isSync); n++ {
		fs, l := newMemFS(), newLedger()
		fs.fault = failNth(n, isSync, syscall.EIO)
		err := story(fs, l)
		if !errors.Is(err, syscall.EIO) {
			t.Fatalf("sync %d failed and the story went on: %v", n, err)
		}
		if fs.secondSyncs > 0 {
			t.Fatalf("sync %d failed and was tried again", n)
		}
		again := fs.kill()
		if err := l.check(again); err != nil {
			t.Fatalf("sync %d failed, then restart: %v", n, err)
		}
		if err := l.check(again.powerCut(0, rand.New(rand.NewPCG(1, 1)))); err != nil {
			t.Fatalf("sync %d failed, then restart, then power cut: %v", n, err)
		}
		if err := storyGoesOn(again, l); err != nil {
			t.Fatalf("sync %d (%s) failed, then restart, and the next objects: %v", n, fs.log[len(fs.log)-1], err)
		}
		if err := l.check(again.powerCut(0, rand.New(rand.NewPCG(1, 1)))); err != nil {
			t.Fatalf("sync %d failed, then restart, then success, then power cut: %v", n, err)
		}
	}
}

// storyGoesOn sends everything again after the restart, what was refused too.
func storyGoesOn(fs *memFS, l *ledger) error {
	s, err := Open(context.Background(), memConfig(fs))
	if err != nil {
		return err
	}
	defer s.Close()
	for n := range 24 {
		body := sample(n, 3000+n*100)
		if id := idOf(testSeed, body); l.asked[id] {
			continue // forgotten, perhaps
		}
		o, _, err := tryPut(s, newSample(n), body)
		if err != nil {
			return err
		}
		l.acked[o.ID] = body
	}
	return nil
}

// P8: after the failure every door is shut, within the same instance.
func TestFailedSpoolRefusesEverything(t *testing.T) {
	ctx := context.Background()
	fs := newMemFS()
	s := open(t, memConfig(fs))
	o, _ := put(t, s, newSample(1), sample(1, 100))
	fs.fault = func(kind, name string) error {
		if kind == "sync" {
			return syscall.EIO
		}
		return nil
	}
	if _, _, err := tryPut(s, newSample(2), sample(2, 100)); !errors.Is(err, ErrFailed) || !errors.Is(err, syscall.EIO) {
		t.Fatalf("commit over a failed sync: %v", err)
	}
	fs.fault = nil // the disk pretends that all is well again
	calls := map[string]error{"err": s.Err(), "run": s.Run(ctx), "at hub": s.AtHub(ctx, receipt(o)), "archived": s.archivedOutright(ctx, receipt(o)), "reoffer": s.Reoffer(ctx), "hold": s.Hold(ctx, o.ID)}
	_, calls["create"] = s.Create(newSample(3))
	_, calls["lease"] = s.Lease(ctx, "x")
	_, _, calls["duplicate"] = tryPut(s, newSample(1), sample(1, 100))
	for what, err := range calls {
		if !errors.Is(err, ErrFailed) {
			t.Errorf("%s on a failed spool: %v, want ErrFailed", what, err)
		}
	}
	if s.Admission() != Refuse || s.Stats().Err == nil {
		t.Error("a failed spool must say refuse")
	}
	wantContent(t, s, o.ID, sample(1, 100)) // reading goes on
	s.Close()
	s = open(t, memConfig(fs.kill()))
	if s.Recovery().Rewritten == 0 && s.Recovery().Objects > 0 {
		t.Error("unproved objects were not rewritten after a failed sync")
	}
}

// P8: any operation that fails with EIO, wherever it is, costs no promise.
func TestAnyErrorCostsNoPromise(t *testing.T) {
	for n := 1; n <= countOps(t, isAny); n++ {
		fs, l := newMemFS(), newLedger()
		fs.fault = failNth(n, isAny, syscall.EIO)
		_ = story(fs, l)
		if err := l.check(fs.kill()); err != nil {
			t.Fatalf("operation %d (%s) failed, then restart: %v", n, fs.log[n-1], err)
		}
		if err := l.check(fs.powerCut(0, rand.New(rand.NewPCG(1, 1)))); err != nil {
			t.Fatalf("operation %d (%s) failed, then power cut: %v", n, fs.log[n-1], err)
		}
	}
}

// P7: a full disk at any step is transient while the daemon runs: what was
// promised stays, partial data goes, the next try succeeds.
func TestFullDiskAtAnyStepIsTransient(t *testing.T) {
	for _, full := range []error{syscall.ENOSPC, syscall.EDQUOT} {
		for n := 1; n <= countOps(t, isWrite); n++ {
			fs, l := newMemFS(), newLedger()
			fs.fault = failNth(n, isWrite, full)
			err := story(fs, l)
			if errors.Is(err, ErrFailed) {
				at := ""
				for i, line := range fs.log {
					at = fs.log[max(i-3, 0)] + " … " + line
				}
				t.Fatalf("full at write %d is fatal: %v (last %s)", n, err, at)
			}
			if err := l.check(fs.kill()); err != nil {
				t.Fatalf("full at write %d: %v", n, err)
			}
		}
	}
}

// P7: a process without descriptors, wherever it happens, is told to try again:
// no object is lost, and the spool lives on.
func TestNoDescriptorAtAnyStepIsTransient(t *testing.T) {
	opens := func(kind string) bool { return kind == "create" || kind == "rename" || kind == "mkdir" }
	for _, why := range []error{syscall.EMFILE, syscall.ENFILE} {
		for n := 1; n <= countOps(t, opens); n++ {
			fs, l := newMemFS(), newLedger()
			fs.fault = failNth(n, opens, why)
			if err := story(fs, l); errors.Is(err, ErrFailed) {
				t.Fatalf("%v at open %d is fatal: %v", why, n, err)
			}
			if err := l.check(fs.kill()); err != nil {
				t.Fatalf("%v at open %d: %v", why, n, err)
			}
		}
	}
}

// P7, SPOOL-24: with no byte free receipts are still written and deletes still
// work, thanks to the ballast, and the spool takes objects again afterwards.
func TestFullDiskForgetsAndRecovers(t *testing.T) {
	ctx := context.Background()
	fs := newMemFS()
	fs.free = 200_000
	cfg := Config{FS: fs, BallastBytes: 16 << 10, ReserveBytes: -1, RetainArchived: -1}
	s := open(t, cfg)
	var kept []Object
	var refused error
	for n := 0; n < 100 && refused == nil; n++ {
		var o Object
		if o, _, refused = tryPut(s, newSample(n), sample(n, 10_000)); refused == nil {
			kept = append(kept, o)
		}
	}
	if !errors.Is(refused, ErrFull) || len(kept) < 10 {
		t.Fatalf("%d objects, then %v; want ErrFull", len(kept), refused)
	}
	if names, _ := fs.ReadDir(tmpDir); len(names) != 0 {
		t.Fatalf("partial data left: %v", names)
	}
	fs.mu.Lock()
	fs.free = 0
	fs.mu.Unlock()
	for i, o := range kept {
		wantContent(t, s, o.ID, sample(i, 10_000))
	}
	if err := s.archivedOutright(ctx, receipt(kept[0])); err != nil {
		t.Fatalf("receipt on a full disk: %v", err)
	}
	if err := s.Sweep(ctx); err != nil {
		t.Fatalf("forgetting on a full disk: %v", err)
	}
	for _, o := range kept[1:] {
		if err := s.archivedOutright(ctx, receipt(o)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Sweep(ctx); err != nil {
		t.Fatal(err)
	}
	if st := s.Stats(); st.Objects != 0 || !st.Ballast {
		t.Fatalf("after forgetting: %+v", st)
	}
	put(t, s, newSample(7), sample(777, 10_000))
}

// P7: grades. Back-filling stops before the rest does.
func TestAdmissionIsGraded(t *testing.T) {
	c := Config{MaxBytes: 1000, ReserveBytes: 100}
	for _, tc := range []struct {
		free, used int64
		want       Admission
	}{{1000, 0, Admit}, {200, 899, Admit}, {199, 0, PauseBackfill}, {1000, 900, PauseBackfill}, {99, 0, Refuse}, {1000, 1000, Refuse}} {
		if got := c.admit(tc.free, tc.used); got != tc.want {
			t.Errorf("free %d, used %d: %v, want %v", tc.free, tc.used, got, tc.want)
		}
	}
	s := open(t, Config{FS: newMemFS(), MaxBytes: 3 << 20})
	put(t, s, newSample(0), sample(0, 2900<<10))
	if _, err := s.Create(New{Priority: Backfill}); !errors.Is(err, ErrFull) {
		t.Fatalf("back-filling near the mark: %v, want ErrFull", err)
	}
	put(t, s, newSample(1), sample(1, 200<<10))
	if _, err := s.Create(New{Priority: Urgent}); !errors.Is(err, ErrFull) {
		t.Fatalf("above the mark: %v, want ErrFull", err)
	}
}

// P7: even with the ballast used up a full disk is transient for receipts, too,
// and the journal stays whole over the record that found no room.
func TestReceiptsWithoutAnyRoomAreTransient(t *testing.T) {
	ctx := context.Background()
	for room := range int64(160) {
		fs := newMemFS()
		cfg := memConfig(fs)
		cfg.BallastBytes, cfg.ReserveBytes = -1, -1
		s := open(t, cfg)
		a, _ := put(t, s, newSample(1), sample(1, 100))
		b, _ := put(t, s, newSample(2), sample(2, 100))
		fs.free = room
		err := s.AtHub(ctx, receipt(a))
		if err != nil && (!errors.Is(err, ErrFull) || errors.Is(err, ErrFailed)) {
			t.Fatalf("room for %d bytes: %v", room, err)
		}
		if err == nil && room < 60 {
			t.Fatalf("no room and no error")
		}
		if err := s.Sweep(ctx); err != nil {
			t.Fatalf("sweep on a full disk: %v", err)
		}
		fs.free = -1
		if err := errors.Join(s.AtHub(ctx, receipt(a)), s.AtHub(ctx, receipt(b)), s.archivedOutright(ctx, receipt(b))); err != nil {
			t.Fatal(err)
		}
		s = open(t, memConfig(fs.powerCut(0, rand.New(rand.NewPCG(1, 1)))))
		if s.Recovery().JournalHoles > 0 || s.Recovery().JournalTorn > 0 {
			t.Fatalf("room for %d bytes: the journal is not whole: %+v", room, s.Recovery())
		}
		wantState(t, s, a.ID, AtHub)
		wantState(t, s, b.ID, Archived)
	}
}

// SPOOL-17: a list whose good part could not be made durable is never told as
// one that merely holds strangers: the hub has to repeat it.
func TestUnfitIsToldOnlyWhenTheRestIsDurable(t *testing.T) {
	ctx := context.Background()
	fs := newMemFS()
	cfg := memConfig(fs)
	cfg.BallastBytes, cfg.ReserveBytes = -1, -1
	s := open(t, cfg)
	o, _ := put(t, s, newSample(1), sample(1, 100))
	mixed := append([]Receipt{{ID: ID{9}, Length: 1}}, receipt(o)...)
	var unfit *UnfitError
	fs.free = 0
	if err := s.archivedOutright(ctx, mixed); !errors.Is(err, ErrFull) || errors.Is(err, ErrUnknown) || errors.As(err, &unfit) {
		t.Fatalf("full journal and a stranger: %v; want ErrFull alone", err)
	}
	wantState(t, s, o.ID, Received)
	fs.free = -1
	if err := s.archivedOutright(ctx, mixed); !errors.As(err, &unfit) || !errors.Is(err, ErrUnknown) {
		t.Fatalf("room and a stranger: %v; want *UnfitError", err)
	}
	wantState(t, s, o.ID, Archived)
}

// P9: on a disk that stays full the refused receipts, and the standing of each
// second, pile up nowhere.
func TestRefusedReceiptsDoNotPileUp(t *testing.T) {
	ctx := context.Background()
	for _, room := range []int64{0, 1, 17, 60} {
		fs := newMemFS()
		cfg := memConfig(fs)
		cfg.BallastBytes, cfg.ReserveBytes = -1, -1
		s := open(t, cfg)
		o, _ := put(t, s, newSample(1), sample(1, 100))
		fs.free = room
		number, bound := s.journal.number, 4*len(s.journal.seg.encodeRecords(new(uint64), s.standingWith(nil), []op{{kind: opAtHub}}))
		for range 1000 {
			if err := s.AtHub(ctx, receipt(o)); !errors.Is(err, ErrFull) {
				t.Fatalf("receipt on a full disk: %v", err)
			}
			s.Count("x", 1)
			if err := s.Sweep(ctx); err != nil {
				t.Fatal(err)
			}
		}
		if n := cap(s.journal.rest); n > bound || s.journal.number > number+1 {
			t.Fatalf("room for %d: %d bytes and %d records wait, want at most one", room, n, s.journal.number-number)
		}
		fs.free = -1
		if err := s.AtHub(ctx, receipt(o)); err != nil {
			t.Fatal(err)
		}
		s = open(t, memConfig(fs.powerCut(0, rand.New(rand.NewPCG(1, 1)))))
		if r := s.Recovery(); r.JournalHoles > 0 || r.JournalTorn > 0 {
			t.Fatalf("room for %d: the journal is not whole: %+v", room, r)
		}
		wantState(t, s, o.ID, AtHub)
	}
}

// P2: with KeepHub, a row "forgotten" of which a part found room on the full disk
// does not come to life behind the hub's word that it lost the object. What the
// spool shows is what the next start finds.
func TestUnfinishedForgettingDoesNotOutliveReoffer(t *testing.T) {
	ctx := context.Background()
	for room := range int64(300) {
		fs := newMemFS()
		cfg := memConfig(fs)
		cfg.BallastBytes, cfg.ReserveBytes, cfg.Keep = -1, -1, KeepHub
		s := open(t, cfg)
		body := sample(1, 100)
		o, _ := put(t, s, newSample(1), body)
		if err := s.AtHub(ctx, receipt(o)); err != nil {
			t.Fatal(err)
		}
		fs.free = room
		if err := s.Sweep(ctx); err != nil {
			t.Fatal(err)
		}
		fs.free = -1
		if err := s.ReofferObjects(ctx, []ID{o.ID}); err != nil {
			t.Fatal(err)
		}
		if err := s.Reoffer(ctx); err != nil {
			t.Fatal(err)
		}
		_, err := s.Object(o.ID)
		here := err == nil
		s = open(t, memConfig(fs.powerCut(0, rand.New(rand.NewPCG(1, 1)))))
		if _, err := s.Object(o.ID); here != (err == nil) {
			t.Fatalf("room for %d bytes: here before the restart: %v, after it: %v", room, here, err)
		}
		if here {
			wantContent(t, s, o.ID, body)
		}
	}
}
