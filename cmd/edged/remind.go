package main

import (
	"context"
	"sync"
	"time"

	"edged/spool"
)

// What the hub has and the archive has not is offered again when that has lasted
// for long: a hub that was restored from a backup and did not say so has lost
// receipts, and confirmations may have gone where nobody hears them. A hub that
// knows the object answers with its receipt, and with the confirmation if it is
// archived; no bytes are sent then.
const (
	remindAfter = 10 * time.Minute // at the hub, when a connection is new: perhaps it is another hub behind it
	remindPause = time.Hour        // between two such rounds, however often the line comes and goes
	remindEvery = 6 * time.Hour    // at the hub, and between two rounds, on a connection that lasts
	remindLook  = 10 * time.Minute // how often that is looked at
)

// reminder knows when the last round was.
type reminder struct {
	mu    sync.Mutex // guards what follows, held during a round
	last  time.Time  // that offered something
	fresh bool       // there was a new connection since
}

// due is how long an object must have been at the hub to be offered again now;
// false: not now.
func (r *reminder) due(now time.Time) (time.Duration, bool) {
	switch since := now.Sub(r.last); {
	case r.fresh && since >= remindPause:
		return remindAfter, true
	case since >= remindEvery:
		return remindEvery, true
	}
	return 0, false
}

// remind offers again what is due; connected says that the connection is new.
// While there is no spool it does nothing: there is a next look.
func (f *feed) remind(ctx context.Context, connected bool) error {
	r, now := &f.reminder, time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fresh = r.fresh || connected
	age, ok := r.due(now)
	s, err := f.keeper.get()
	if !ok || err != nil {
		return nil
	}
	ids := unarchivedSince(s, now.Add(-age))
	if len(ids) == 0 {
		return nil
	}
	f.log.Info("offering again what the archive has not confirmed", "objects", len(ids), "at_hub_for", age)
	for len(ids) > 0 {
		n := min(len(ids), 1000)
		if err := s.ReofferObjects(ctx, ids[:n]); err != nil {
			return err
		}
		ids = ids[n:]
	}
	r.last, r.fresh = now, false
	return nil
}

// unarchivedSince lists what came to the hub before then and is neither archived
// nor held. Walking over all objects is left out where there can be none.
func unarchivedSince(s *spool.Spool, then time.Time) (ids []spool.ID) {
	if oldest := s.Ages().OldestAtHub; oldest.IsZero() || oldest.After(then) {
		return nil
	}
	for after := uint64(0); ; {
		page := s.Objects(after, 1000)
		if len(page) == 0 {
			return ids
		}
		for _, o := range page {
			if o.State == spool.AtHub && !o.AtHubAt.After(then) {
				ids = append(ids, o.ID)
			}
		}
		after = page[len(page)-1].Seq
	}
}

// reminders looks from time to time, while there is a hub to offer to.
func (s *sender) reminders(ctx context.Context) error {
	for pause(ctx, remindLook) {
		if !s.status().Connected {
			continue
		}
		if err := s.feed.remind(ctx, false); err != nil && ctx.Err() == nil {
			s.log.Warn("not offered again", "err", err)
		}
	}
	return nil
}
