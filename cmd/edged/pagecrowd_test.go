package main

import (
	"context"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"edged/internal/synth"
)

// longestStore is far beyond what a store takes on a busy machine, and far below what one
// would that waits for pages to be made.
const longestStore = 5 * time.Second

// 32 strangers ask for pages without a pause, as fast as they are answered; each image is
// stored and answered meanwhile.
func TestACrowdAtThePageHoldsUpNoImage(t *testing.T) {
	r := newRig(t, alone, "")
	r.startEdged()
	ctx, leave := context.WithCancel(t.Context())
	var crowd sync.WaitGroup
	var answered atomic.Int64
	for i := range 32 {
		crowd.Go(func() {
			for ctx.Err() == nil {
				rq, err := http.NewRequestWithContext(ctx, "GET", "http://"+r.page+[]string{"/", "/studies", "/devices", "/api/v1/studies"}[i%4], nil)
				ok(t, err)
				if rs, err := http.DefaultClient.Do(rq); err == nil {
					io.Copy(io.Discard, rs.Body)
					rs.Body.Close()
					answered.Add(1)
				}
			}
		})
	}
	defer crowd.Wait()
	defer leave()
	r.await("the crowd", func() bool { return answered.Load() > 32 })
	objects := synthetic(t, 1, synth.Bench(40, 64<<10))
	c := r.associate("CT1", objects[0].need())
	before, longest := answered.Load(), time.Duration(0)
	for _, o := range objects {
		began := time.Now()
		r.mustStore(c, o)
		longest = max(longest, time.Since(began))
	}
	if longest > longestStore {
		t.Errorf("an image waits for %s", longest)
	}
	r.await("the crowd to be answered meanwhile", func() bool { return answered.Load() > before })
	t.Logf("the longest store took %s, %d pages were answered", longest, answered.Load()-before)
}
