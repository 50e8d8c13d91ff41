package spool

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"
)

func sortStrings(s []string) { sort.Strings(s) }

// ledger is what the world outside was told, and so may rely on.
type ledger struct {
	acked    map[ID][]byte // Commit returned nil
	atHub    map[ID]bool   // AtHub returned nil
	asked    map[ID]bool   // Archived was called for it: it may be forgotten from here on
	archived map[ID]bool   // Archived returned nil
	held     map[ID]bool
	order    []ID
	notes    map[string]string   // NoteSet returned nil, and NoteDrop did not after it
	perhaps  map[string][]string // what was asked for since, and not answered well; "" is a drop
}

func newLedger() *ledger {
	return &ledger{acked: map[ID][]byte{}, atHub: map[ID]bool{}, asked: map[ID]bool{}, archived: map[ID]bool{}, held: map[ID]bool{}, notes: map[string]string{}, perhaps: map[string][]string{}}
}

func sha(b []byte) [32]byte { return sha256.Sum256(b) }

// inBoth runs f on plain file systems and on those of encrypted spools.
func inBoth(t *testing.T, f func(t *testing.T, key []byte)) {
	t.Helper()
	t.Run("plain", func(t *testing.T) { f(t, nil) })
	t.Run("encrypted", func(t *testing.T) { f(t, testKey) })
}

func newMemFSWith(key []byte) *memFS {
	fs := newMemFS()
	fs.key = key
	return fs
}

func memConfig(fs FS) Config {
	m, _ := fs.(*memFS)
	if m == nil {
		m = &memFS{}
	}
	return Config{Key: m.key, FS: fs, BallastBytes: 2048, JournalBytes: 4096, RetainArchived: -1}
}

// story is a deterministic life of a spool: objects come, receipts come, some
// are forgotten, and it starts anew in the middle. It ends at the first error,
// which is the power cut.
func story(fs *memFS, l *ledger) error {
	ctx := context.Background()
	for round := range 4 {
		s, err := Open(ctx, memConfig(fs))
		if err != nil {
			return err
		}
		for i := range 6 {
			if err := storyStep(ctx, s, l, round*6+i); err != nil {
				return err
			}
		}
		if err := s.Sweep(ctx); err != nil {
			return err
		}
		if err := s.Close(); err != nil {
			return err
		}
	}
	return nil
}

func storyStep(ctx context.Context, s *Spool, l *ledger, n int) error {
	body := sample(n, 3000+n*100)
	o, _, err := tryPut(s, newSample(n), body)
	if errors.Is(err, ErrFull) { // transient: a modality tries again
		o, _, err = tryPut(s, newSample(n), body)
	}
	if err != nil {
		return err
	}
	l.acked[o.ID] = body
	l.order = append(l.order, o.ID)
	if n%2 == 0 {
		if err := s.AtHub(ctx, receipt(o)); err != nil {
			return err
		}
		l.atHub[o.ID] = true
	}
	switch n % 6 {
	case 1:
		return l.setNote(ctx, s, fmt.Sprint("note ", n%4), string(sample(n, 100+n*60))) // the last ones need a larger ballast
	case 2:
		return l.dropNote(ctx, s, fmt.Sprint("note ", (n+1)%4))
	case 3:
		old := l.order[n-3]
		l.asked[old] = true
		if err := s.archivedOutright(ctx, []Receipt{{ID: old, Length: int64(len(l.acked[old]))}}); err != nil {
			return err
		}
		l.archived[old] = true
	case 4:
		if err := s.Hold(ctx, o.ID); err != nil {
			return err
		}
		l.held[o.ID] = true
	case 5:
		return s.Sweep(ctx)
	}
	return nil
}

// setNote takes a full disk for an answer: whoever wanted the note kept asks again.
func (l *ledger) setNote(ctx context.Context, s *Spool, key, body string) error {
	l.perhaps[key] = append(l.perhaps[key], body)
	err := s.NoteSet(ctx, key, []byte(body))
	if err == nil {
		l.notes[key] = body
		delete(l.perhaps, key)
	}
	return unlessFull(err)
}

func (l *ledger) dropNote(ctx context.Context, s *Spool, key string) error {
	l.perhaps[key] = append(l.perhaps[key], "")
	err := s.NoteDrop(ctx, key, "a key that has none")
	if err == nil {
		delete(l.notes, key)
		delete(l.perhaps, key)
	}
	return unlessFull(err)
}

func unlessFull(err error) error {
	if errors.Is(err, ErrFull) {
		return nil
	}
	return err
}

// checkNotes: what was answered is here, byte for byte, or what was asked for after it.
func (l *ledger) checkNotes(s *Spool) error {
	got := map[string]string{}
	if err := s.Notes("note ", func(key string, body []byte) error { got[key] = string(body); return nil }); err != nil {
		return err
	}
	for n := range 4 {
		key := fmt.Sprint("note ", n)
		if got[key] != l.notes[key] && !slices.Contains(l.perhaps[key], got[key]) {
			return fmt.Errorf("%s reads as %d bytes %.20q, want %d", key, len(got[key]), got[key], len(l.notes[key]))
		}
		delete(got, key)
	}
	if len(got) > 0 {
		return fmt.Errorf("%d notes that nobody set", len(got))
	}
	return nil
}

// check opens what a crash left and compares it with what was promised.
func (l *ledger) check(fs FS) error {
	s, err := Open(context.Background(), memConfig(fs))
	if err != nil {
		return fmt.Errorf("open after the crash: %w", err)
	}
	defer s.Close()
	for id, body := range l.acked {
		if err := l.checkOne(s, id, body); err != nil {
			return err
		}
	}
	return errors.Join(l.checkNotes(s), l.checkRest(s))
}

func (l *ledger) checkOne(s *Spool, id ID, body []byte) error {
	o, err := s.Object(id)
	if errors.Is(err, ErrUnknown) && l.asked[id] && s.tombs.ids[id] > 0 {
		return nil // forgotten, and the row that allowed it is here
	}
	if err != nil {
		return fmt.Errorf("acknowledged object %s: %w", id, err)
	}
	got, err := content(s, id)
	if err != nil || !bytes.Equal(got, body) {
		return fmt.Errorf("acknowledged object %s reads as %d bytes, %v; want %d as stored", id, len(got), err, len(body))
	}
	if l.atHub[id] && o.State != AtHub && o.State != Held && o.State != Archived {
		return fmt.Errorf("object %s is %v although the hub's receipt was taken", id, o.State)
	}
	if l.archived[id] && o.State != Archived {
		return fmt.Errorf("object %s is %v although the archive's word was taken", id, o.State)
	}
	if l.held[id] && !o.Held && o.State != Archived {
		return fmt.Errorf("object %s lost its hold", id)
	}
	return nil
}

// checkRest: whatever else is listed is whole, or said to be lost (checkOne takes
// that for nothing that was acknowledged), and comes in the order of arrival.
func (l *ledger) checkRest(s *Spool) error {
	rank := map[ID]int{}
	for i, id := range l.order {
		rank[id] = i
	}
	last := -1
	for _, o := range s.Objects(0, 1000) {
		if o.Lost {
			continue
		}
		if _, err := content(s, o.ID); err != nil {
			return fmt.Errorf("listed object %s: %w", o.ID, err)
		}
		if i, known := rank[o.ID]; known {
			if i < last {
				return fmt.Errorf("object %d is listed behind object %d", i, last)
			}
			last = i
		}
	}
	return nil
}

// crashPoints is how many operations of the story are followed by a power cut:
// all, or the first 200 where that is more (RELIABILITY R2).
func crashPoints(t *testing.T, key []byte) int {
	fs := newMemFSWith(key)
	if err := story(fs, newLedger()); err != nil {
		t.Fatal(err)
	}
	if fs.ops < 200 {
		t.Fatalf("the story has only %d operations, want at least 200", fs.ops)
	}
	return fs.ops
}

// P1, P2, SPOOL-1..3, 6, 17, 25: whatever the disk keeps of what was not
// synced, what was promised before the cut is true after it.
//
// Encrypted, each point is met by one of the three mixtures: the order of
// operations is the same one.
func TestAcknowledgedSurvivesEveryCrashPoint(t *testing.T) { inBoth(t, everyCrashPoint) }

func everyCrashPoint(t *testing.T, key []byte) {
	points := crashPoints(t, key)
	states := 0
	for at := 1; at <= points; at++ {
		for i, keep := range []int{0, 50, 100} {
			if key != nil && at%3 != i {
				continue
			}
			fs, l := newMemFSWith(key), newLedger()
			fs.crashAt = at
			_ = story(fs, l) // ends with the power cut
			last := fs.log[len(fs.log)-1]
			for mix := range mixtures(last, keep) {
				states++
				disk := fs.powerCut(keep, rand.New(rand.NewPCG(uint64(at), uint64(keep+1000*mix))))
				if err := l.check(disk); err != nil {
					t.Fatalf("power cut after operation %d (%s), %d %% of the rest kept: %v", at, last, keep, err)
				}
			}
		}
	}
	t.Logf("%d crash states", states)
}

// mixtures is how many different ones are tried: more where a file has its name and
// not yet its bytes, because few of them tear the content and leave the seal.
func mixtures(last string, keep int) int {
	if keep == 50 && strings.HasPrefix(last, "rename "+objectsDir) {
		return 6
	}
	return 1
}

// SPOOL-15, SPOOL-16: recovery that is cut itself, at any point, any number of
// times, loses nothing.
func TestRecoveryMayBeCutAnywhere(t *testing.T) { inBoth(t, recoveryIsCut) }

func recoveryIsCut(t *testing.T, key []byte) {
	points, step := crashPoints(t, key), 7
	if key != nil {
		step = 23
	}
	for at := 7; at <= points; at += step {
		fs, l := newMemFSWith(key), newLedger()
		fs.crashAt = at
		_ = story(fs, l)
		rnd := rand.New(rand.NewPCG(uint64(at), 7))
		disk := fs.powerCut(50, rnd)
		for cut := 1; cut <= 40; cut += 3 {
			disk.crashAt, disk.ops = cut, 0
			s, err := Open(context.Background(), memConfig(disk))
			if err == nil {
				s.Close()
			}
			disk = disk.powerCut(50, rnd)
		}
		if err := l.check(disk); err != nil {
			t.Fatalf("power cut after operation %d, then recovery cut again and again: %v", at, err)
		}
	}
}

// D-S5: after SIGKILL a whole object may be only in the page cache. If recovery
// lets it answer a duplicate, or lists it, a power cut must not take it away.
func TestWhatRecoveryShowsIsOnTheDisk(t *testing.T) { inBoth(t, recoveryShowsTheDisk) }

func recoveryShowsTheDisk(t *testing.T, key []byte) {
	points, step := crashPoints(t, key), 1
	if key != nil {
		step = 3
	}
	for at := 1; at <= points; at += step {
		fs, l := newMemFSWith(key), newLedger()
		fs.crashAt = at
		_ = story(fs, l)
		disk := fs.kill()
		s, err := Open(context.Background(), memConfig(disk))
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range s.Objects(0, 1000) {
			body, err := content(s, o.ID)
			if err != nil {
				t.Fatalf("listed object: %v", err)
			}
			if _, result, err := tryPut(s, New{Group: o.Group, Seed: testSeed}, body); err == nil && result == Duplicate {
				l.acked[o.ID] = body
			}
		}
		if err := l.check(disk.powerCut(0, rand.New(rand.NewPCG(1, 1)))); err != nil {
			t.Fatalf("killed after operation %d (%s), recovered, then power cut: %v", at, fs.log[len(fs.log)-1], err)
		}
	}
}

// D-S7, SPOOL-21: the wall clock decides neither order nor deletion.
func TestClockJumpsChangeNothing(t *testing.T) {
	ctx := context.Background()
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	cfg := memConfig(newMemFS())
	cfg.RetainArchived = time.Hour
	cfg.Now = func() time.Time { return now }
	s := open(t, cfg)
	jumps := []time.Time{now, now.AddDate(-10, 0, 0), now.AddDate(10, 0, 0), time.Unix(0, 0), time.Date(2038, 1, 19, 3, 14, 8, 0, time.UTC), now.Add(-time.Hour), now.Add(time.Hour), now}
	var want []ID
	for i, at := range jumps {
		now = at
		o, _ := put(t, s, routineSample(i), sample(i, 1000))
		want = append(want, o.ID)
		if i < 2 {
			if err := s.archivedOutright(ctx, receipt(o)); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Sweep(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(s.Objects(0, 100)); n != len(want) {
		t.Fatalf("%d objects left after the jumps, want %d: none was here for an hour", n, len(want))
	}
	for i, id := range want[2:] {
		o, err := s.Lease(ctx, "lane")
		if err != nil || o.ID != id {
			t.Fatalf("lease %d is object %d, %v; want the order of arrival", i, o.Seq, err)
		}
	}
	for range 61 { // an hour of running, a minute at a time
		now = now.Add(time.Minute)
		if err := s.Sweep(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(s.Objects(0, 100)); n != len(want)-2 {
		t.Fatalf("%d objects left after the hour, want %d", n, len(want)-2)
	}
}

// routineSample is newSample without variety.
func routineSample(n int) New { return New{Group: "g", Priority: Routine, Seed: testSeed} }
