package uplink

import (
	"context"
	"sync"

	"edged/uplink/wire"
)

// share is how many chunks of routine objects go for one of backfill while
// both wait.
const share = 4

// gate gives the line to routine or backfill, chunk by chunk. Who holds it keeps
// it as long as there is something to send, and asks yield before each chunk: who
// gave it up after each chunk would lose the next turn to a class that waits.
type gate struct {
	mu      sync.Mutex // guards what follows
	busy    bool
	waiting [wire.Classes]chan struct{} // at most one sender of each class
	routine int                         // chunks since the last of backfill
}

// enter waits for the line. Each class has one caller.
func (g *gate) enter(ctx context.Context, class uint8) error {
	g.mu.Lock()
	if !g.busy {
		g.pass(class)
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
		return err
	}
	other := wire.Routine + wire.Backfill - class
	if g.waiting[other] == nil || class == wire.Routine && g.routine < share {
		g.pass(class)
		g.mu.Unlock()
		return nil
	}
	g.handTo(other)
	return g.wait(ctx, class)
}

// leave gives the line up.
func (g *gate) leave() {
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
	g.pass(class)
}

// pass counts a chunk of class. g.mu is held.
func (g *gate) pass(class uint8) {
	g.busy = true
	if class == wire.Backfill {
		g.routine = 0
	} else {
		g.routine++
	}
}
