package spool

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"time"
)

// betweenFS lets a test step in before an operation, outside of memFS's lock.
type betweenFS struct {
	*memFS
	beforeRename func(newName string)
	opened       func(name string, f File) (File, error)
}

func (b *betweenFS) Rename(oldName, newName string) error {
	if b.beforeRename != nil {
		b.beforeRename(newName)
	}
	return b.memFS.Rename(oldName, newName)
}

func (b *betweenFS) Open(name string) (File, error) {
	f, err := b.memFS.Open(name)
	if err == nil && b.opened != nil {
		return b.opened(name, f)
	}
	return f, err
}

// P1: the same object comes again and is discarded while its copy proves itself.
// Success is answered only for bytes that are here.
func TestNoSuccessForWhatWasDiscardedWhileItProvedItself(t *testing.T) {
	b := &betweenFS{memFS: newMemFS()}
	s := open(t, memConfig(b))
	o, _ := put(t, s, newSample(1), sample(1, 5000))
	reads, discarded := 0, make(chan error, 1)
	b.opened = func(name string, f File) (File, error) {
		if name == objectName(o.Seq) {
			if reads++; reads == 3 { // the first is for its Meta, the second drops the pages, this one reads all
				discarded <- s.Discard(context.Background(), byAdmin(o))
			}
		}
		return f, nil
	}
	again, result, err := tryPut(s, newSample(1), sample(1, 5000))
	if reads < 3 {
		t.Fatalf("%d reads: nobody discarded anything", reads)
	}
	if derr := <-discarded; derr != nil || err != nil {
		t.Fatalf("discard %v, commit %v", derr, err)
	}
	if result != Fresh {
		t.Fatalf("commit says %v; want a new object", result)
	}
	wantContent(t, s, again.ID, sample(1, 5000))
}

// P2: Discard never says done of what stays. The damaged copy that it names gives
// way to a good one in the very flush that was to let it go.
func TestDiscardDoesNotSayDoneOfWhatStays(t *testing.T) {
	s := open(t, memConfig(newMemFS()))
	o, _ := put(t, s, newSample(1), sample(1, 100))
	if err := s.markDamaged(o.ID, o.Seq, errors.New("x")); err != nil {
		t.Fatal(err)
	}
	good, _ := put(t, s, newSample(1), sample(1, 100))
	if err := s.Discard(context.Background(), byAdmin(o)); !errors.Is(err, ErrUnknown) {
		t.Fatalf("discard of the damaged copy: %v, want ErrUnknown", err)
	}
	wantContent(t, s, good.ID, sample(1, 100))
	if n := s.Counters()[CountDiscarded]; n != 0 {
		t.Fatalf("%d counted as discarded", n)
	}
	if err := s.Discard(context.Background(), byAdmin(good)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Object(o.ID); !errors.Is(err, ErrUnknown) {
		t.Fatalf("after the discard: %v", err)
	}
}

// D-S11: an object that becomes durable behind its group's event, with a lower
// number than the newest in it, makes the next one, also over a crash.
func TestALateCommitIsNotTakenForTold(t *testing.T) {
	for _, crash := range []bool{false, true} {
		c := newClock()
		b := &betweenFS{memFS: newMemFS()}
		s := open(t, groupConfig(b, c))
		put(t, s, inGroup("other", "p"), sample(50, 100))
		at, free, once := make(chan struct{}), make(chan struct{}), sync.Once{}
		b.beforeRename = func(name string) {
			if name == objectName(2) {
				once.Do(func() { close(at); <-free })
			}
		}
		late := make(chan error, 1)
		go func() { _, _, err := tryPut(s, inGroup("g", "p"), sample(1, 100)); late <- err }()
		<-at
		put(t, s, inGroup("g", "p"), sample(2, 100))
		c.run(t, s, 2*time.Minute)
		for _, ev := range s.GroupEvents(10) {
			if err := s.AckGroup(context.Background(), ev); err != nil {
				t.Fatal(err)
			}
		}
		close(free)
		if err := <-late; err != nil {
			t.Fatal(err)
		}
		if crash {
			s = open(t, groupConfig(b.powerCut(0, rand.New(rand.NewPCG(1, 1))), c))
		}
		c.run(t, s, 5*time.Minute)
		wantEvent(t, s, GroupChanged, 2, 2)
	}
}

// P6: no room for the row that parks a poison object. It is offered again, later,
// and parked when there is room.
func TestAPoisonObjectIsNotLostOnAFullDisk(t *testing.T) {
	c := newClock()
	fs := newMemFS()
	cfg := memConfig(fs)
	cfg.MaxTries, cfg.BallastBytes, cfg.ReserveBytes = 1, -1, -1
	cfg.Now = func() time.Time { return c.now }
	s := open(t, cfg)
	o, _ := put(t, s, newSample(1), sample(1, 100))
	if _, ok, err := s.TryLease("lane"); !ok || err != nil {
		t.Fatal(ok, err)
	}
	fs.free = 0
	if err := s.Return(o.ID, 0, Poison(errors.New("refused"))); !errors.Is(err, ErrFull) {
		t.Fatalf("return on a full disk: %v, want ErrFull", err)
	}
	wantState(t, s, o.ID, Received)
	if _, ok, _ := s.TryLease("lane"); ok {
		t.Fatal("offered again at once")
	}
	fs.free = -1
	c.now = c.now.Add(parkAgain)
	if _, ok, err := s.TryLease("lane"); !ok || err != nil {
		t.Fatalf("not offered again: %v", err)
	}
	if err := s.Return(o.ID, 0, Poison(errors.New("refused"))); err != nil {
		t.Fatal(err)
	}
	wantState(t, s, o.ID, Quarantined)
}

// P14: somebody else finds an object damaged while it is being read, and what is read
// is still whole. The finding is newer: it stays until a later reading says otherwise.
func TestDamageFoundMeanwhileIsNotTakenBack(t *testing.T) {
	b := &betweenFS{memFS: newMemFS()}
	s := open(t, memConfig(b))
	o, _ := put(t, s, newSample(1), sample(1, 5000))
	if err := s.markDamaged(o.ID, o.Seq, errors.New("a first time")); err != nil {
		t.Fatal(err)
	}
	found := false
	b.opened = func(name string, f File) (File, error) {
		if name == objectName(o.Seq) && !found {
			found = true
			if err := s.markDamaged(o.ID, o.Seq, errors.New("found meanwhile")); err != nil {
				t.Error(err)
			}
		}
		return f, nil
	}
	if err := s.Verify(context.Background(), o.ID); err != nil || !found {
		t.Fatalf("%v, found %v", err, found)
	}
	wantState(t, s, o.ID, Quarantined)
	if err := s.Verify(context.Background(), o.ID); err != nil {
		t.Fatal(err)
	}
	wantState(t, s, o.ID, Received)
}
