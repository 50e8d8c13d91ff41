package spool

import (
	"context"
	"errors"
	"slices"
	"testing"
)

// archivedOutright makes objects archived without a receipt before, which no
// caller outside these tests can: it shortens what they have to set up.
func (s *Spool) archivedOutright(ctx context.Context, receipts []Receipt) error {
	return s.record(ctx, opArchived, receipts, anyEntry)
}

// TestWhatNeverWasAtTheHubIsNotArchived (SPOOL-17): a confirmation alone lets
// nothing be forgotten. It is told which ones are to be asked for again; after the
// receipt the same confirmation counts, also when the object was offered again since.
func TestWhatNeverWasAtTheHubIsNotArchived(t *testing.T) {
	ctx := context.Background()
	s := open(t, Config{Dir: t.TempDir()})
	defer s.Close()
	a, _ := put(t, s, newSample(1), sample(1, 10))
	b, _ := put(t, s, newSample(2), sample(2, 10))
	both := append(receipt(a), receipt(b)...)
	if err := s.AtHub(ctx, receipt(b)); err != nil {
		t.Fatal(err)
	}
	if err := s.Reoffer(ctx); err != nil {
		t.Fatal(err)
	}
	var unfit *UnfitError
	if err := s.Archived(ctx, both); !errors.As(err, &unfit) || !slices.Equal(unfit.Early, []ID{a.ID}) || unfit.Unknown+unfit.Mismatched > 0 {
		t.Fatalf("%v, %+v", err, unfit)
	}
	if got, _ := s.Object(a.ID); got.State != Received {
		t.Errorf("a is %s", got.State)
	}
	if got, _ := s.Object(b.ID); got.State != Archived {
		t.Errorf("b is %s", got.State)
	}
	if err := errors.Join(s.AtHub(ctx, receipt(a)), s.Archived(ctx, both)); err != nil {
		t.Fatal(err)
	}
	if got, _ := s.Object(a.ID); got.State != Archived {
		t.Errorf("a is %s after its receipt", got.State)
	}
}

// believes has the archive confirm an object that never had a receipt.
func believes(t *testing.T, s *Spool, o Object) bool {
	t.Helper()
	err := s.Archived(t.Context(), receipt(o))
	if unfit := (*UnfitError)(nil); errors.As(err, &unfit) && slices.Equal(unfit.Early, []ID{o.ID}) {
		return false
	}
	if err != nil {
		t.Fatal(err)
	}
	return true
}

// P2, P14: the receipt was lost with its connection, then the copy here went bad, so
// it is not offered again and no receipt will come. What the archive has is not
// called lost for ever, whether the file is rotten in its place or gone.
func TestOfNoGoodCopyTheArchiveIsBelieved(t *testing.T) {
	for _, gone := range []bool{false, true} {
		fs := newMemFS()
		s := open(t, memConfig(fs))
		o, _ := put(t, s, newSample(1), sample(1, 1000))
		if gone {
			if err := errors.Join(s.Hold(t.Context(), o.ID), fs.Remove(objectName(o.Seq))); err != nil {
				t.Fatal(err)
			}
			s.Close()
			s = open(t, memConfig(fs))
		} else {
			spoil(t, fs, s, o)
		}
		if d := s.Damage(); d.NoOtherCopy != 1 {
			t.Fatalf("%+v; want one damaged", d)
		}
		if !believes(t, s, o) {
			t.Errorf("gone %v: it is asked for again", gone)
		}
		wantState(t, s, o.ID, Archived)
		if d := s.Damage(); d.NoOtherCopy != 0 || d.HubHasCopy != 1 {
			t.Errorf("gone %v: %+v; the archive has it", gone, d)
		}
	}
}

// P2, SPOOL-17: where the copy here is good, or may be, nobody is believed without a
// receipt: not of what is parked, not of what could not be read when it was set
// aside, not of what was taken for damaged and reads well now. That one is offered.
func TestOfACopyThatMayBeGoodTheArchiveIsNotBelieved(t *testing.T) {
	ctx := t.Context()
	s := open(t, memConfig(newMemFS()))
	parked, _ := put(t, s, newSample(1), sample(1, 1000))
	if err := s.Quarantine(ctx, parked.ID, "refused"); err != nil {
		t.Fatal(err)
	}
	if believes(t, s, parked) {
		t.Error("of what is parked it is believed")
	}
	wantState(t, s, parked.ID, Quarantined)

	fs := newMemFS()
	s = open(t, memConfig(fs))
	o, _ := put(t, s, newSample(2), sample(2, 1000))
	spoil(t, fs, s, o)
	rot(t, fs, o) // the same bit again: the cable sits
	if believes(t, s, o) {
		t.Error("of what is whole now it is believed")
	}
	wantState(t, s, o.ID, Received)

	fs = newMemFS()
	s = open(t, memConfig(fs))
	o, _ = put(t, s, newSample(3), sample(3, 1000))
	if err := s.Hold(ctx, o.ID); err != nil { // a row tells whose file it is
		t.Fatal(err)
	}
	s.Close()
	fs = fs.kill()
	s = open(t, memConfig(unreadFS{fs, objectName(o.Seq)}))
	if st := s.Stats(); st.SetAside != 1 {
		t.Fatalf("%+v; want one set aside", st)
	}
	if believes(t, s, o) {
		t.Error("of what lies whole in quarantine it is believed")
	}
	s.Close()
	s = open(t, memConfig(fs))
	wantState(t, s, o.ID, Received)
}

// P2: a good copy that comes after such a confirmation is not let go because of it:
// it is offered, also after a start, and a receipt and a confirmation end it.
func TestAGoodCopyNeedsAReceiptOfItsOwn(t *testing.T) {
	ctx, fs, body := t.Context(), newMemFS(), sample(1, 1000)
	cfg := memConfig(fs)
	cfg.RetainArchived = -1
	s := open(t, cfg)
	o, _ := put(t, s, newSample(1), body)
	spoil(t, fs, s, o)
	if !believes(t, s, o) {
		t.Fatal("it is asked for again")
	}
	put(t, s, newSample(1), body)
	for range 2 {
		if believes(t, s, o) {
			t.Error("of a good copy it is believed without a receipt")
		}
		if err := s.Sweep(ctx); err != nil {
			t.Fatal(err)
		}
		wantContent(t, s, o.ID, body)
		wantState(t, s, o.ID, Received)
		s.Close()
		s = open(t, cfg)
	}
	if err := errors.Join(s.AtHub(ctx, receipt(o)), s.Archived(ctx, receipt(o))); err != nil {
		t.Fatal(err)
	}
	wantState(t, s, o.ID, Archived)
}
