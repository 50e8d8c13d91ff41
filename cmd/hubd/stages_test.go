package main

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"

	"edged/hub/ledger"
	"edged/internal/pglab"
)

// Who is talked to is sent away before the work on what came ends, and the console
// says to the last that the hub is not ready.
func TestPartsEndInTheirOrder(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	all := newStages(ctx)
	var mu sync.Mutex
	var ended []string
	for _, name := range []string{"console", "forward", "uplink"} {
		s := all[stageOf[name]]
		s.Go(func() {
			<-s.ctx.Done()
			mu.Lock()
			defer mu.Unlock()
			ended = append(ended, name)
		})
	}
	cancel() // this only asks
	if all[working].ctx.Err() != nil {
		t.Error("the end that is asked for cuts the work off")
	}
	end(all)
	if want := []string{"uplink", "forward", "console"}; !slices.Equal(ended, want) {
		t.Errorf("ended as %v, want %v", ended, want)
	}
}

// A node that ends because its name is another's says no goodbye in that name, and sends
// its appliances nowhere first.
func TestWhoHasLostItsNameSaysNoGoodbye(t *testing.T) {
	l, err := ledger.Open(t.Context(), ledger.Config{Database: pglab.Start(t), Node: "n1"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	h := &theHub{cfg: Config{Database: "it is there"}, ledger: l, log: slog.New(slog.DiscardHandler)} // and no receiver that could send anybody away
	for _, test := range []struct {
		why  error
		left int
	}{{fmt.Errorf("name: node n1: %w", ledger.ErrNameTaken), 1}, {context.Canceled, 0}} {
		if err := l.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(test.why)
		if test.left == 1 {
			h.leave(ctx)
		}
		h.goodbye(ctx)
		if nodes, err := l.Nodes(t.Context()); err != nil || len(nodes) != test.left {
			t.Errorf("after %v: nodes %+v, %v", test.why, nodes, err)
		}
	}
}
