package main

import (
	"context"
	"fmt"

	"edged/hub/ledger"
	"edged/hub/objects"
)

func (h *theHub) openLedger(ctx context.Context) (err error) {
	c := ledgerConfig(h.cfg)
	c.Logger, c.Node, c.Address = h.log, h.cfg.nodeID(), h.cfg.Listen
	h.ledger, err = ledger.Open(ctx, c)
	return err
}

// startLedger comes last: of several nodes the one that was started last says what the
// destinations are, and one that cannot run must not.
func (h *theHub) startLedger(ctx context.Context) error { return h.ledger.Start(ctx) }

func (h *theHub) openObjects(context.Context) (err error) {
	bucket, key, err := h.cfg.bucket()
	if err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	h.objects, err = objects.Open(objects.Config{Dir: objectsDir(h.cfg), ReserveBytes: int64(h.cfg.ReserveBytes), MaxPartialBytes: int64(h.cfg.Limits.PartialBytes), Logger: h.log, Bucket: bucket})
	return err
}
