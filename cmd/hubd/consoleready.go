package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"edged/hub/ledger"
)

// askFor bounds how long the rows may take to answer before they count as away.
const askFor = 2 * time.Second

// What is away, in words for everybody: /readyz needs no token, and what a driver says
// names users, databases and machines. The log has that.
var (
	errNoDatabase = errors.New("the database does not answer or cannot be written: nothing new is received; the appliances keep what they have")
	errNoStorage  = errors.New("the storage of the objects does not answer, nothing new is received; the appliances keep what they have")
	errDiskFull   = errors.New("the disk of the objects is full up to the reserve, nothing new is received until there is space; the appliances keep what they have")
	errNoBucket   = errors.New("the bucket of the objects takes nothing, nothing new is received; the appliances keep what they have")
)

// classOf is the part of err that is for everybody.
func classOf(err error) error {
	for _, one := range []error{nil, ledger.ErrDestinations, errNoDatabase, errNoStorage, errDiskFull, errNoBucket} {
		if errors.Is(err, one) {
			return one
		}
	}
	return errors.New("nothing new is received; the hub's log says why")
}

// ledgerDown is why no row can be written, nil when it can.
func (h *theHub) ledgerDown() error {
	ctx, cancel := context.WithTimeout(context.Background(), askFor)
	defer cancel()
	if err := h.ledger.Ready(ctx); err != nil {
		return fmt.Errorf("%w: %w", errNoDatabase, err)
	}
	return nil
}

// objectsDown is why no object can be taken.
func (h *theHub) objectsDown() error {
	if err := h.objects.Failed(); err != nil {
		return fmt.Errorf("%w: %w", errNoStorage, err)
	}
	space, err := h.objects.Space()
	if err != nil {
		return fmt.Errorf("%w: %w", errNoStorage, err)
	}
	if space.Short() {
		return errDiskFull
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
		p.err = fmt.Errorf("%w: %w", errNoBucket, p.err)
	}
	return p.err
}

// readiness is what was found last. Who has no token can ask, as often as he likes: the
// database is asked once a second at most, and one asks at a time.
type readiness struct {
	mu  sync.Mutex // guards what follows
	at  time.Time
	err error // for everybody
}

const readyFor = time.Second

// notReady is why an object that comes now would not be received, for everybody. That
// the hub goes is said at once.
func (c *console) notReady() error {
	if err := c.h.absence.err(); err != nil {
		return err
	}
	r := &c.readiness
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.at.IsZero() && time.Since(r.at) < readyFor {
		return r.err
	}
	err := c.look()
	if now := classOf(err); now != nil && (r.err == nil || now.Error() != r.err.Error()) {
		c.h.log.Warn("not ready", "err", err)
	}
	r.at, r.err = time.Now(), classOf(err)
	return r.err
}

// look finds out.
func (c *console) look() error {
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
