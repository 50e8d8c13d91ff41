package spool

import (
	"context"
	"errors"
	"time"
)

// How often Run looks around, and how much it lets pile up above the mark: that
// is what recovery reads again, so recovery stays short.
const (
	sweepEvery   = time.Second
	maxUnproved  = 256 << 20
	unprovedEach = 256 << 10
	forgetBatch  = 1024
)

// Run does what may be done later: it forgets what may be forgotten, moves the
// mark, writes the index, gives back expired leases, restores the ballast. It
// blocks until ctx ends (then it returns nil) or the spool fails (then it
// returns why). It starts no goroutine.
func (s *Spool) Run(ctx context.Context) error {
	ticker := time.NewTicker(sweepEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.gone:
			return s.Err()
		case <-s.kick:
		case <-ticker.C:
		}
		if err := s.sweep(ctx); err != nil {
			return err
		}
	}
}

func (s *Spool) wakeRun() {
	select {
	case s.kick <- struct{}{}:
	default: // it is on its way already
	}
}

// Sweep does once what Run does every second.
func (s *Spool) Sweep(ctx context.Context) error { return s.sweep(ctx) }

func (s *Spool) sweep(ctx context.Context) error {
	s.tick()
	s.expireLeases()
	if err := s.settleGroups(ctx); err != nil && !errors.Is(err, ErrFull) {
		return err
	}
	if err := s.forget(ctx); err != nil && !errors.Is(err, ErrFull) {
		return err
	}
	s.mu.Lock()
	dirty := s.dirty || len(s.mending()) > 0
	s.mu.Unlock()
	if dirty {
		if err := s.writeStanding(); err != nil && !errors.Is(err, ErrFull) {
			return err
		}
	}
	s.restoreBallast()
	s.updateIndex(ctx)
	return s.Err()
}

// forget lets go of what may be forgotten, oldest first (P2). When space is
// short it does not wait for RetainArchived; it never touches what is not
// confirmed. The row is durable before the file goes (flush, unlink).
func (s *Spool) forget(ctx context.Context) error {
	for ctx.Err() == nil {
		hurry := s.Admission() != Admit
		s.mu.Lock()
		ops, more := s.forgettable(hurry)
		s.mu.Unlock()
		if len(ops) == 0 {
			return nil
		}
		if err := s.oblige(ops...); err != nil {
			return err
		}
		s.cfg.Logger.Debug("objects forgotten", "objects", len(ops))
		s.boundStale(ctx)
		if !more {
			return nil
		}
	}
	return nil
}

// boundStale keeps the index from falling far behind what is forgotten at once:
// a row must be gone long before the tombstone that explains why (see askIndex).
func (s *Spool) boundStale(ctx context.Context) {
	s.mu.Lock()
	many := len(s.stale) >= indexBatch
	s.mu.Unlock()
	if many {
		s.updateIndex(ctx)
	}
}

// forgettable picks a batch, by sequence, and says whether there may be more.
// Guarded by mu.
func (s *Spool) forgettable(hurry bool) (ops []op, more bool) {
	if s.count[Archived] == 0 && s.cfg.Keep == KeepArchived {
		return nil, false
	}
	batch := forgetBatch
	if hurry {
		batch = 32 // look again soon: no more than needed
	}
	mark := s.mark()
	for _, e := range s.order {
		if len(ops) == batch || e.seq >= mark {
			return ops, len(ops) == batch
		}
		old := hurry || s.age-e.archivedAge >= int64(s.cfg.RetainArchived)
		if !e.gone && s.cfg.mayForget(e.facts) && (old || e.facts.state != Archived) {
			ops = append(ops, e.letGo(e.archivedAt))
		}
	}
	return ops, false
}

// mayForget is P2: nothing goes before the archive has confirmed it, or, with
// KeepHub, the hub.
func (c *Config) mayForget(f facts) bool {
	switch f.state {
	case Archived:
		return true
	case AtHub:
		return c.Keep == KeepHub && !f.held && !f.damaged
	}
	return false
}

// updateIndex also keeps the list of what is to be written short when there is
// no index to write.
func (s *Spool) updateIndex(ctx context.Context) {
	if s.index != nil {
		s.index.update(ctx, s)
		return
	}
	s.mu.Lock()
	s.stale = nil
	s.mu.Unlock()
}
