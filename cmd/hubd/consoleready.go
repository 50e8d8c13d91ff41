package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// askFor bounds how long the rows may take to answer before they count as away.
const askFor = 2 * time.Second

// ledgerDown is why no row can be written, nil when it can.
func (h *theHub) ledgerDown() error {
	ctx, cancel := context.WithTimeout(context.Background(), askFor)
	defer cancel()
	if err := h.ledger.Ready(ctx); err != nil {
		return fmt.Errorf("%w: nothing new is received; the appliances keep what they have", err)
	}
	return nil
}

// objectsDown is why no object can be taken.
func (h *theHub) objectsDown() error {
	if err := h.objects.Failed(); err != nil {
		return err
	}
	if w := h.objects.Trouble(); w != "" {
		return fmt.Errorf("the bucket of the objects: %s: nothing new is received; the appliances keep what they have", w)
	}
	space, err := h.objects.Space()
	if err != nil {
		return fmt.Errorf("the storage of the objects does not answer, nothing new is received; the appliances keep what they have: %w", err)
	}
	if space.Short() {
		return errors.New("the disk of the objects is full up to the reserve, nothing new is received until there is space; the appliances keep what they have")
	}
	return nil
}

// notReady is why an object that comes now would not be received.
func (c *console) notReady() error {
	if err := c.h.broken(); err != nil {
		return err
	}
	if err := c.h.ledgerDown(); err != nil {
		return err
	}
	return c.h.objectsDown()
}

// ready is GET /readyz.
func (c *console) ready(w http.ResponseWriter, _ *http.Request) {
	if err := c.notReady(); err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ready")
}
