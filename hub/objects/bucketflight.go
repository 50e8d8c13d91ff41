package objects

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// flight is a larger object on its way to the bucket, for all who claim it at this node.
type flight struct {
	done chan struct{} // closed when err is set
	err  error
}

// Prepare begins what Seal would take long for, a larger object's way to a bucket, and
// calls ready when Seal will answer at once: so nobody's small object waits in the same
// Seal. ready is called before Prepare returns when there is nothing to wait for, else
// later and from another goroutine; also when it has failed, which Seal then says.
// Those of a more urgent class (0, 1, 2) go first.
func (c *Partial) Prepare(class uint8, ready func()) {
	b := c.p.store.bucket
	if b == nil || !c.large() || !b.begin() {
		ready()
		return
	}
	go func() { // close waits for it
		defer b.flying.Done()
		g, err := b.load(c)
		if g != nil {
			err = b.carry(g, class)
			c.p.carried(g.life, err)
		} else if err != nil {
			c.p.remember(c, err)
		}
		ready()
	}()
}

// large reports whether it should go beside the others.
func (c *Partial) large() bool {
	c.p.mu.Lock()
	defer c.p.mu.Unlock()
	return c.p.onDisk > aside
}

// begin counts one more that close waits for, unless the store is closed.
func (b *bucket) begin() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.closed {
		b.flying.Add(1)
	}
	return !b.closed
}

// remember keeps for Seal why there is no cargo.
func (p *partial) remember(c *Partial, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.owner == c && !p.gone {
		p.failed = err
	}
}

// carry flies a larger object to the bucket, or waits for who does already. It takes g's file.
func (b *bucket) carry(g *cargo, class uint8) error {
	defer g.file.Close()
	f, ours := b.board(g)
	if !ours {
		<-f.done // ends with b.ctx
		return f.err
	}
	f.err = b.fly(b.ctx, g, class)
	b.mu.Lock()
	delete(b.flights, g.id)
	b.mu.Unlock()
	close(f.done)
	return f.err
}

// board returns the object's flight, and whether it is new and so the caller's.
func (b *bucket) board(g *cargo) (f *flight, ours bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if f = b.flights[g.id]; f != nil {
		return f, false
	}
	f = &flight{done: make(chan struct{})}
	b.flights[g.id] = f
	return f, true
}

// fly brings a larger object into the bucket, however often it takes.
func (b *bucket) fly(ctx context.Context, g *cargo, class uint8) error {
	const rounds = 3
	began := time.Now()
	for round := 1; ; round++ {
		err := b.flyOnce(ctx, g, class)
		if err == nil {
			b.worked()
			return nil
		}
		if errors.Is(err, ErrDigest) || errors.Is(err, ErrFull) {
			return err
		}
		if !stale(err) || round == rounds {
			return b.failedAt(began, err)
		}
	}
}

// flyOnce ends at once when a large object is there with its size. That relies on: an object
// gets its key only by a request that completes it, of proven bytes, or by one that brings
// all of it; nobody else writes below our prefix; and whoever finds that its bytes are
// not what they were says so with a mark.
func (b *bucket) flyOnce(ctx context.Context, g *cargo, class uint8) error {
	if g.size <= single {
		if err := b.turns.take(ctx, class); err != nil {
			return err
		}
		defer b.turns.give()
		return b.putWhole(ctx, g)
	}
	there, err := b.whole(ctx, g)
	if err != nil || there {
		return err
	}
	if err := b.upload(ctx, g, class); err != nil {
		return err
	}
	size, err := b.stat(ctx, b.objectKey(g.id))
	if err == nil && size != g.size {
		err = fmt.Errorf("%w: %d bytes were stored as %d", ErrTooBig, g.size, size)
	}
	if err != nil {
		return err
	}
	return b.unmark(ctx, g)
}
