package spool

import (
	"context"
	"errors"
	"io"
	"sync"
	"testing"
	"time"
)

// Everything at the same time: modalities write and repeat themselves, lanes
// send, receipts and confirmations come, Run forgets, a page looks. In the end
// every object went through once, and nothing is left.
func TestEverythingAtOnce(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	dir := t.TempDir()
	cfg := Config{Dir: dir, RetainArchived: -1, JournalBytes: 16 << 10, BallastBytes: 64 << 10}
	s := open(t, cfg)
	const writers, each, lanes = 6, 40, 4
	runCtx, stop := context.WithCancel(ctx)
	var wg, lanesDone sync.WaitGroup
	wg.Go(func() {
		if err := s.Run(runCtx); err != nil {
			t.Error(err)
		}
	})
	wg.Go(func() { lookOn(runCtx, s) })
	for range lanes {
		lanesDone.Go(func() { carry(runCtx, t, s) })
	}
	var writing sync.WaitGroup
	for w := range writers {
		writing.Go(func() {
			for i := range each {
				n := (w/2)*each + i // two writers send each object
				if _, _, err := tryPut(s, newSample(n), sample(n, 1000+n*50)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	writing.Wait()
	for s.Stats().Objects > 0 && ctx.Err() == nil {
		w := s.Watch(1)
		select {
		case <-w.C:
		case <-time.After(10 * time.Millisecond):
		}
		w.Close()
	}
	stop()
	lanesDone.Wait()
	wg.Wait()
	c := s.Counters()
	if s.Stats().Objects != 0 || c[CountReceived] < writers/2*each || c[CountReceived] != c[CountArchived] || c[CountAtHub] != c[CountArchived] || c[CountQuarantined] != 0 {
		t.Fatalf("%+v %v", s.Stats(), c)
	}
	s.Close()
	s = open(t, cfg)
	if got := s.Counters(); s.Stats().Objects != 0 || got[CountReceived] != c[CountReceived] || got[CountArchived] != c[CountArchived] {
		t.Fatalf("after restart: %v, want %v", got, c)
	}
}

// carry is a lane: lease, read, receipt, confirmation. Each tenth is given back first.
func carry(ctx context.Context, t *testing.T, s *Spool) {
	for n := 0; ; n++ {
		o, err := s.Lease(ctx, "lane")
		if err != nil {
			if ctx.Err() == nil {
				t.Error(err)
			}
			return
		}
		if n%10 == 0 {
			if err := s.Return(o.ID, time.Millisecond, errors.New("line is down")); err != nil {
				t.Error(err)
			}
			continue
		}
		c, err := s.Open(o.ID)
		if err != nil {
			t.Error(err)
			return
		}
		_, err = io.Copy(io.Discard, c.Checked(o.Length/2))
		c.Close()
		if err = errors.Join(err, s.AtHub(ctx, receipt(o)), s.archivedOutright(ctx, receipt(o))); err != nil && ctx.Err() == nil {
			t.Error(err)
			return
		}
	}
}

// lookOn is a page that lists all the time.
func lookOn(ctx context.Context, s *Spool) {
	for ctx.Err() == nil {
		s.Objects(0, 50)
		s.Groups(10)
		s.GroupObjects("group 1", 10)
		s.Forgotten(10)
		s.Stats()
	}
}

// BenchmarkMemory shows what a million waiting objects cost in memory.
func BenchmarkMemory(b *testing.B) {
	for b.Loop() {
		s := open(b, memConfig(newMemFS()))
		before := heapInUse()
		const objects = 200_000
		s.mu.Lock()
		for n := range objects {
			id := ID(sha([]byte{byte(n), byte(n >> 8), byte(n >> 16)}))
			s.publish(&entry{facts: facts{id: id}, seq: uint64(n + 1), content: 1, group: s.intern("g")})
		}
		s.stale = nil
		s.mu.Unlock()
		b.ReportMetric(float64(heapInUse()-before)/objects, "bytes/object")
		s.Close()
	}
}
