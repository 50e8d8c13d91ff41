package spool

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Receipt is what came over the authenticated connection: the hub, or through
// it the archive, has the object of this ID and this many content bytes.
type Receipt struct {
	ID     ID
	Length int64
	At     time.Time // when the hub or the archive had it; shown only. If zero, now.
	From   string    // whose word it is, in the caller's words: the name of the hub's rows
}

// UnfitError says that some receipts of a list fit nothing here (SPOOL-17).
// Whoever gets it may take the list as read: these changed nothing, and all
// others are durable. No other error allows that.
type UnfitError struct {
	Unknown    int   // receipts for objects that are not here
	Mismatched int   // receipts that tell another length
	Early      []ID  // confirmations of objects that no receipt has come for yet: to be asked for again
	Err        error // about the first one: ErrUnknown or ErrMismatch
}

func (e *UnfitError) Error() string {
	return fmt.Sprintf("%d receipts fit nothing here, first %v", e.Unknown+e.Mismatched+len(e.Early), e.Err)
}

func (e *UnfitError) Unwrap() error { return e.Err }

// note sorts the error of one receipt.
func (e *UnfitError) note(id ID, err error) {
	switch {
	case errors.Is(err, errForgotten):
		return // the hub repeats itself
	case errors.Is(err, ErrMismatch):
		e.Mismatched++
	case errors.Is(err, errEarly):
		e.Early = append(e.Early, id)
	default:
		e.Unknown++
	}
	if e.Err == nil {
		e.Err = fmt.Errorf("receipt for %s: %w", id, err)
	}
}

// AtHub records receipts of the hub. They are durable when it returns nil or an
// *UnfitError; after any other error nothing is known about any of them, and the
// hub must be let repeat them. Receipts for what was forgotten long ago are no
// error.
func (s *Spool) AtHub(ctx context.Context, receipts []Receipt) error {
	return s.record(ctx, opAtHub, receipts, anyEntry)
}

// Archived records confirmations of the archive. They are durable when it
// returns nil or an *UnfitError; only then may the object be forgotten. What never
// had a receipt of the hub cannot be in the archive through it, nor is what one hub
// took in the archive through another one (Receipt.From): such a confirmation
// is early and changes nothing (SPOOL-17), unless no good copy is here any more.
func (s *Spool) Archived(ctx context.Context, receipts []Receipt) error {
	bad := s.rotten(ctx, receipts)
	return s.record(ctx, opArchived, receipts, func(e *entry, from voucher) error {
		if e.vouched(from) || e.damaged && bad[e.seq] {
			return nil
		}
		return errEarly
	})
}

func anyEntry(*entry, voucher) error { return nil }

// record notes receipts for the entries that may have one.
func (s *Spool) record(ctx context.Context, k kind, receipts []Receipt, may func(*entry, voucher) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	var ops []op
	var bad UnfitError
	s.mu.Lock()
	for _, r := range receipts {
		o, err := s.receiptOp(k, r, may)
		if err != nil {
			bad.note(r.ID, err)
			continue
		}
		ops = append(ops, o)
	}
	s.mu.Unlock()
	if err := s.oblige(ops...); err != nil {
		return err
	}
	if bad.Err != nil {
		return &bad
	}
	return nil
}

var (
	errForgotten = errors.New("forgotten already")
	errEarly     = errors.New("confirmed by the archive before the hub had it")
)

// receiptOp checks a receipt against what it is about. Guarded by mu.
func (s *Spool) receiptOp(k kind, r Receipt, may func(*entry, voucher) error) (op, error) {
	e, err := s.find(r.ID)
	if err != nil {
		if s.tombs.ids[r.ID] > 0 {
			return op{}, errForgotten
		}
		return op{}, err
	}
	if e.content != r.Length && e.fate == inPlace { // of what is lost nobody knows the length
		return op{}, fmt.Errorf("%w: it says %d bytes, the object has %d", ErrMismatch, r.Length, e.content)
	}
	from := voucherOf(r.From)
	if err := may(e, from); err != nil {
		return op{}, err
	}
	if r.At.IsZero() {
		r.At = s.cfg.Now()
	}
	return op{kind: k, seq: e.seq, id: r.ID, at: r.At.UnixNano(), age: s.age, from: from, damaged: k == opArchived && e.damaged && !e.vouched(from)}, nil
}

// Quarantine sets an object aside with a reason; it is not sent any more. A
// receipt, or Release, ends that.
func (s *Spool) Quarantine(ctx context.Context, id ID, reason string) error {
	return s.one(ctx, id, op{kind: opQuarantined, reason: clip(reason)})
}

// Hold notes that the hub is to keep the object back before the archive. It is
// uploaded all the same, and shows as Held when it is there.
func (s *Spool) Hold(ctx context.Context, id ID) error { return s.one(ctx, id, op{kind: opHeld}) }

// Release ends a hold or a quarantine. An object whose bytes are damaged stays
// quarantined.
func (s *Spool) Release(ctx context.Context, id ID) error {
	return s.one(ctx, id, op{kind: opReleased})
}

func (s *Spool) one(ctx context.Context, id ID, o op) error {
	s.mu.Lock()
	e, err := s.find(id)
	if err == nil {
		o.seq, o.id = e.seq, id
	}
	s.mu.Unlock()
	if err = errors.Join(err, ctx.Err()); err != nil {
		return err
	}
	return s.oblige(o)
}

// Reoffer takes everything that the hub has but the archive has not back to
// Received: the hub's ledger was restored from a backup and its generation rose.
// It is the only step back, with ReofferObjects.
func (s *Spool) Reoffer(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return s.oblige(op{kind: opReoffer})
}

// ReofferObjects takes exactly these objects back to Received: the hub lost its
// copy of them. It is durable when it returns nil. What is archived stays so,
// whoever asks; IDs that are not here are passed over. A hold stays.
func (s *Spool) ReofferObjects(ctx context.Context, ids []ID) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	var ops []op
	s.mu.Lock()
	for _, id := range ids {
		if e, err := s.find(id); err == nil {
			ops = append(ops, op{kind: opReofferOne, seq: e.seq, id: id})
		}
	}
	s.mu.Unlock()
	return s.oblige(ops...)
}

// markDamaged is called by whoever found that the bytes of an object are not
// what was stored (P14).
func (s *Spool) markDamaged(id ID, seq uint64, why error) error {
	s.mu.Lock()
	e := s.atSeq(seq)
	safe := e != nil && e.hubHasCopy()
	if e != nil {
		e.wrong++
	}
	s.mu.Unlock()
	s.cfg.Logger.Error("object is damaged on the disk", "seq", seq, "hub_has_copy", safe, "error", why)
	return s.oblige(op{kind: opQuarantined, seq: seq, id: id, damaged: true, reason: clip("damaged: " + why.Error())})
}
