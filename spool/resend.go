package spool

import (
	"context"
	"errors"
	"fmt"
)

// claimProved is claim for an object of which all bytes have just come. A second
// success is a promise like the first one (P1): it may be the reason why the
// modality deletes its own copy. So the copy that is here has to prove itself
// before it answers. If it cannot, these bytes are the good copy that heals it.
//
// Reading takes a while, and no lock is held meanwhile: what was discarded, or
// found damaged, while it was read answers for nothing.
//
// That costs reading the object once for each re-send. What the archive has needs
// no proof.
func (s *Spool) claimProved(ctx context.Context, id ID) (*entry, *Object, error) {
	for {
		e, twin, err := s.claim(ctx, id)
		if err != nil || twin == nil || twin.State == Archived {
			return e, twin, err
		}
		whole, err := s.provedAgain(ctx, *twin)
		if err != nil {
			return nil, nil, err
		}
		if whole && s.stillGood(*twin) {
			return nil, twin, nil
		}
	}
}

// stillGood says whether o is still the object that stands for its ID.
func (s *Spool) stillGood(o Object) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.byID[o.ID]
	return e != nil && e.seq == o.Seq && !e.gone && !e.damaged
}

// provedAgain reads an object. If it is not whole, or cannot be read, that is
// durably said of it when it returns.
func (s *Spool) provedAgain(ctx context.Context, o Object) (whole bool, err error) {
	err = s.Verify(ctx, o.ID)
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, ErrUnknown): // forgotten meanwhile
		return false, nil
	case errors.Is(err, ErrClosed) || ctx.Err() != nil:
		return false, err
	case starved(err):
		return false, fmt.Errorf("%w: %w", ErrFull, err)
	}
	return false, s.markDamaged(o.ID, o.Seq, err)
}
