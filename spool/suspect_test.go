package spool

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"
)

// once fails the first operation of that kind whose name begins so, and with it
// the writeback of everything.
func once(fs *memFS, kind, prefix string, err error) func(string, string) error {
	done := false
	return func(k, name string) error {
		if done || k != kind || !strings.HasPrefix(name, prefix) {
			return nil
		}
		done = true
		fs.root.lose()
		return err
	}
}

// P8, D-S6: a sync of recovery that fails is final whatever the number of its
// error is: a thin pool says ENOSPC, and the next start does not believe the page
// cache for that.
func TestRecoveryWhoseSyncFailedForLackOfRoomProvesNothing(t *testing.T) {
	syncs := []struct{ kind, name string }{{"syncfs", "."}, {"syncdir", "."}, {"syncdir", journalDir}, {"sync", journalDir}}
	for _, step := range syncs {
		for _, why := range []error{syscall.EIO, syscall.ENOSPC, syscall.EDQUOT, syscall.ENOMEM} {
			t.Run(fmt.Sprint(step.kind, step.name, why), func(t *testing.T) {
				cfg, body := memConfig(nil), sample(1, 6000)
				disk := killedBeforeSync(t, cfg, 1, body)
				disk.fault = once(disk, step.kind, step.name, why)
				cfg.FS = disk
				if _, err := Open(context.Background(), cfg); !errors.Is(err, why) {
					t.Fatalf("start over a failed sync: %v", err)
				}
				s := open(t, cfg)
				put(t, s, newSample(1), body) // answered with success
				cfg.FS = disk.powerCut(0, rand.New(rand.NewPCG(1, 1)))
				wantContent(t, open(t, cfg), idOf(testSeed, body), body)
			})
		}
	}
}

// P8, D-S6: what tells the next start of a failed sync needs no room: the disk may
// be full at that moment, or the process have no descriptor left. Also when the
// process ended before that, when the marker was used already, and without ballast.
func TestMarkerOfAFailedSyncNeedsNoRoom(t *testing.T) {
	for _, why := range []error{syscall.ENOSPC, syscall.EDQUOT, syscall.EMFILE} {
		for _, round := range []int{1, 2} {
			cfg, fs := memConfig(nil), newMemFS()
			cfg.FS, cfg.BallastBytes = fs, -1
			s := open(t, cfg)
			put(t, s, newSample(9), sample(9, 700))
			for i := range round {
				s.Close()
				s = open(t, cfg)
				fs.fault = func(kind, name string) error {
					switch {
					case kind == "sync" && strings.HasPrefix(name, tmpDir):
						return syscall.EIO
					case (kind == "create" || kind == "mkdir") && name == suspectName:
						return why
					}
					return nil
				}
				if _, _, err := tryPut(s, newSample(i), sample(i, 6000)); !errors.Is(err, ErrFailed) {
					t.Fatalf("commit over a failed sync: %v", err)
				}
				fs.fault = nil
			}
			s.Close()
			if s = open(t, cfg); s.Recovery().Rewritten == 0 {
				t.Errorf("%v, round %d: the start did not learn of the failed sync", why, round)
			}
			body := sample(round-1, 6000)
			put(t, s, newSample(round-1), body)
			cfg.FS = fs.powerCut(0, rand.New(rand.NewPCG(1, 1)))
			wantContent(t, open(t, cfg), idOf(testSeed, body), body)
		}
	}
}

// P8: where the marker was not prepared, and is to be made on a full disk, the
// ballast goes for it.
func TestTheBallastGivesRoomForTheMarker(t *testing.T) {
	fs := newMemFS()
	s := open(t, memConfig(fs))
	if err := fs.Remove(calmName); err != nil {
		t.Fatal(err)
	}
	fs.fault = func(kind, name string) error {
		if _, err := fs.walk(ballastName); err == nil && (kind == "create" || kind == "mkdir") {
			return syscall.ENOSPC
		}
		return nil
	}
	_ = s.fail(syscall.EIO)
	if !exists(fs, suspectName) {
		t.Fatal("no marker, and the ballast lies there")
	}
}

// After one start that rewrote, the next ones do not.
func TestMarkerIsTakenBack(t *testing.T) {
	fs := newMemFS()
	s := open(t, memConfig(fs))
	_ = s.fail(syscall.EIO)
	s.Close()
	for i, asDirectory := range []bool{false, true, false} {
		if asDirectory {
			if err := errors.Join(fs.Remove(calmName), fs.Mkdir(suspectName)); err != nil {
				t.Fatal(err)
			}
		}
		s = open(t, memConfig(fs))
		s.Close()
		if exists(fs, suspectName) {
			t.Fatalf("start %d left the marker", i)
		}
	}
}
