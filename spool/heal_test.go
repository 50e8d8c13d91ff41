package spool

import (
	"context"
	"errors"
	"math/rand/v2"
	"testing"
	"time"
)

// spoil flips a bit of the content and has it found.
func spoil(t *testing.T, fs *memFS, s *Spool, o Object) {
	t.Helper()
	n, err := fs.walk(objectName(o.Seq))
	if err != nil {
		t.Fatal(err)
	}
	n.data[len(n.data)-sealSize-1] ^= 1
	n.synced = append([]byte(nil), n.data...)
	if err := s.Verify(context.Background(), o.ID); !errors.Is(err, ErrCorrupt) {
		t.Fatalf("verify: %v, want ErrCorrupt", err)
	}
}

// P14: damage shows, whatever the state, also after a restart; the archive's word
// is not taken back by it.
func TestDamageOfAnArchivedObjectShows(t *testing.T) {
	ctx := context.Background()
	fs := newMemFS()
	cfg := memConfig(fs)
	cfg.RetainArchived = time.Hour
	s := open(t, cfg)
	o, _ := put(t, s, newSample(1), sample(1, 100))
	put(t, s, newSample(2), sample(2, 100))
	if err := s.archivedOutright(ctx, receipt(o)); err != nil {
		t.Fatal(err)
	}
	spoil(t, fs, s, o)
	for range 2 {
		got, err := s.Object(o.ID)
		if err != nil || got.State != Archived || !got.Damaged || got.Reason == "" {
			t.Fatalf("%+v, %v; want archived, damaged, with a reason", got, err)
		}
		if n := s.Stats().Damaged; n != 1 {
			t.Fatalf("%d objects are damaged, want 1", n)
		}
		s.Close()
		s = open(t, cfg)
	}
}

// P4: a damaged object that is sent again is one object, in every sum, as far as
// it had come; its good copy is what is read, and the damaged file goes. However
// the power fails.
func TestResendHealsAndIsOneObject(t *testing.T) {
	for _, as := range []State{Received, AtHub, Held, Archived} {
		for _, keep := range []int{0, 50, 100} {
			for crash := range 40 {
				healOnce(t, as, keep, crash)
			}
		}
	}
}

func healOnce(t *testing.T, as State, keep, crash int) {
	t.Helper()
	ctx := context.Background()
	fs := newMemFS()
	cfg := memConfig(fs)
	cfg.RetainArchived = time.Hour
	s := open(t, cfg)
	body := sample(1, 100)
	o, _ := put(t, s, newSample(1), body)
	put(t, s, newSample(4), sample(4, 100)) // in the same group
	if err := errors.Join(bring(s, o, as), s.Sweep(ctx)); err != nil {
		t.Fatal(err)
	}
	spoil(t, fs, s, o)
	want := s.Counters()
	if crash > 0 {
		fs.crashAt = fs.ops + crash
	}
	again, _, err := tryPut(s, newSample(1), body)
	acked := err == nil
	swept := errors.Join(err, s.Sweep(ctx)) == nil
	if crash > 0 {
		cfg.FS = fs.powerCut(keep, rand.New(rand.NewPCG(uint64(crash), uint64(keep))))
		s = open(t, cfg)
		if err := s.Sweep(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if !acked && s.Stats().Damaged > 0 {
		return // the good copy never came
	}
	wantContent(t, s, o.ID, body)
	wantState(t, s, o.ID, as)
	if got, _ := s.Object(o.ID); acked && got.Seq != again.Seq || got.Damaged || got.Reason != "" {
		t.Fatalf("%v, crash after %d: %+v; want the good copy", as, crash, got)
	}
	st, groups := s.Stats(), s.Groups(10)
	if st.Objects != 2 || st.Damaged != 0 || len(groups) != 1 || groups[0].Objects+groups[0].Forgotten != 2 {
		t.Fatalf("%v, crash after %d: %+v %+v; want two objects", as, crash, st, groups)
	}
	for _, name := range []string{CountReceived, CountAtHub, CountArchived} {
		if got := s.Counters()[name]; got != want[name] {
			t.Fatalf("%v, crash after %d (acked %v, swept %v): %d %s, want %d", as, crash, acked, swept, got, name, want[name])
		}
	}
	if len(s.Forgotten(10)) != 0 {
		t.Fatal("the damaged copy is listed as a forgotten object")
	}
	if names, _ := s.fs.ReadDir(shardName(1)); len(names) != 2 {
		t.Fatalf("%v, crash after %d: files %v, want two", as, crash, names)
	}
}

// bring takes an object to a state.
func bring(s *Spool, o Object, as State) error {
	ctx := context.Background()
	switch as {
	case AtHub:
		return s.AtHub(ctx, receipt(o))
	case Held:
		return errors.Join(s.AtHub(ctx, receipt(o)), s.Hold(ctx, o.ID))
	case Archived:
		return errors.Join(s.AtHub(ctx, receipt(o)), s.archivedOutright(ctx, receipt(o)))
	}
	return nil
}

// DESIGN 7: what is said of an object between its healing and the row about that
// is said of the good copy, and stands after a power cut: here, that the hub
// lost it, in the same round.
func TestWhatFollowsHealingStandsBehindIt(t *testing.T) {
	ctx := context.Background()
	fs := newMemFS()
	cfg := memConfig(fs)
	s := open(t, cfg)
	body := sample(1, 100)
	o, _ := put(t, s, newSample(1), body)
	if err := s.AtHub(ctx, receipt(o)); err != nil {
		t.Fatal(err)
	}
	spoil(t, fs, s, o)
	again, _ := put(t, s, newSample(1), body)
	wantState(t, s, o.ID, AtHub)
	if err := s.ReofferObjects(ctx, []ID{o.ID}); err != nil {
		t.Fatal(err)
	}
	cfg.FS = fs.powerCut(0, rand.New(rand.NewPCG(1, 1)))
	for range 2 {
		wantState(t, s, o.ID, Received)
		wantContent(t, s, o.ID, body)
		s.Close()
		s = open(t, cfg)
	}
	// A receipt that was checked against the damaged copy counts for the good one.
	if err := s.oblige(op{kind: opAtHub, seq: o.Seq, id: o.ID, at: 1}); err != nil {
		t.Fatal(err)
	}
	wantState(t, s, o.ID, AtHub)
	if again.Seq == o.Seq {
		t.Fatal("the damaged file was overwritten")
	}
}
