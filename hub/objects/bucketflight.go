package objects

import (
	"context"
	"errors"
	"fmt"
)

// flight is a large object on its way to the bucket, for all who claim it at this node.
type flight struct {
	after []func(error) // bucket.mu guards it
}

// Prepare begins what Seal would take long for, a large object's way to a bucket, and
// calls ready when Seal will answer at once: so nobody's small object waits in the same
// Seal. ready is called before Prepare returns when there is nothing to wait for, else
// later and from another goroutine; also when it has failed, which Seal then says.
// Those of a more urgent class (0, 1, 2) go first.
func (c *Partial) Prepare(class uint8, ready func()) {
	b := c.p.store.bucket
	if b == nil || !c.large() {
		ready()
		return
	}
	g, err := b.load(c)
	if err != nil || g == nil {
		c.p.remember(c, err)
		ready()
		return
	}
	b.carry(g, class, func(err error) {
		c.p.carried(g.life, err)
		ready()
	})
}

// large reports whether it is not stored in one request.
func (c *Partial) large() bool {
	c.p.mu.Lock()
	defer c.p.mu.Unlock()
	return c.p.onDisk > single
}

// remember keeps for Seal what load has taken from there.
func (p *partial) remember(c *Partial, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.owner == c && !p.gone && !errors.Is(err, ErrPreempted) {
		p.failed = err
	}
}

// await carries a large object that nobody prepared.
func (b *bucket) await(g *cargo) error {
	done := make(chan error, 1) // whoever carries it must not wait for us
	b.carry(g, 1, func(err error) { done <- err })
	return <-done
}

// carry joins the object's flight, or begins one. It takes g's file.
func (b *bucket) carry(g *cargo, class uint8, after func(error)) {
	f, begun := b.board(g, after)
	if !begun {
		g.file.Close()
	}
	if f == nil {
		after(fmt.Errorf("%w: the store is closed", ErrFull))
	}
	if begun {
		go func() { // close waits for it
			defer b.flying.Done()
			err := b.fly(b.ctx, g, class)
			g.file.Close()
			b.land(g, f, err)
		}()
	}
}

// board returns the object's flight, which the caller must begin when it is new; nil
// when none begins any more.
func (b *bucket) board(g *cargo, after func(error)) (f *flight, begun bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if f = b.flights[g.id]; f != nil {
		f.after = append(f.after, after)
		return f, false
	}
	if b.closed {
		return nil, false
	}
	f = &flight{after: []func(error){after}}
	b.flights[g.id] = f
	b.flying.Add(1)
	return f, true
}

func (b *bucket) land(g *cargo, f *flight, err error) {
	b.mu.Lock()
	delete(b.flights, g.id)
	after := f.after
	b.mu.Unlock()
	for _, call := range after {
		call(err)
	}
}

// fly brings a large object into the bucket, however often it takes.
func (b *bucket) fly(ctx context.Context, g *cargo, class uint8) error {
	const rounds = 3
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
			return b.failed(err)
		}
	}
}

// flyOnce ends at once when the object is there with its size. That relies on: an object
// gets its key only by a request that completes it, of proven bytes, or by one that brings
// all of it; nobody else writes below our prefix; and whoever finds that its bytes are
// not what they were says so with a mark.
func (b *bucket) flyOnce(ctx context.Context, g *cargo, class uint8) error {
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
