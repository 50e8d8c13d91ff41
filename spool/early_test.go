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
