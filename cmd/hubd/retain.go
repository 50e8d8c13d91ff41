package main

import (
	"context"
	"time"

	"edged/hub"
	"edged/hub/objects"
)

const (
	retainEvery = time.Minute
	retainPage  = 500 // objects of one transaction, so that receipts do not wait for long
)

// retain removes the files of archived objects when they have been kept for long
// enough; what cannot be removed now is left for the next round.
func (h *theHub) retain(ctx context.Context) error {
	tick := time.NewTicker(retainEvery)
	defer tick.Stop()
	for {
		removed, err := h.removeExpired(ctx)
		if removed > 0 {
			h.log.Info("archived objects removed from the hub", "objects", removed)
		}
		if err != nil && ctx.Err() == nil {
			h.log.Error("archived objects not removed", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// removeExpired goes on until there is nothing more to remove, and where the space is still
// short, with what only destinations that are not required wait for, until it is not.
func (h *theHub) removeExpired(ctx context.Context) (removed int, err error) {
	for ctx.Err() == nil {
		n, err := h.remove(ctx, func() ([]hub.ID, error) { return h.ledger.Expired(ctx, h.retainFor(), retainPage) })
		if removed += n; err != nil {
			return removed, err
		}
		if n == 0 {
			break
		}
	}
	for ctx.Err() == nil {
		space, err := h.objects.Space()
		if err != nil || !space.Tight() {
			return removed, err
		}
		n, err := h.remove(ctx, func() ([]hub.ID, error) { return h.ledger.ExpiredForRoom(ctx, roomPage(space)) })
		if removed += n; err != nil || n == 0 || space.Apart {
			return removed, err
		}
	}
	return removed, nil
}

// roomPage is how many make room before the space is asked again: a disk says at once what
// is free, a bucket when it takes the next object.
func roomPage(space objects.Space) int {
	if space.Apart {
		return retainPage
	}
	return retainPage / 5
}

// remove is row, unlink, row.
func (h *theHub) remove(ctx context.Context, expired func() ([]hub.ID, error)) (int, error) {
	ids, err := expired()
	if err != nil || len(ids) == 0 {
		return 0, err
	}
	gone, err := h.objects.Remove(ids)
	if noted := h.ledger.Removed(ctx, gone); err == nil {
		err = noted
	}
	return len(gone), err
}

// retainFor is the time of the configuration, or none when the space gets short:
// new objects need it more than those that the archives have.
func (h *theHub) retainFor() time.Duration {
	if space, err := h.objects.Space(); err == nil && space.Tight() {
		return 0
	}
	return h.cfg.RetainArchived
}
