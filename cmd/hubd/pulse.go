package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"edged/hub/ledger"
)

const (
	beatEvery = 5 * time.Second // its leases are others' after 30 s without
	askEvery  = time.Second
	cutAfter  = 5 * time.Second // without an answer of the database
)

// beat tells the other nodes that this one lives. While the database is away it waits
// for it, see look.
func (h *theHub) beat(ctx context.Context) error {
	return h.every(ctx, beatEvery, func() {
		before := time.Now()
		if err := h.ledger.Beat(ctx); err != nil && ctx.Err() == nil {
			if errors.Is(err, ledger.ErrDestinations) {
				return // see look
			}
			h.log.Warn("this node cannot say that it lives", "err", err)
		} else if err == nil {
			h.compareClocks(ctx, before, time.Now())
		}
	})
}

// look sends the appliances to the other nodes when the database does not answer this
// one, or another node was started with other destinations, and lets them come when
// that is over.
func (h *theHub) look(ctx context.Context) error {
	answered, cut := time.Now(), false
	return h.every(ctx, askEvery, func() {
		err := h.ledger.Ready(ctx)
		other := errors.Is(err, ledger.ErrDestinations)
		switch {
		case ctx.Err() != nil:
		case err == nil:
			if answered = time.Now(); cut {
				h.comeBack()
			}
			cut = false
		case !cut && (other || time.Since(answered) > cutAfter):
			cut = true
			h.sendOn(ctx, other, err)
		}
	})
}

func (h *theHub) sendOn(ctx context.Context, other bool, why error) {
	words := absentCut
	if other {
		words = absentOther
		h.goodbye(ctx) // others deliver what this node had leased
	}
	h.log.Error("appliances are sent to the other nodes", "err", why)
	h.absence.set(words)
	h.receive.Leave(ctx, leaveRate)
}

func (h *theHub) comeBack() {
	h.log.Info("the rows can be written again: appliances may come")
	h.absence.end(absentCut)
	h.absence.end(absentOther)
	if h.absence.err() == nil { // it does not stop
		h.receive.Return()
	}
}

// every calls do at once and again, where there are several nodes.
func (h *theHub) every(ctx context.Context, pause time.Duration, do func()) error {
	if !h.cfg.several() {
		<-ctx.Done()
		return nil
	}
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for {
		do()
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// takeAlone keeps a second node away from rows whose objects are files here.
func (h *theHub) takeAlone(ctx context.Context) (err error) {
	if !h.cfg.several() || h.cfg.Objects != "" {
		return nil
	}
	if h.alone, err = patiently(ctx, h.ledger.Alone); err != nil {
		return fmt.Errorf("objects is empty, so that they are files in data_dir, which no other node can read: %w; give all nodes one bucket (objects: s3://...), or run one node", err)
	}
	return nil
}

// takeName keeps a second node of this name away.
func (h *theHub) takeName(ctx context.Context) (err error) {
	if !h.cfg.several() {
		return nil
	}
	if h.name, err = patiently(ctx, h.ledger.Name); err != nil {
		return fmt.Errorf("%w; give each node a name of its own (node in the configuration)", err)
	}
	return nil
}

// patiently tries for a quarter of a minute: the session of a hub that was killed ends in
// a moment, that of one whose machine died, or which is cut off, in twelve seconds.
func patiently(ctx context.Context, take func(context.Context) (*ledger.Alone, error)) (*ledger.Alone, error) {
	for left := 15; ; left-- {
		place, err := take(ctx)
		if err == nil || left == 0 {
			return place, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(time.Second):
		}
	}
}

// keepName has the name until the process ends: what is leased under it is given back
// after this part has ended.
func (h *theHub) keepName(ctx context.Context) error {
	if h.name == nil {
		<-ctx.Done()
		return nil
	}
	return h.name.Hold(ctx)
}

func (h *theHub) stayAlone(ctx context.Context) error {
	if h.alone == nil {
		<-ctx.Done()
		return nil
	}
	defer h.alone.Close()
	return h.alone.Hold(ctx)
}

// replaced says that it ends because another process has its name, and with that what
// was leased under it: who says goodbye would say it for that one.
func replaced(ctx context.Context) bool { return errors.Is(context.Cause(ctx), ledger.ErrNameTaken) }

// goodbye gives back what this node has leased, so that nobody waits for it.
func (h *theHub) goodbye(ctx context.Context) {
	if !h.cfg.several() || replaced(ctx) {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := h.ledger.Leave(ctx); err != nil {
		h.log.Warn("this node's leases end by themselves", "err", err)
	}
}

// maxSkew is how far the clock here may be from the database's before somebody must
// look: certificates and what the log says are judged by it.
const maxSkew = 2 * time.Second

// compareClocks looks at what the database wrote as the time of this node's beat.
func (h *theHub) compareClocks(ctx context.Context, before, after time.Time) {
	nodes, err := h.ledger.Nodes(ctx)
	if err != nil {
		return // the next beat says it
	}
	for _, n := range nodes {
		if n.ID == h.cfg.nodeID() {
			h.noteSkew(skewOf(n.Seen, before, after))
		}
	}
}

// skewOf is how far seen is outside before and after, 0 when that is little.
func skewOf(seen, before, after time.Time) time.Duration {
	switch {
	case seen.Before(before.Add(-maxSkew)):
		return before.Sub(seen)
	case seen.After(after.Add(maxSkew)):
		return seen.Sub(after)
	}
	return 0
}

func (h *theHub) noteSkew(skew time.Duration) {
	words := ""
	if skew != 0 {
		words = fmt.Sprintf("the clock of this node is %s away from the database's: set both by NTP", skew.Round(100*time.Millisecond))
	}
	old := h.clock.Swap(&words)
	if told := old != nil && *old != ""; told != (words != "") {
		h.log.Warn(cmp.Or(words, "the clock of this node agrees with the database's again"))
	}
}

// nodeWarnings are for the console.
func (h *theHub) nodeWarnings() []string {
	if words := h.clock.Load(); words != nil && *words != "" {
		return []string{*words}
	}
	return nil
}
