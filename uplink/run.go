package uplink

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"edged/internal/dicom"
)

// Uplink sends what its Source lends.
type Uplink struct {
	c     Config
	shape *shape
	meter meter

	keeping sync.RWMutex // orders receipts and losses of different lanes

	byQUIC, byTCP atomic.Int64 // data set bytes

	readers sync.WaitGroup // of all lanes, see sender.keepReading

	dialer func(ctx context.Context, name, addr string) (carrier, error) // of tests; nil: the network
	lookup lookup                                                        // of tests; nil: the resolver

	reached sync.Map // of a hub: the address that answered last over QUIC

	mu         sync.Mutex // guards what follows
	status     Status
	lanes      []*lane              // the connected ones
	aside      map[string]time.Time // nodes left alone, and until when
	left       map[string]time.Time // nodes left for another one, and how long that counts
	mismatches complaints           // of objects that arrived damaged
	refusals   complaints           // of offers
	failures   complaints           // of the disk here
	hanging    map[dicom.ID]*flight // reads that nobody waits for
	tooBig     map[dicom.ID]uint8   // how often the hub had no room for an object
	early      map[dicom.ID]earlyWord

	testing atomic.Bool // a line test is under way

	speaker chan struct{} // size 1: the lane that has put a token in tells of studies
}

// New checks c. It starts nothing.
func New(c Config) (*Uplink, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	u := &Uplink{c: c.withDefaults(), aside: map[string]time.Time{}, left: map[string]time.Time{}, hanging: map[dicom.ID]*flight{}, tooBig: map[dicom.ID]uint8{}, early: map[dicom.ID]earlyWord{}, speaker: make(chan struct{}, 1),
		mismatches: newComplaints(), refusals: newComplaints(), failures: newComplaints()}
	u.shape = newShape(c.Shape)
	u.status.Transport, u.status.Carriers = carrierNone, carriersOf(u.c.Transport)
	return u, nil
}

// Run connects and sends until ctx ends; it returns nil then. A lost connection
// is made again after a pause, on the same node of the hub or the next.
func (u *Uplink) Run(ctx context.Context) error {
	if len(u.c.Hubs) == 0 {
		<-ctx.Done()
		return nil
	}
	defer u.readers.Wait()
	ns := newNodes(u.c.Hubs, u.c.RetryMin, u.c.RetryMax)
	for {
		n, pause := ns.next(time.Now())
		if !sleep(ctx, pause) {
			return nil
		}
		u.turnTo(n.addr)
		began := time.Now()
		err := newTeam(u, n.addr).run(ctx)
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
	switch {
	case errors.Is(err, errElsewhere):
		ns.failed(n, now)
		u.doubt(u.left, n.addr, now)
		u.c.Logger.Error("hub node left for another one", "hub", n.addr, "error", err)
	case errors.Is(err, errNotBelieved) || errors.Is(err, errMismatch):
		u.doubt(u.aside, n.addr, now)
		n.setAside(now.Add(u.c.AsideFor))
		u.c.Logger.Error("hub node set aside", "hub", n.addr, "error", err)
	default:
		ns.failed(n, now)
		if lasted > u.c.RetryMax {
			ns.crowd(now, ns.spread(err))
		}
		u.c.Logger.Warn("uplink lost", "hub", n.addr, "error", err, "pause", n.wait(now))
	}
	u.lost(err)
}

// connect makes one lane to addr and runs it to its end. welcomed is told when
// the hub has said Welcome.
func (u *Uplink) connect(ctx context.Context, by, addr string, welcomed func(*lane)) error {
	conn, err := u.dialWithin(ctx, by, addr)
	if err != nil {
		return err
	}
	l := newLane(u, addr, conn)
	l.welcomed = welcomed
	err = l.run(ctx)
	conn.Close(farewell(ctx, err), "")
	l.returnAll()
	return err
}

// dialWait bounds a dial: a carrier that is blocked answers nothing at all.
const dialWait = 8 * time.Second

func (u *Uplink) dialWithin(ctx context.Context, name, addr string) (carrier, error) {
	ctx, cancel := context.WithTimeout(ctx, dialWait)
	defer cancel()
	return u.dial(ctx, name, addr)
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
