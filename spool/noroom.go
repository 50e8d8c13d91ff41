package spool

import (
	"errors"
	"fmt"
	"os"
)

// firstSegment begins the journal of this run. On a disk without any room, with
// the ballast gone, a start has to get on all the same: images that are here wait
// to be sent, and confirmations are what makes room (P7).
func (r *recovery) firstSegment() error {
	begin := func() error { return r.s.journal.begin(r.standing(), r.s.snapshot()) }
	err := begin()
	for _, makeRoom := range []func() error{r.unlinkEarly, r.dropIndex} {
		if !errors.Is(err, ErrFull) || r.suspect {
			return err
		}
		if err := makeRoom(); err != nil {
			return err
		}
		err = begin()
	}
	if !errors.Is(err, ErrFull) {
		return err
	}
	// What was obliged before stands in the older segments, which stay, and
	// everything that this start found out the next one finds out again.
	r.s.cfg.Logger.Error("the disk has no room for the journal: objects are sent, receipts have to wait", "error", err)
	return nil
}

// unlinkEarly removes what rows let go that may be only in the page cache: they
// are made durable first, where a segment that holds them as well has no room.
// After a failed sync nothing makes them so, and firstSegment does not call it.
func (r *recovery) unlinkEarly() error {
	if err := synced(r.s.fs.SyncFS()); err != nil {
		return err
	}
	err := r.unlinkForgotten()
	r.undone, r.spare = nil, nil
	return err
}

// dropIndex: it may be deleted at any time, and is larger than what a segment
// says of the same objects.
func (r *recovery) dropIndex() error {
	if err := r.s.fs.Remove(indexName); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("index: %w", err)
	}
	return nil
}

// lateSegment begins the journal when the start found no room for it. Called by
// the leader of obligations.
func (s *Spool) lateSegment() error {
	if s.journal.f != nil {
		return nil
	}
	s.mu.Lock()
	st, ops := s.standingWith(nil), s.snapshot()
	s.mu.Unlock()
	return s.journal.begin(st, ops)
}
