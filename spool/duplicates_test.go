package spool

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
)

// P4: whatever has become of the first copy, a re-send is a duplicate of it as
// long as it is here, also after a start, and its file stays as it is. When it was
// forgotten the object comes anew.
func TestResendInEveryState(t *testing.T) {
	inBothWays(t, func(t *testing.T, key []byte) {
		ctx := context.Background()
		cfg := Config{Dir: t.TempDir(), Key: key}
		s := open(t, cfg)
		states := []State{Received, Sending, AtHub, Held, Archived, Quarantined}
		objects := make([]Object, len(states))
		for n, as := range states {
			objects[n], _ = put(t, s, newSample(n), sample(n, 30_000))
			err := bring(s, objects[n], as)
			if as == Quarantined {
				err = s.Quarantine(ctx, objects[n].ID, "parked")
			}
			if as == Sending {
				_, _, err = s.TryLease("lane") // the first one
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		before := treeOf(t, filepath.Join(cfg.Dir, objectsDir))
		for range 2 {
			for n, o := range objects {
				again, result := put(t, s, New{Seed: testSeed, Group: "another"}, sample(n, 30_000))
				if result != Duplicate || again.Seq != o.Seq || again.Group != o.Group || string(again.Meta) != string(newSample(n).Meta) {
					t.Fatalf("%v, sent again: %v %+v; want a duplicate of %d", states[n], result, again, o.Seq)
				}
			}
			if after := treeOf(t, filepath.Join(cfg.Dir, objectsDir)); after != before {
				t.Fatalf("files changed:\n%s\n%s", before, after)
			}
			s.Close()
			s = open(t, cfg)
		}
		if c := s.Counters()[CountReceived]; c != uint64(len(states)) {
			t.Errorf("%d received, want %d", c, len(states))
		}
	})
}

// What was forgotten and comes again is a new object with a number of its own.
func TestForgottenAndSentAgain(t *testing.T) {
	ctx := context.Background()
	cfg := Config{Dir: t.TempDir(), RetainArchived: -1}
	s := open(t, cfg)
	body := sample(1, 3000)
	o, _ := put(t, s, newSample(1), body)
	if err := errors.Join(s.archivedOutright(ctx, receipt(o)), s.Sweep(ctx)); err != nil {
		t.Fatal(err)
	}
	again, result := put(t, s, newSample(1), body)
	if result != Fresh || again.Seq <= o.Seq {
		t.Fatalf("%v, number %d; want a new object", result, again.Seq)
	}
	abandon(s)
	s = open(t, cfg)
	wantContent(t, s, o.ID, body)
	wantState(t, s, o.ID, Received)
}

// stuckFS holds the sync of object files until it is let go.
type stuckFS struct {
	*memFS
	gate chan error
}

type stuckFile struct {
	File
	fs stuckFS
}

func (f stuckFS) Create(name string) (File, error) {
	file, err := f.memFS.Create(name)
	if err == nil && filepath.Dir(name) == tmpDir {
		return stuckFile{file, f}, nil
	}
	return file, err
}

func (f stuckFile) Sync() error {
	if err := <-f.fs.gate; err != nil {
		return err
	}
	return f.File.Sync()
}

// P1, P4: the same object on several associations at once. Nobody is answered
// before the one copy is durable; when its sync fails, nobody at all.
func TestTwinsWaitForTheFirstOne(t *testing.T) {
	for _, outcome := range []error{nil, syscall.EIO} {
		synctest.Test(t, func(t *testing.T) {
			fs := stuckFS{newMemFS(), make(chan error)}
			s := open(t, memConfig(fs))
			body := sample(1, 5000)
			const twins = 5
			answers := make(chan error, twins)
			for range twins {
				go func() {
					_, _, err := tryPut(s, newSample(1), body)
					answers <- err
				}()
			}
			synctest.Wait()
			if n := len(answers); n > 0 {
				t.Errorf("%d were answered before the object was durable", n)
			}
			fs.gate <- outcome
			for range twins {
				if err := <-answers; (err == nil) != (outcome == nil) {
					t.Errorf("answered %v although the sync said %v", err, outcome)
				}
			}
			if n := s.Stats().Objects; outcome == nil && n != 1 {
				t.Errorf("%d objects, want one", n)
			}
		})
	}
}

// P1, P4: the power fails at any moment while an object comes on two associations
// at once and again after that: whoever heard success finds it, once.
func TestTwinsSurviveEveryCrashPoint(t *testing.T) {
	body := sample(1, 6000)
	acks := 0
	for at := 1; at <= 45; at++ {
		for _, keep := range []int{0, 50, 100} {
			fs := newMemFS()
			fs.crashAt = at
			acked := twins(fs, body)
			disk := fs.powerCut(keep, rand.New(rand.NewPCG(uint64(at), uint64(keep))))
			s := open(t, memConfig(disk))
			if acked {
				acks++
				wantContent(t, s, idOf(testSeed, body), body)
			}
			put(t, s, newSample(1), body)
			wantContent(t, s, idOf(testSeed, body), body)
			whole := 0
			for _, o := range s.Objects(0, 10) {
				if !o.Lost && !o.Damaged {
					whole++
				}
			}
			if whole != 1 {
				t.Fatalf("cut after %d, %d %% kept: %d objects, want one", at, keep, whole)
			}
			s.Close()
		}
	}
	if acks < 10 {
		t.Fatalf("only %d acknowledged: this proves nothing", acks)
	}
}

// twins says whether anybody heard success.
func twins(fs *memFS, body []byte) bool {
	s, err := Open(context.Background(), memConfig(fs))
	if err != nil {
		return false
	}
	var wg sync.WaitGroup
	var answers [3]error
	for i := range 2 {
		wg.Go(func() { _, _, answers[i] = tryPut(s, newSample(1), body) })
	}
	wg.Wait()
	_, _, answers[2] = tryPut(s, newSample(1), body)
	return answers[0] == nil || answers[1] == nil || answers[2] == nil
}

// P5, SPOOL-9: one SOP Instance UID in two series. Other bytes are another object,
// whatever they are called and wherever they belong: neither overwrites the other, over
// a start as well, and both are told. More of that is in TestOneNameOtherContentsIsTold.
func TestDisaster03OneUIDInTwoSeriesAreTwoObjects(t *testing.T) {
	inBothWays(t, func(t *testing.T, key []byte) {
		cfg := Config{Dir: t.TempDir(), Key: key}
		s := open(t, cfg)
		a, b := sample(1, 4000), sample(1, 4000)
		b[3999] ^= 1
		first, r1 := put(t, s, New{Name: "1.2.3", Group: "study", Part: "series 1", Seed: testSeed}, a)
		second, r2 := put(t, s, New{Name: "1.2.3", Group: "study", Part: "series 2", Seed: testSeed}, b)
		if r1 != Fresh || r2 != Fresh || first.ID == second.ID {
			t.Fatalf("%v %v: want two objects", r1, r2)
		}
		for range 2 {
			wantContent(t, s, first.ID, a)
			wantContent(t, s, second.ID, b)
			conflicting(t, s, first, second)
			s.Close()
			s = open(t, cfg)
		}
	})
}

// P1: a second success is a promise, too. The first copy has rotted and nobody
// has seen it yet; the modality sends the object again, whole. Its answer may be
// the reason why it deletes its own, so one whole copy must be here afterwards.
func TestResendOfARottenObjectIsKept(t *testing.T) {
	for _, how := range []string{"flipped", "cut", "gone"} {
		cfg := Config{Dir: t.TempDir()}
		s := open(t, cfg)
		body := sample(1, 30_000)
		o, _ := put(t, s, newSample(1), body)
		name := filepath.Join(cfg.Dir, objectName(o.Seq))
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		switch how {
		case "flipped":
			b[len(b)/2] ^= 1
			err = os.WriteFile(name, b, 0o600)
		case "cut":
			err = os.Truncate(name, 100)
		case "gone":
			err = os.Remove(name)
		}
		if err != nil {
			t.Fatal(err)
		}
		put(t, s, newSample(1), body)
		if got, err := content(s, o.ID); err != nil || !bytes.Equal(got, body) {
			t.Errorf("%s: the object was sent again and answered with success; now it reads as %d bytes, %v", how, len(got), err)
		}
		s.Close()
	}
}
