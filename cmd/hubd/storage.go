package main

import (
	"context"

	"edged/hub/ledger"
	"edged/hub/objects"
)

func (h *theHub) openLedger(ctx context.Context) (err error) {
	c := ledgerConfig(h.cfg)
	c.Logger, c.Node = h.log, h.cfg.nodeID()
	if h.ledger, err = ledger.Open(ctx, c); err != nil {
		return err
	}
	return h.ledger.Start(ctx)
}

func (h *theHub) openObjects(context.Context) (err error) {
	h.objects, err = objects.Open(objects.Config{Dir: objectsDir(h.cfg), ReserveBytes: int64(h.cfg.ReserveBytes), Logger: h.log})
	return err
}
