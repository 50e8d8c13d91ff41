package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"edged/internal/tools/lab"
)

// ours is the product, from a full spool to durable receipts.
func ours(transport string) func(context.Context, *cell) (outcome, error) {
	return func(ctx context.Context, c *cell) (outcome, error) {
		h, a, err := c.pairUp(ctx, transport)
		if err != nil {
			return outcome{}, err
		}
		defer h.Stop()
		w := watch{cell: c, hub: h, pace: pace{receiver: h.Process, limit: c.limit}}
		if err := w.pace.zero(); err != nil {
			return outcome{}, err
		}
		before, err := h.CPU()
		if err != nil {
			return outcome{}, err
		}
		if err := a.Start(ctx, c.Lab); err != nil {
			return outcome{}, err
		}
		defer a.Stop()
		w.appliance = a
		o, err := w.run(ctx)
		return o, errors.Join(err, w.account(&o, before))
	}
}

// pairUp copies the stock's pair and starts the hub at the far end.
func (c *cell) pairUp(ctx context.Context, transport string) (*lab.Hub, *lab.Appliance, error) {
	if err := c.clone(c.dir); err != nil {
		return nil, nil, err
	}
	h, a, err := c.programs(c.dir, c.near, c.far, fmt.Sprintf("{hubs: [%q], transport: %s, %s}", c.far.at(hubPort), transport, c.uplink))
	if err != nil {
		return nil, nil, err
	}
	if err := h.Start(ctx, c.Lab); err != nil {
		return nil, nil, err
	}
	lab.Settle(c.dir)
	err = lab.Await(ctx, 20*time.Second, "hubd to listen", func() bool { return c.far.open(hubPort) })
	if err != nil {
		err = fmt.Errorf("%w: %s", err, h.Said())
		h.Stop()
	}
	return h, a, err
}

// watch looks at an appliance while it sends.
type watch struct {
	*cell
	hub       *lab.Hub
	appliance *lab.Appliance
	pace      pace
	cpu       time.Duration // of the appliance before its first packet
	samples   []sample
}

// sample is what the appliance said at a time.
type sample struct {
	at        time.Duration // since the first packet
	objects   int64         // at the hub, durably
	transport string
	lanes     int
}

// look is how often the appliance is asked.
const look = 25 * time.Millisecond

// run ends when all is at the hub, or the time is over.
func (w *watch) run(ctx context.Context) (o outcome, err error) {
	var began time.Time
	err = lab.Await(ctx, firstPacket, "the first packet", func() bool {
		began = time.Now()
		return w.pace.started()
	})
	if err != nil {
		return o, fmt.Errorf("%w: %s", err, w.appliance.Said())
	}
	if w.cpu, err = w.appliance.CPU(); err != nil {
		return o, err
	}
	for clock := time.NewTicker(look); ; <-clock.C {
		s, err := w.appliance.State(ctx)
		if err != nil {
			return o, fmt.Errorf("%w: %s", err, w.appliance.Said())
		}
		now := sample{time.Since(began), s.Counters.AtHub, s.Uplink.Transport, s.Uplink.Lanes}
		w.samples = append(w.samples, now)
		w.pace.look(now.at)
		if o.cut = now.at > w.limit; o.cut || now.objects == int64(w.count) {
			o.seconds, o.objects = now.at.Seconds(), int(now.objects)
			return o, nil
		}
	}
}

// account completes the outcome: bytes, processors, memory, carriers.
func (w *watch) account(o *outcome, hubBefore time.Duration) error {
	o.bytes = int64(o.objects) * w.bytes
	if o.cut { // as for the peers, what is there of an object counts
		_, o.partial = w.carried(filepath.Join(w.dir, "hub", "objects", "partial"))
		o.bytes += o.partial
	}
	edged, err := w.appliance.CPU()
	hubd, err1 := w.hub.CPU()
	o.sender, o.receiver = edged-w.cpu, hubd-hubBefore
	var err2, err3 error
	o.rss[0], err2 = w.appliance.Peak()
	o.rss[1], err3 = w.hub.Peak()
	o.steady = w.pace.steady(*o)
	o.said = w.story()
	return errors.Join(err, err1, err2, err3)
}

// story is the carriers in the order in which they carried, how often that
// changed, and the lanes at the end.
func (w *watch) story() string {
	var carriers []string
	most, last := 0, 0
	for _, s := range w.samples {
		if s.transport != "" && s.transport != "none" && (len(carriers) == 0 || carriers[len(carriers)-1] != s.transport) {
			carriers = append(carriers, s.transport)
		}
		if most, last = max(most, s.lanes), s.lanes; s.lanes == 0 {
			last = most
		}
	}
	return tell(carriers, last, most)
}
