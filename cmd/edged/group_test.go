package main

import (
	"context"
	"errors"
	"testing"
)

// What stops first has ended before the next hears of it: the uplink never works
// on a spool that is being closed. The first error is the one that is told.
func TestGroupsStopOneAfterTheOther(t *testing.T) {
	first, second := newGroup(t.Context()), newGroup(t.Context())
	var early bool
	first.Go(func(ctx context.Context) error {
		<-ctx.Done()
		early = second.ctx.Err() != nil
		return nil
	})
	broken := errors.New("broken")
	second.Go(func(ctx context.Context) error {
		<-ctx.Done()
		return nil
	})
	if err := stopInOrder(nil, first, second); err != nil || early {
		t.Errorf("%v; the second was told before the first had ended: %v", err, early)
	}
	third := newGroup(t.Context())
	third.Go(func(context.Context) error { return broken })
	<-third.ctx.Done()
	if err := stopInOrder(nil, third); err != broken {
		t.Errorf("got %v, want the part's own error", err)
	}
}
