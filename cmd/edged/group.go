package main

import (
	"context"
	"sync"
)

// group runs the parts of a program side by side. The first that ends with an
// error ends all; Wait returns when every one has ended.
type group struct {
	parent context.Context
	ctx    context.Context
	cancel context.CancelCauseFunc
	wait   sync.WaitGroup
}

func newGroup(ctx context.Context) *group {
	inner, cancel := context.WithCancelCause(ctx)
	return &group{parent: ctx, ctx: inner, cancel: cancel}
}

// Go starts part. It is to end when the context does.
func (g *group) Go(part func(context.Context) error) {
	g.wait.Add(1)
	go func() {
		defer g.wait.Done()
		if err := part(g.ctx); err != nil {
			g.cancel(err)
		}
	}()
}

// Wait returns the first error of a part, or nil when all ended in order or
// because the context around the group did.
func (g *group) Wait() error {
	g.wait.Wait()
	defer g.cancel(nil)
	err := context.Cause(g.ctx)
	if err == errStopped || err == context.Cause(g.parent) {
		return nil
	}
	return err
}
