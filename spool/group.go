package spool

import "sync"

// rounds lets callers share one flush without anybody waiting for company:
// whoever comes first leads, whoever comes while a flush is running joins the
// next one. A lone caller never waits. It starts no goroutine.
type rounds struct {
	lead sync.Mutex // held while a flush runs; only the next leader ever waits for it

	mu   sync.Mutex // guards open
	open *round     // the round that can still be joined, nil if none
}

type round struct {
	ops  []op
	done chan struct{}
	err  error // written before done is closed
}

// do joins a round with ops. The round's leader runs flush once, with the ops
// of all who joined, and everybody gets its error.
func (g *rounds) do(ops []op, flush func([]op) error) error {
	r, leader := g.join(ops)
	if leader {
		g.lead.Lock()
		g.mu.Lock()
		g.open = nil // from here on callers need a flush that starts later
		g.mu.Unlock()
		r.err = flush(r.ops)
		close(r.done)
		g.lead.Unlock()
	}
	<-r.done
	return r.err
}

func (g *rounds) join(ops []op) (r *round, leader bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.open == nil {
		g.open, leader = &round{done: make(chan struct{})}, true
	}
	g.open.ops = append(g.open.ops, ops...)
	return g.open, leader
}
