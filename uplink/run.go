package uplink

import (
	"context"
	"errors"
	"sync"
	"time"

	"edged/internal/dicom"
)

// Uplink sends what its Source lends.
type Uplink struct {
	c     Config
	shape *shape
	meter meter

	mu         sync.Mutex // guards what follows
	status     Status
	lane       *lane                 // the connected one
	mismatched map[dicom.ID]struct{} // objects with one digest mismatch behind them
	tooBig     map[dicom.ID]uint8    // how often the hub had no room for an object
}

// New checks c. It starts nothing.
func New(c Config) (*Uplink, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	u := &Uplink{c: c.withDefaults(), mismatched: map[dicom.ID]struct{}{}, tooBig: map[dicom.ID]uint8{}}
	u.shape = newShape(c.Shape)
	u.status.Transport = "none"
	return u, nil
}

// Run connects and sends until ctx ends; it returns nil then. A lost connection
// is made again after a pause, on the same node of the hub or the next.
func (u *Uplink) Run(ctx context.Context) error {
	if len(u.c.Hubs) == 0 {
		<-ctx.Done()
		return nil
	}
	ns := newNodes(u.c.Hubs, u.c.RetryMin, u.c.RetryMax)
	for {
		n, pause := ns.next(time.Now())
		if !sleep(ctx, pause) {
			return nil
		}
		began := time.Now()
		err := u.connect(ctx, n.addr)
		if ctx.Err() != nil {
			return nil
		}
		u.judge(ns, n, time.Since(began), err)
	}
}

// judge decides about a node after its connection ended.
func (u *Uplink) judge(ns *nodes, n *node, lasted time.Duration, err error) {
	now := time.Now()
	if lasted > u.c.RetryMax {
		n.worked()
	}
	if errors.Is(err, errNotBelieved) || errors.Is(err, errMismatch) {
		n.setAside(now.Add(u.c.AsideFor))
		u.c.Logger.Error("hub node set aside", "hub", n.addr, "error", err)
	} else {
		ns.failed(n, now)
		u.c.Logger.Warn("uplink lost", "hub", n.addr, "error", err, "pause", n.wait(now))
	}
	u.lost(n.addr, err, ns.asides())
}

// connect makes one lane to addr and runs it to its end.
func (u *Uplink) connect(ctx context.Context, addr string) error {
	conn, err := u.dial(ctx, carrierQUIC, addr)
	if err != nil {
		return err
	}
	l := newLane(u, addr, conn)
	err = l.run(ctx)
	conn.Close(farewell(ctx, err), "")
	l.returnAll()
	return err
}

// sleep waits for d and reports whether ctx is still alive.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
