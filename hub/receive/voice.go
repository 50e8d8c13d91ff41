package receive

import (
	"context"
	"sync"

	"edged/uplink/wire"
)

// say has frames said to the appliance, in the order of the calls, and does not wait for
// that: whoever works for all must not wait for one who does not read. What may be said
// is bounded by the offers and the news that are under way, and by quiet.
func (n *session) say(frames ...wire.Frame) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.over {
		return
	}
	before := len(n.said)
	for _, f := range frames {
		b, err := wire.Append(n.said, f)
		if err != nil {
			n.end(err)
			return
		}
		n.said = b
	}
	n.given += int64(len(n.said) - before)
	if !n.talks {
		n.talks = true
		n.startLocked(n.talk)
	}
}

// talk says what there is, until there is nothing.
func (n *session) talk() error {
	for b := n.toSay(); len(b) > 0; b = n.toSay() {
		if err := n.link.Say(b); err != nil {
			return err
		}
		n.mu.Lock()
		if n.told += int64(len(b)); n.taken != nil {
			close(n.taken)
			n.taken = nil
		}
		n.mu.Unlock()
	}
	return nil
}

// toSay returns nothing when talk may go.
func (n *session) toSay() []byte {
	n.mu.Lock()
	defer n.mu.Unlock()
	b := n.said
	n.said, n.talks = nil, len(b) > 0
	return b
}

// quiet waits until the appliance has taken all that was given to say up to a mark.
func (n *session) quiet(ctx context.Context, mark int64) error {
	for {
		n.mu.Lock()
		if n.told >= mark {
			n.mu.Unlock()
			return nil
		}
		if n.taken == nil {
			n.taken = make(chan struct{})
		}
		taken := n.taken
		n.mu.Unlock()
		select {
		case <-taken:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// mark is for quiet: all that was given to say so far.
func (n *session) mark() int64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.given
}

// ticket is held by who writes rows, or asks for them, until what follows from that was
// given to say. push reads the outbox, waits for the tickets that were out then, and
// says what it has read: so no Archived overtakes its Receipt, and no Receipt follows the
// news that the object was lost since. Where another
// connection speaks that order is not kept: Archived says more than a Receipt
// that comes late, and what is at the hub and not archived is offered again.
func (n *session) ticket() (back func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.round.Add(1)
	return n.round.Done
}

// settled waits until all tickets are back that are out now. One calls it.
func (n *session) settled() {
	n.mu.Lock()
	round := n.round
	n.round = &sync.WaitGroup{}
	n.mu.Unlock()
	round.Wait()
}
