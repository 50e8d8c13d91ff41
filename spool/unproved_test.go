package spool

import (
	"context"
	"math/rand/v2"
	"syscall"
	"testing"
)

// killedBeforeSync leaves a disk on which a whole object is only in the page
// cache: the process was killed between rename and fdatasync, so nobody was told
// that it is safe.
func killedBeforeSync(t *testing.T, cfg Config, n int, body []byte) *memFS {
	t.Helper()
	fs := newMemFS()
	cfg.FS = fs
	s := open(t, cfg)
	put(t, s, newSample(1000+n), sample(1000+n, 700)) // the shard is there, and a mark
	s.Close()
	s = open(t, cfg)
	fs.fault = func(kind, name string) error {
		if kind == "sync" {
			fs.crashAt = fs.ops
			return errPower
		}
		return nil
	}
	if _, _, err := tryPut(s, newSample(n), body); err == nil {
		t.Fatal("acknowledged without a sync")
	}
	return fs.kill()
}

// D-S5, P1: what recovery has only seen in the page cache stays in doubt until
// recovery has ended, also for the next one. Killed before the fdatasync,
// started, and the power fails in the middle of that start: the file may be torn
// now, and it must not answer for the object when the modality sends it again.
func TestRecoveryThatWasCutProvesNothing(t *testing.T) {
	ctx := context.Background()
	body := sample(1, 6000)
	torn := 0
	for cut := 1; cut <= 30; cut++ {
		for seed := range uint64(20) {
			cfg := memConfig(nil)
			disk := killedBeforeSync(t, cfg, 1, body)
			disk.crashAt = cut
			cfg.FS = disk
			if s, err := Open(ctx, cfg); err == nil {
				s.Close()
			}
			disk = disk.powerCut(80, rand.New(rand.NewPCG(seed, uint64(cut))))
			cfg.FS = disk
			s := open(t, cfg)
			if s.Recovery().SetAside > 0 {
				torn++
			}
			put(t, s, newSample(1), body) // answered with success
			wantContent(t, s, idOf(testSeed, body), body)
			s.Close()
		}
	}
	if torn == 0 {
		t.Fatal("no file was ever torn: this proves nothing")
	}
	t.Logf("torn files set aside: %d", torn)
}

// D-S6, P8: when the sync at the end of recovery fails, the next one rewrites
// what that one had seen; the page cache is not believed the second time either.
func TestRecoveryWhoseSyncFailedProvesNothing(t *testing.T) {
	ctx := context.Background()
	body := sample(1, 6000)
	cfg := memConfig(nil)
	disk := killedBeforeSync(t, cfg, 1, body)
	cfg.FS = disk
	disk.fault = func(kind, name string) error {
		if kind == "syncfs" {
			n, err := disk.walk(objectName(2))
			if err != nil {
				return err
			}
			n.bad = true // its pages were thrown away, as Linux does
			return syscall.EIO
		}
		return nil
	}
	if s, err := Open(ctx, cfg); err == nil {
		s.Close()
		t.Fatal("opened although the sync failed")
	}
	disk.fault = nil
	s := open(t, cfg)
	if n := s.Recovery().Rewritten; n == 0 {
		t.Error("nothing was rewritten")
	}
	put(t, s, newSample(1), body)
	cfg.FS = disk.powerCut(0, rand.New(rand.NewPCG(1, 1)))
	s = open(t, cfg)
	wantContent(t, s, idOf(testSeed, body), body)
}
