package main

import (
	"context"
	"time"

	"edged/hub"
	"edged/hub/objects"
)

const (
	retainEvery = time.Minute
	retainSoon  = time.Second // where the space is short: appliances wait for it
	retainPage  = 500         // objects of one transaction, so that receipts do not wait for long
)

// retain removes the files of archived objects when they have been kept for long
// enough; what cannot be removed now is left for the next round.
func (h *theHub) retain(ctx context.Context) error {
	for {
		removed, err := h.removeExpired(ctx)
		if removed > 0 {
			h.log.Info("archived objects removed from the hub", "objects", removed)
		}
		if err != nil && ctx.Err() == nil {
			h.log.Error("archived objects not removed", "err", err)
		}
		if !h.rest(ctx) {
			return nil
		}
	}
}

// rest lasts until the next round: a minute, but not while the space is short.
func (h *theHub) rest(ctx context.Context) bool {
	for end := time.Now().Add(retainEvery); ; {
		select {
		case <-ctx.Done():
			return false
		case <-time.After(retainSoon):
		}
		if space, err := h.objects.Space(); time.Now().After(end) || err == nil && space.Tight() {
			return true
		}
	}
}

// removeExpired goes on until there is nothing more to remove, and where the space is still
// short, with what only destinations that are not required wait for, until there is room
// for a while: what comes is not to wait for the next round. A bucket says that it is not
// full any more when it takes the next object, so of one a page goes in each round.
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
	for short := false; ctx.Err() == nil; {
		space, err := h.objects.Space()
		if err != nil || short && roomy(space) || !short && !space.Tight() {
			return removed, err
		}
		short = true
		n, err := h.remove(ctx, func() ([]hub.ID, error) { return h.ledger.ExpiredForRoom(ctx, retainPage) })
		if removed += n; err != nil || n == 0 || space.Apart {
			return removed, err
		}
	}
	return removed, nil
}

// roomy is well above what is short: as much again as the reserve, twice.
func roomy(space objects.Space) bool {
	return !space.Tight() && (space.Apart || space.Free >= 4*space.Reserve)
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
