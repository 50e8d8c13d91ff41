package uplink

import (
	"context"
	"sync"

	"edged/uplink/wire"
)

// share is how many bytes of routine objects go for one of backfill while both
// have something to send.
const share = 4

// gate gives a lane to routine or backfill, chunk by chunk, as the account of the
// bucket says: it counts bytes, of all lanes together. Who holds it keeps it as long
// as there is something to send, and asks yield before each chunk: who gave it up
// after each chunk would lose the next turn to a class that waits.
type gate struct {
	line    *bucket
	mu      sync.Mutex // guards what follows
	busy    bool
	waiting [wire.Classes]chan struct{} // at most one sender of each class
}

// enter waits for the line. Each class has one caller.
func (g *gate) enter(ctx context.Context, class uint8) error {
	g.line.sends(class, 1)
	g.mu.Lock()
	if !g.busy {
		g.busy = true
		g.mu.Unlock()
		return nil
	}
	return g.wait(ctx, class)
}

// yield is called by the holder before its next chunk. It lets the other class
// pass when that is due, and returns with the line held, or an error without it.
func (g *gate) yield(ctx context.Context, class uint8) error {
	g.mu.Lock()
	if err := ctx.Err(); err != nil {
		g.free()
		g.mu.Unlock()
		g.line.sends(class, -1)
		return err
	}
	other := wire.Routine + wire.Backfill - class
	if g.waiting[other] == nil || g.line.due() == class {
		g.mu.Unlock()
		return nil
	}
	g.handTo(other)
	return g.wait(ctx, class)
}

// leave gives the line up.
func (g *gate) leave(class uint8) {
	g.line.sends(class, -1)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.free()
}

// wait queues for the line; it is called with g.mu held and releases it.
func (g *gate) wait(ctx context.Context, class uint8) error {
	turn := make(chan struct{})
	g.waiting[class] = turn
	g.mu.Unlock()
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
	}
	g.line.sends(class, -1)
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.waiting[class] == turn {
		g.waiting[class] = nil
	} else { // the turn came meanwhile
		g.free()
	}
	return ctx.Err()
}

// free hands the line to who waits. g.mu is held.
func (g *gate) free() {
	g.busy = false
	for _, class := range []uint8{wire.Routine, wire.Backfill} {
		if g.waiting[class] != nil {
			g.handTo(class)
			return
		}
	}
}

func (g *gate) handTo(class uint8) {
	close(g.waiting[class])
	g.waiting[class] = nil
	g.busy = true
}
