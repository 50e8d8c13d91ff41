package spool

import (
	"context"
	"errors"
	"os"
	"time"
)

// A confirmation of what had no receipt, or another hub's, is early, or it is a lie: it
// may let no good copy be forgotten (P2). Mostly the receipt is under way, or the object is offered
// again and gets one. A damaged copy is not offered any more, so its receipt never
// comes if it was lost with its connection. Such a confirmation counts when the copy
// is gone, or proves rotten when it is read now: whoever believes it loses nothing
// good, and who does not calls lost for ever what the archive has. A copy that cannot
// be read today may be whole tomorrow, and what is parked is whole: they stay early.
// Should a good copy come all the same, then it needs a receipt of its own (healed).

// readingForNews bounds how long the news behind it wait for files that are read.
const readingForNews = 2 * time.Second

// rotten names the objects among those of the receipts of which no good copy is
// here. What there is no time for stays early and is asked for again; maps are
// walked in any order, so no slow one is always first.
func (s *Spool) rotten(ctx context.Context, receipts []Receipt) map[uint64]bool {
	bad, until := map[uint64]bool{}, time.Now().Add(readingForNews)
	for seq, d := range s.damagedOf(receipts) {
		if ctx.Err() != nil || time.Now().After(until) {
			break
		}
		if err := s.readDamaged(ctx, seq, d); isDamage(err) || errors.Is(err, os.ErrNotExist) {
			bad[seq] = true
		}
	}
	return bad
}

// damagedCopy is one that a confirmation without a receipt is about.
type damagedCopy struct {
	id   ID
	fate fate
}

// damagedOf leaves out what a power cut tore: nobody was told of that (P1).
func (s *Spool) damagedOf(receipts []Receipt) map[uint64]damagedCopy {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := map[uint64]damagedCopy{}
	for _, r := range receipts {
		if e := s.byID[r.ID]; e != nil && e.damaged && !e.vouched(voucherOf(r.From)) && !e.torn {
			out[e.seq] = damagedCopy{e.id, e.fate}
		}
	}
	return out
}

// readDamaged reads all of the file, wherever it lies now. What is in its place and
// proves whole is an object again, and is offered.
func (s *Spool) readDamaged(ctx context.Context, seq uint64, d damagedCopy) error {
	name := objectName(seq)
	switch d.fate {
	case inPlace:
		return s.Verify(ctx, d.id)
	case missing:
		return os.ErrNotExist
	case setAside:
		name = asideName(seq)
	}
	b, err := openBlob(s.fs, s.keys, name)
	if b != nil {
		defer b.Close()
	}
	if err != nil {
		return err
	}
	c, err := inspect(b, seq)
	if err != nil {
		return err
	}
	return c.proveContent(contextReaderAt{ctx, b}, nil)
}
