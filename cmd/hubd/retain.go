package main

import (
	"context"
	"time"
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

// removeExpired goes on until there is nothing more to remove. Row, unlink, row.
func (h *theHub) removeExpired(ctx context.Context) (removed int, err error) {
	for ctx.Err() == nil {
		ids, err := h.ledger.Expired(ctx, h.retainFor(), retainPage)
		if err != nil || len(ids) == 0 {
			return removed, err
		}
		gone, err := h.objects.Remove(ids)
		if noted := h.ledger.Removed(ctx, gone); err == nil {
			err = noted
		}
		removed += len(gone)
		if err != nil {
			return removed, err
		}
	}
	return removed, nil
}

// retainFor is the time of the configuration, or none when the space gets short:
// new objects need it more than those that the archives have.
func (h *theHub) retainFor() time.Duration {
	if space, err := h.objects.Space(); err == nil && space.Tight() {
		return 0
	}
	return h.cfg.RetainArchived
}
