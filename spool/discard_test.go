package spool

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"testing"
)

func byAdmin(o Object) Discard {
	return Discard{Seq: o.Seq, ID: o.ID, By: "admin", Reason: "test pattern"}
}

// discardable are objects that are stuck, each in its own way, made by ready on
// a spool with one other object, which has to stay.
var discardable = []struct {
	name  string
	ready func(t *testing.T, fs *memFS, s *Spool, o Object) *Spool
}{
	{"received", func(_ *testing.T, _ *memFS, s *Spool, _ Object) *Spool { return s }},
	{"at hub", func(t *testing.T, _ *memFS, s *Spool, o Object) *Spool { return must(t, s, bring(s, o, AtHub)) }},
	{"held", func(t *testing.T, _ *memFS, s *Spool, o Object) *Spool { return must(t, s, bring(s, o, Held)) }},
	{"archived", func(t *testing.T, _ *memFS, s *Spool, o Object) *Spool { return must(t, s, bring(s, o, Archived)) }},
	{"sending", func(t *testing.T, _ *memFS, s *Spool, _ Object) *Spool {
		_, _, err := s.TryLease("lane")
		return must(t, s, err)
	}},
	{"parked", func(t *testing.T, _ *memFS, s *Spool, o Object) *Spool {
		return must(t, s, s.Quarantine(context.Background(), o.ID, "no"))
	}},
	{"damaged", func(t *testing.T, fs *memFS, s *Spool, o Object) *Spool {
		spoil(t, fs, s, o)
		return s
	}},
	{"set aside", func(t *testing.T, fs *memFS, s *Spool, o Object) *Spool {
		return cripple(t, fs, s, o, func(b []byte) []byte { b[len(b)-1] ^= 1; return b })
	}},
	{"set aside, nobody knows what", func(t *testing.T, fs *memFS, s *Spool, o Object) *Spool {
		return cripple(t, fs, s, o, func(b []byte) []byte { return b[:90] })
	}},
	{"missing", func(t *testing.T, fs *memFS, s *Spool, o Object) *Spool {
		must(t, s, bring(s, o, AtHub))
		s.Close()
		must(t, s, errors.Join(fs.Remove(objectName(o.Seq)), fs.SyncDir(shardName(o.Seq))))
		return open(t, s.cfg)
	}},
}

func must(t *testing.T, s *Spool, err error) *Spool {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// cripple damages the file of o between two starts, below the mark.
func cripple(t *testing.T, fs *memFS, s *Spool, o Object, how func([]byte) []byte) *Spool {
	t.Helper()
	s.Close()
	n, err := fs.walk(objectName(o.Seq))
	if err != nil {
		t.Fatal(err)
	}
	n.data = how(n.data)
	n.synced = bytes.Clone(n.data)
	return open(t, s.cfg)
}

// P2: what an administrator discards goes, whatever became of it, and nothing
// else does; however the power fails it is either here as before or gone, once
// that was answered it is gone for good, and it is counted once.
func TestDiscardedIsGoneHoweverThePowerFails(t *testing.T) {
	for _, tc := range discardable {
		t.Run(tc.name, func(t *testing.T) {
			for _, keep := range []int{0, 50, 100} {
				for crash := range 12 {
					discardOnce(t, tc.ready, keep, crash)
				}
			}
		})
	}
}

func discardOnce(t *testing.T, ready func(*testing.T, *memFS, *Spool, Object) *Spool, keep, crash int) {
	t.Helper()
	ctx := context.Background()
	fs := newMemFS()
	cfg := memConfig(fs)
	cfg.RetainArchived = 0
	s := open(t, cfg)
	o, _ := put(t, s, newSample(1), sample(1, 1000))
	other, _ := put(t, s, newSample(2), sample(2, 1000))
	s = ready(t, fs, s, o)
	o = s.Objects(0, 1)[0]
	want := s.Counters()
	if crash > 0 {
		fs.crashAt = fs.ops + crash
	}
	acked := s.Discard(ctx, byAdmin(o)) == nil
	if crash == 0 && !acked {
		t.Fatal("not discarded")
	}
	for range 2 {
		if crash > 0 {
			cfg.FS = fs.powerCut(keep, rand.New(rand.NewPCG(uint64(crash), uint64(keep))))
			s = open(t, cfg)
		}
		left := s.Objects(0, 10)
		if gone := len(left) == 1; acked && !gone || left[len(left)-1].ID != other.ID {
			t.Fatalf("crash after %d, answered %v: left is %+v", crash, acked, left)
		}
		c := s.Counters()
		if c[CountReceived] != want[CountReceived] || c[CountDiscarded] != uint64(2-len(left)) {
			t.Fatalf("crash after %d, %d left: %v, before: %v", crash, len(left), c, want)
		}
		if crash = 0; len(left) == 1 {
			wantFiles(t, s, 1)
		}
		s.Close()
		s = open(t, cfg)
	}
	if f := s.Forgotten(10); acked && (len(f) != 1 || !f[0].Discarded || f[0].By != "admin" || f[0].Reason != "test pattern" || f[0].DiscardedAt.IsZero()) {
		t.Fatalf("what is left of it: %+v", f)
	}
}

// wantFiles counts the files that hold objects, in whatever folder.
func wantFiles(t *testing.T, s *Spool, want int) {
	t.Helper()
	here, err := s.fs.ReadDir(shardName(1))
	aside, err2 := s.fs.ReadDir(quarantineDir)
	if err = errors.Join(err, err2); err != nil || len(here)+len(aside) != want {
		t.Fatalf("files %v %v, %v; want %d", here, aside, err, want)
	}
}

// P2, P4: a discarded object that comes again is a new one. Who had it leased and
// who confirms it late do no harm.
func TestDiscardedComesAgainAsANewObject(t *testing.T) {
	ctx := context.Background()
	s := open(t, memConfig(newMemFS()))
	body := sample(1, 1000)
	o, _ := put(t, s, newSample(1), body)
	if _, err := s.Lease(ctx, "lane"); err != nil {
		t.Fatal(err)
	}
	w := s.Watch(1)
	defer w.Close()
	if err := s.Discard(ctx, byAdmin(o)); err != nil {
		t.Fatal(err)
	}
	if ev := <-w.C; !ev.Discarded || !ev.Forgotten || ev.Seq != o.Seq {
		t.Fatalf("told: %+v", ev)
	}
	if err := s.Return(o.ID, 0, nil); !errors.Is(err, ErrUnknown) {
		t.Fatalf("return of the lease: %v, want ErrUnknown", err)
	}
	if err := s.AtHub(ctx, receipt(o)); err != nil {
		t.Fatalf("a receipt that comes late: %v", err)
	}
	again, result := put(t, s, newSample(1), body)
	if result != Fresh || again.Seq == o.Seq || again.State != Received {
		t.Fatalf("sent again: %+v %v, want a fresh object", again, result)
	}
	wantContent(t, s, o.ID, body)
	if c := s.Counters(); c[CountReceived] != 2 || c[CountDiscarded] != 1 {
		t.Fatalf("counters: %v", c)
	}
	if err := s.Discard(ctx, byAdmin(o)); !errors.Is(err, ErrUnknown) {
		t.Fatalf("discarding the old number: %v, want ErrUnknown", err)
	}
	wantContent(t, s, o.ID, body)
}

// P2: nothing goes without a name and a reason, and nothing but what was meant.
func TestDiscardAsksWhoAndWhy(t *testing.T) {
	s := open(t, memConfig(newMemFS()))
	a, _ := put(t, s, newSample(1), sample(1, 100))
	b, _ := put(t, s, newSample(2), sample(2, 100))
	for _, d := range []Discard{{}, {ID: a.ID, By: "x"}, {ID: a.ID, Reason: "x"}, {By: "x", Reason: "x"},
		{Seq: a.Seq, ID: b.ID, By: "x", Reason: "x"}, {Seq: a.Seq, By: "x", Reason: "x"}, {Seq: 99, ID: a.ID, By: "x", Reason: "x"}} {
		if err := s.Discard(context.Background(), d); err == nil {
			t.Fatalf("%+v was taken", d)
		}
	}
	if n := len(s.Objects(0, 10)); n != 2 {
		t.Fatalf("%d objects left, want 2", n)
	}
}

// Two who discard the same object in one flush let one object go; a receipt in
// the same flush does not bring it back as missing.
func TestNothingIsSaidBehindTheLastRowOfAnObject(t *testing.T) {
	fs := newMemFS()
	cfg := memConfig(fs)
	s := open(t, cfg)
	o, _ := put(t, s, newSample(1), sample(1, 100))
	s.mu.Lock()
	row := s.atSeq(o.Seq).letGo(1)
	s.mu.Unlock()
	row.discard, row.by, row.reason = true, "a", "b"
	if err := s.oblige(row, row, op{kind: opAtHub, seq: o.Seq, id: o.ID, at: 1}); err != nil {
		t.Fatal(err)
	}
	if c := s.Counters(); c[CountDiscarded] != 1 || c[CountAtHub] != 0 {
		t.Fatalf("counters: %v", c)
	}
	cfg.FS = fs.powerCut(0, rand.New(rand.NewPCG(1, 1)))
	s = open(t, cfg)
	wantLost(t, s, 0, 0)
}

// D-S7: an object that is discarded while an older one is still being stored,
// above the mark, is counted once, however often the journal is written.
func TestDiscardAboveTheMarkIsCountedOnce(t *testing.T) {
	ctx := context.Background()
	fs := newMemFS()
	cfg := memConfig(fs)
	s := open(t, cfg)
	s.mu.Lock()
	s.inflight[s.next] = struct{}{} // an object that takes its time
	s.next++
	s.mu.Unlock()
	o, _ := put(t, s, newSample(1), sample(1, 100))
	if err := s.Discard(ctx, byAdmin(o)); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		s.Count("x", 1)
		if err := s.writeStanding(); err != nil {
			t.Fatal(err)
		}
	}
	cfg.FS = fs.powerCut(0, rand.New(rand.NewPCG(1, 1)))
	s = open(t, cfg)
	if c := s.Counters(); c[CountReceived] != 1 || c[CountDiscarded] != 1 {
		t.Fatalf("counters: %v; want one received, one discarded", c)
	}
}
