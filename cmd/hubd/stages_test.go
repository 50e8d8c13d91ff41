package main

import (
	"context"
	"slices"
	"sync"
	"testing"
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
