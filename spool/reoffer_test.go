package spool

import (
	"context"
	"errors"
	"math/rand/v2"
	"testing"
	"time"
)

// DESIGN 7, Again: the hub lost its copy of some objects. Exactly these are sent
// again, durably, however often it is said; what is archived stays archived, and
// the archive's counters count once.
func TestReofferObjectsTakesBackExactlyThese(t *testing.T) {
	ctx := context.Background()
	fs := newMemFS()
	cfg := memConfig(fs)
	cfg.RetainArchived = time.Hour
	s := open(t, cfg)
	var o []Object
	for n := range 4 {
		one, _ := put(t, s, routineSample(n), sample(n, 10))
		o = append(o, one)
		if err := s.AtHub(ctx, receipt(one)); err != nil {
			t.Fatal(err)
		}
	}
	atHub, held, archived, other := o[0], o[1], o[2], o[3]
	lost := []ID{atHub.ID, held.ID, archived.ID, {0xaa}}
	if err := errors.Join(s.Hold(ctx, held.ID), s.archivedOutright(ctx, receipt(archived)), s.ReofferObjects(ctx, lost), s.ReofferObjects(ctx, lost)); err != nil {
		t.Fatal(err)
	}
	want := func() {
		t.Helper()
		wantState(t, s, atHub.ID, Received)
		wantState(t, s, held.ID, Received)
		wantState(t, s, archived.ID, Archived)
		wantState(t, s, other.ID, AtHub)
	}
	want()
	fs = fs.powerCut(0, rand.New(rand.NewPCG(1, 1)))
	for range 2 { // replayed from the record, then from the snapshot
		cfg.FS = fs
		s = open(t, cfg)
		want()
		s.Close()
	}
	s = open(t, cfg)
	for _, id := range []ID{atHub.ID, held.ID} {
		if l, ok, err := s.TryLease("lane"); err != nil || !ok || l.ID != id {
			t.Fatalf("leased %+v, %v", l, err)
		}
	}
	if _, ok, _ := s.TryLease("lane"); ok {
		t.Fatal("something else was offered, too")
	}
	if err := s.AtHub(ctx, append(receipt(atHub), receipt(held)...)); err != nil {
		t.Fatal(err)
	}
	wantState(t, s, atHub.ID, AtHub)
	wantState(t, s, held.ID, Held)
	if c := s.Counters(); c[CountAtHub] != 4 || c[CountArchived] != 1 {
		t.Fatalf("counters %v, want 4 at the hub and 1 archived", c)
	}
}

// P2: with KeepHub, an object that the hub lost is not forgotten on the word
// that the hub took back in the same round.
func TestReofferObjectsBeatsForgettingInTheSameRound(t *testing.T) {
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
	again := op{kind: opReofferOne, seq: o.Seq, id: o.ID}
	if err := s.oblige(append([]op{again}, forget...)...); err != nil {
		t.Fatal(err)
	}
	wantState(t, s, o.ID, Received)
}
