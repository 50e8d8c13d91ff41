package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"syscall"
	"testing"
	"time"

	"edged/spool"
	"edged/uplink"
)

// openFeed is a feed on an empty spool of its own.
func openFeed(t *testing.T) (*spool.Spool, *feed) {
	t.Helper()
	s, err := spool.Open(t.Context(), spool.Config{Dir: t.TempDir(), AllowUnsafeFilesystem: true, BallastBytes: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	k := newKeeper(spool.Config{}, slog.New(slog.DiscardHandler), func() {})
	k.set(s, nil)
	return s, &feed{keeper: k, log: k.log}
}

// P2: what is not durable here is never acknowledged, also when the same list
// names an object that is not here; what merely is not here always is, or the
// hub would repeat it for ever.
func TestOnlyDurableStatementsAreAcknowledged(t *testing.T) {
	stranger := &spool.UnfitError{Unknown: 1, Err: spool.ErrUnknown}
	for _, tc := range []struct {
		what  string
		err   error
		acked bool
	}{
		{"all is durable", nil, true},
		{"a stranger, the rest is durable", stranger, true},
		{"another length, the rest is durable", &spool.UnfitError{Mismatched: 1, Err: spool.ErrMismatch}, true},
		{"full journal", spool.ErrFull, false},
		{"full journal and a stranger", errors.Join(spool.ErrFull, spool.ErrUnknown), false},
		{"failed spool and another length", errors.Join(spool.ErrFailed, spool.ErrMismatch), false},
		{"closed spool", fmt.Errorf("at hub: %w", spool.ErrClosed), false},
		{"out of time and a stranger", errors.Join(context.Canceled, spool.ErrUnknown), false},
	} {
		if got := unfit(slog.New(slog.DiscardHandler), tc.err); (got == nil) != tc.acked {
			t.Errorf("%s: %v, want acknowledged: %v", tc.what, got, tc.acked)
		}
	}
}

// The same with a spool behind it: a stranger in the list is passed over, the
// object that is here counts, and once the spool is gone nothing is taken.
func TestReceiptsOfStrangersArePassedOver(t *testing.T) {
	ctx := context.Background()
	s, f := openFeed(t)
	w, err := s.Create(spool.New{})
	if err != nil {
		t.Fatal(err)
	}
	o, _, err := w.Commit(ctx)
	if err != nil {
		t.Fatal(err)
	}
	said := []uplink.Confirmation{{ID: [32]byte{9}, Length: 1, At: time.Now()}, {ID: [32]byte(o.ID), At: time.Now()}}
	var early *uplink.EarlyError
	if err := f.Archived(ctx, said); !errors.As(err, &early) || len(early.IDs) != 1 {
		t.Fatalf("%v: what never had a receipt is believed to be archived", err)
	}
	receipts := []uplink.Receipt{{ID: [32]byte{9}, Length: 1}, {ID: [32]byte(o.ID)}}
	if err := errors.Join(f.AtHub(ctx, receipts), f.Archived(ctx, said)); err != nil {
		t.Fatal(err)
	}
	if o, err = s.Object(o.ID); err != nil || o.State != spool.Archived {
		t.Fatalf("%v, %v; want archived", o.State, err)
	}
	s.Close()
	if err := f.Archived(ctx, said); !errors.Is(err, spool.ErrClosed) {
		t.Fatalf("after the end of the spool: %v", err)
	}
}

// P6: an object whose Meta is not ours is parked with a reason, and its lease
// goes: one that stayed would hide it for ever.
func TestForeignMetaIsParkedAndNotLeased(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s, f := openFeed(t)
	w, err := s.Create(spool.New{Meta: []byte("not ours")})
	if err != nil {
		t.Fatal(err)
	}
	o, _, err := w.Commit(ctx)
	if err != nil {
		t.Fatal(err)
	}
	leased, ok, err := s.TryLease(leaseOwner)
	if err != nil || !ok {
		t.Fatal(err)
	}
	leased.Meta = nil // what a list shows when the file could not be opened
	if _, ok := f.offer(s, leased); ok {
		t.Fatal("it was offered")
	}
	if o, err = s.Object(o.ID); err != nil || o.State != spool.Quarantined || o.Owner != "" || o.Reason == "" {
		t.Fatalf("%+v, %v; want parked with a reason and without an owner", o, err)
	}
}

// A file that cannot be read just now is no damage: the object rests, unharmed.
func TestUnreadableForNowIsGivenBack(t *testing.T) {
	ctx := context.Background()
	s, f := openFeed(t)
	w, err := s.Create(spool.New{})
	if err != nil {
		t.Fatal(err)
	}
	o, _, err := w.Commit(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok, err := s.TryLease(leaseOwner); err != nil || !ok {
		t.Fatal(err)
	}
	f.Return(uplink.Object{ID: [32]byte(o.ID)}, &os.PathError{Op: "open", Path: "x", Err: syscall.EMFILE})
	if o, err = s.Object(o.ID); err != nil || o.State != spool.Received || o.Tries != 0 {
		t.Fatalf("%+v, %v; want received", o, err)
	}
	if o, ok, _ := s.TryLease(leaseOwner); ok {
		t.Fatalf("object %d is offered again without a rest", o.Seq)
	}
}
