package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
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
	space, err := h.objects.Space()
	if err != nil {
		return fmt.Errorf("the storage of the objects does not answer, nothing new is received; the appliances keep what they have: %w", err)
	}
	if space.Short() {
		return errors.New("the disk of the objects is full up to the reserve, nothing new is received until there is space; the appliances keep what they have")
	}
	return nil
}

// probe asks the bucket whether it takes something, by writing a document of a few
// bytes, and no oftener than it need be: who is not authenticated can ask for it.
type probe struct {
	mu  sync.Mutex // guards what follows
	at  time.Time
	err error
}

const probeEvery = 5 * time.Second

func (p *probe) ask(h *theHub) error {
	if h.cfg.Objects == "" {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.at.IsZero() && time.Since(p.at) < probeEvery {
		return p.err
	}
	ctx, cancel := context.WithTimeout(context.Background(), askFor)
	defer cancel()
	p.err = h.objects.Put(ctx, "probe/"+strings.ToLower(h.cfg.nodeID()), []byte(time.Now().UTC().Format(time.RFC3339)+"\n"))
	p.at = time.Now()
	if p.err != nil {
		p.err = fmt.Errorf("the bucket of the objects takes nothing, nothing new is received; the appliances keep what they have: %w", p.err)
	}
	return p.err
}

// notReady is why an object that comes now would not be received.
func (c *console) notReady() error {
	if err := c.h.broken(); err != nil {
		return err
	}
	if err := c.h.ledgerDown(); err != nil {
		return err
	}
	if err := c.h.objectsDown(); err != nil {
		return err
	}
	return c.probe.ask(c.h)
}

// ready is GET /readyz.
func (c *console) ready(w http.ResponseWriter, _ *http.Request) {
	if err := c.notReady(); err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ready")
}
