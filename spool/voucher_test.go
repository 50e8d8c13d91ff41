package spool

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"testing"
)

// by is a receipt, or a confirmation, of a hub with that name.
func by(hub string, os ...Object) (list []Receipt) {
	for _, o := range os {
		list = append(list, Receipt{ID: o.ID, Length: o.Length, From: hub})
	}
	return list
}

// isEarly demands that a confirmation is asked for again.
func isEarly(t *testing.T, s *Spool, hub string, o Object) {
	t.Helper()
	var unfit *UnfitError
	if err := s.Archived(t.Context(), by(hub, o)); !errors.As(err, &unfit) || !slices.Equal(unfit.Early, []ID{o.ID}) {
		t.Errorf("archived, says %q: %v", hub, err)
	}
}

// TestOnlyWhoGaveTheReceiptSaysArchived (P2, SPOOL-17): a hub that has other rows never
// had these objects, whatever it says of them; also when they were offered again since,
// and after a start.
func TestOnlyWhoGaveTheReceiptSaysArchived(t *testing.T) {
	ctx := context.Background()
	cfg := Config{Dir: t.TempDir(), RetainArchived: -1}
	s := open(t, cfg)
	a, _ := put(t, s, newSample(1), sample(1, 10))
	b, _ := put(t, s, newSample(2), sample(2, 10))
	if err := errors.Join(s.AtHub(ctx, by("one", a, b)), s.ReofferObjects(ctx, []ID{a.ID})); err != nil {
		t.Fatal(err)
	}
	for range 3 { // each start writes the journal anew
		for _, o := range []Object{a, b} {
			isEarly(t, s, "two", o)
			isEarly(t, s, "", o)
		}
		if err := s.Sweep(ctx); err != nil {
			t.Fatal(err)
		}
		wantState(t, s, a.ID, Received)
		wantState(t, s, b.ID, AtHub)
		s.Close()
		s = open(t, cfg)
	}
	defer s.Close()
	if err := errors.Join(s.Archived(ctx, by("one", a)), s.AtHub(ctx, by("two", b)), s.Archived(ctx, by("two", b))); err != nil {
		t.Fatal(err)
	}
	wantState(t, s, a.ID, Archived)
	wantState(t, s, b.ID, Archived)
}

// TestReceiptsOfEarlierVersionsAreNobodys: their rows end before it. The object is at
// the hub, it is only not forgotten before the hub has given its receipt again.
func TestReceiptsOfEarlierVersionsAreNobodys(t *testing.T) {
	ctx := context.Background()
	for _, k := range []kind{opAtHub, opWasAtHub, opArchived} {
		body := append(binary.BigEndian.AppendUint64(nil, 5), make([]byte, 32)...)
		for range map[kind]int{opAtHub: 1, opArchived: 2}[k] {
			body = binary.BigEndian.AppendUint64(body, 9)
		}
		if o, ok := decodeOp(k, body); !ok || o.from != 0 {
			t.Errorf("kind %d: %+v %v", k, o, ok)
		}
	}
	cfg := Config{Dir: t.TempDir()}
	s := open(t, cfg)
	o, _ := put(t, s, newSample(1), sample(1, 10))
	if err := s.oblige(op{kind: opAtHub, seq: o.Seq, id: o.ID, at: 9}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		wantState(t, s, o.ID, AtHub)
		isEarly(t, s, "one", o)
		s.Close()
		s = open(t, cfg)
	}
	defer s.Close()
	if err := errors.Join(s.AtHub(ctx, by("one", o)), s.Archived(ctx, by("one", o))); err != nil {
		t.Fatal(err)
	}
	wantState(t, s, o.ID, Archived)
}

// TestAGoodCopyNeedsAReceiptOfWhoConfirms: the copy here went bad after one hub gave a
// receipt, and another hub's word was believed of it, because nothing good was left. The
// good copy that comes again is offered (P2).
func TestAGoodCopyNeedsAReceiptOfWhoConfirms(t *testing.T) {
	ctx, fs, body := t.Context(), newMemFS(), sample(1, 1000)
	s := open(t, memConfig(fs))
	o, _ := put(t, s, newSample(1), body)
	if err := s.AtHub(ctx, by("one", o)); err != nil {
		t.Fatal(err)
	}
	spoil(t, fs, s, o)
	if err := s.Archived(ctx, by("two", o)); err != nil {
		t.Fatal(err)
	}
	wantState(t, s, o.ID, Archived)
	put(t, s, newSample(1), body)
	for range 2 {
		wantState(t, s, o.ID, Received)
		isEarly(t, s, "two", o)
		s.Close()
		s = open(t, memConfig(fs))
	}
	s.Close()
}
