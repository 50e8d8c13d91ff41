package receive

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"edged/hub"
	"edged/hub/objects"
	"edged/uplink/wire"
)

// What a batch holds, and who seals at the same time. Two committers are there as soon as
// there is work: while one records its batch the other flushes the next. More come
// only where batches are full, because each flush takes long.
const (
	maxBatch  = 64      // so that no receipt waits for too many flushes
	fewSealed = 2       // committers whatever waits
	maxSealed = 6       // committers when full batches wait
	large     = 8 << 20 // bytes: from here on an object is sealed alone, and holds up none that is small
	rowsWait  = time.Minute
)

// commits makes what is complete durable, for all sessions together: in batches of what
// waits, of each appliance one after the other, urgent ones first. Seal in the store, then
// rows, then Receipt (SPOOL-19). Committers are there only while there is work.
type commits struct {
	server *Server

	mu    sync.Mutex // guards what follows
	ended sync.Cond  // of mu: a committer has
	lanes [lanes]commitLane
}

// commitLane is complete objects of a kind. Urgent ones wait for no other, small ones
// not for large ones.
type commitLane struct {
	waiting    carousel[complete]
	committers int
}

const lanes = 4

// complete is an offer whose bytes are all there.
type complete struct {
	n *session
	o *offer
}

func laneOf(o *offer) (lane, batch int) {
	lane, batch = 0, maxBatch
	if o.Length >= large {
		lane, batch = 2, 1
	}
	if o.Priority != wire.Urgent {
		lane++
	}
	return lane, batch
}

// add hands an offer over, and has a committer come when there is none for it.
func (c *commits) add(n *session, o *offer) {
	i, batch := laneOf(o)
	c.mu.Lock()
	defer c.mu.Unlock()
	l := &c.lanes[i]
	l.waiting.add(n.device, complete{n, o})
	if l.committers < fewSealed || l.committers < maxSealed && l.waiting.n >= batch {
		l.committers++
		go c.run(l, batch) // rest waits for it
	}
}

// rest waits until there is no committer. Sessions over TCP may go on meanwhile and have
// new ones come, so this is no WaitGroup: who ends Serve ends them as well. Each session
// waits for its own in withdraw.
func (c *commits) rest() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.busy() {
		c.ended.Wait()
	}
}

// busy is whether there is a committer. Guarded by mu.
func (c *commits) busy() bool {
	return slices.ContainsFunc(c.lanes[:], func(l commitLane) bool { return l.committers > 0 })
}

// run commits until nothing waits in the lane.
func (c *commits) run(l *commitLane, batch int) {
	for {
		list := c.take(l, batch)
		if len(list) == 0 {
			return
		}
		c.commit(list)
		for _, d := range list {
			d.n.inHand.Done()
		}
	}
}

// take takes a batch in hand, or ends the committer.
func (c *commits) take(l *commitLane, batch int) (list []complete) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(list) < batch {
		d, ok := l.waiting.take()
		if !ok {
			break
		}
		d.n.inHand.Add(1)
		list = append(list, d)
	}
	if len(list) == 0 {
		l.committers--
		c.ended.Broadcast()
	}
	return list
}

// withdraw takes out what waits of a session that has ended, and waits for what a
// committer has in hand.
func (c *commits) withdraw(n *session) {
	c.mu.Lock()
	for i := range c.lanes {
		c.lanes[i].waiting.remove(n.device, func(d complete) bool { return d.n == n })
	}
	c.mu.Unlock()
	n.inHand.Wait()
}

// commit brings one batch to its receipts.
func (c *commits) commit(list []complete) {
	claims := make([]*objects.Partial, len(list))
	for i, d := range list {
		claims[i] = d.o.claim
	}
	errs := c.server.c.Objects.Seal(claims)
	sealed := list[:0:0]
	for i, d := range list {
		if errs[i] == nil {
			sealed = append(sealed, d)
		} else {
			d.n.notSealed(d.o, errs[i])
		}
	}
	if len(sealed) > 0 {
		c.record(sealed)
	}
}

// record writes the rows of all in one go. Where that fails each appliance has its own
// go, so that one which was revoked ends nobody else's session.
func (c *commits) record(list []complete) {
	slices.SortStableFunc(list, func(a, b complete) int { return cmp.Compare(a.n.device, b.n.device) })
	ctx, cancel := context.WithTimeout(context.Background(), rowsWait)
	defer cancel()
	defer tickets(list)()
	list, err := c.rows(ctx, list)
	if err == nil || len(list) == 0 {
		receipts(list)
		return
	}
	several := list[0].n.device != list[len(list)-1].n.device
	for len(list) > 0 {
		n := 1
		for n < len(list) && list[n].n.device == list[0].n.device {
			n++
		}
		own := list[:n]
		list = list[n:]
		if several { // else that was what failed
			own, err = c.rows(ctx, own)
		}
		if err != nil {
			for _, d := range own {
				d.n.end(err)
			}
			continue
		}
		receipts(own)
	}
}

// rows records all but what is to come again later, and returns what it was about.
func (c *commits) rows(ctx context.Context, list []complete) ([]complete, error) {
	for len(list) > 0 {
		rows := make([]hub.Object, len(list))
		for i, d := range list {
			rows[i] = d.n.object(d.o)
		}
		err := c.server.c.Ledger.Receive(ctx, rows)
		var going *GoingError
		if errors.As(err, &going) {
			list = c.without(list, going)
			continue
		}
		if err != nil {
			return list, fmt.Errorf("record %d objects: %w", len(rows), err)
		}
		break
	}
	return list, nil
}

// without has one object come again later.
func (c *commits) without(list []complete, going *GoingError) (left []complete) {
	for _, d := range list {
		if hub.ID(d.o.ID) != going.ID {
			left = append(left, d)
			continue
		}
		d.n.rarely(slog.LevelInfo, "an object has come while its file is removed", "object", d.o.ID)
		d.o.claim.Release()
		d.n.finish(d.o)
		d.n.say(busy(c.server.c.BusyRetry, false, d.o.ID)...)
	}
	return left
}

// tickets takes one for each offer, see session.ticket, and returns who gives them back.
func tickets(list []complete) (back func()) {
	all := make([]func(), len(list))
	for i, d := range list {
		all[i] = d.n.ticket()
	}
	return func() {
		for _, done := range all {
			done()
		}
	}
}

// receipts tells each session what of it is durable.
func receipts(list []complete) {
	of := map[*session]*wire.Receipt{}
	for _, d := range list {
		d.o.claim.Recorded()
		d.n.finish(d.o)
		r := of[d.n]
		if r == nil {
			r = &wire.Receipt{}
			of[d.n] = r
		}
		r.Receipts = append(r.Receipts, wire.Received{ID: d.o.ID, Length: d.o.Length})
	}
	for n, r := range of {
		n.say(r)
	}
}

// notSealed ends the offer of what could not be made durable.
func (n *session) notSealed(o *offer, err error) {
	if !errors.Is(err, objects.ErrDigest) {
		if err := n.notWritten(o, err); err != nil {
			n.end(err)
		}
		return
	}
	n.finish(o)
	n.rarely(slog.LevelError, "digest mismatch", "object", o.ID)
	n.say(&wire.Trouble{Problems: []wire.Problem{{ID: o.ID, Kind: wire.ProblemDigest}}})
}

// object is the row of an offer; the device comes from the certificate. An object whose
// study has a name that is no UID is of none: it is received and archived like others.
func (n *session) object(o *offer) hub.Object {
	study := o.Study
	if len(study) > maxUID {
		study = ""
	}
	return hub.Object{
		ID: hub.ID(o.ID), Names: o.Names(), Length: o.Length, Study: study,
		Priority: o.Priority, Device: n.device, Flags: o.Flags, Calling: o.Calling, Modality: o.Modality,
	}
}
