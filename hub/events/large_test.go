package events

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"edged/hub"
)

// A study of 20,000 instances is told in bounded time, with memory that does not grow
// with what is told of it: the packed event is the largest thing that is held.
func TestAStudyOfTwentyThousandInstancesIsBounded(t *testing.T) {
	if testing.Short() || racing {
		t.Skip("it takes some seconds, and minutes under the race detector")
	}
	const n = 20_000
	r := newRig(t)
	var page []hub.Object
	shared := []byte(header())
	for i := range n {
		o := r.instance("one", "1.2.3", i, fmt.Sprint(i))
		r.copies[o.ID] = shared // the headers do not differ, the instances do
		if page = append(page, o); len(page) == 500 {
			r.must(r.ledger.Receive(t.Context(), page))
			page = nil
		}
	}
	r.say("one", "1.2.3", 1, n)
	runtime.GC()
	var before runtime.MemStats
	runtime.ReadMemStats(&before)
	var peak atomic.Uint64
	stop := make(chan struct{})
	watched := make(chan struct{})
	go func() { // waited for by watched
		defer close(watched)
		for {
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
				var now runtime.MemStats
				runtime.ReadMemStats(&now)
				peak.Store(max(peak.Load(), now.HeapAlloc))
			}
		}
	}()
	began := time.Now()
	f := NewFile("memory", t.TempDir())
	done := make(chan Message, 1)
	c := r.config(sinkFunc{f, done})
	c.Received = true
	r.run(c)
	var m Message
	select {
	case m = <-done:
	case <-time.After(4 * time.Minute):
		t.Fatal("it is not told")
	}
	took := time.Since(began)
	close(stop)
	<-watched
	grew := int64(peak.Load()) - int64(before.HeapAlloc)
	body, err := io.ReadAll(m.Body())
	r.must(err)
	e := parse(t, body)
	t.Logf("%d instances told in %v, %d bytes of JSON, %d packed, heap grew by at most %d MiB", n, took, len(body), len(m.Packed), grew>>20)
	if e.Totals.Instances != n || e.Series[0].Instances != n || len(e.Identifiers) != 1 || bytes.Count(body, []byte(`"archived_at"`)) != 0 {
		t.Errorf("%+v", e.Totals)
	}
	if took > 3*time.Minute || grew > 96<<20 { // three seconds on a machine at rest
		t.Errorf("took %v and %d MiB", took, grew>>20)
	}
}

// sinkFunc tells when a sink has taken one.
type sinkFunc struct {
	*File
	done chan Message
}

func (s sinkFunc) Send(ctx context.Context, m Message) error {
	err := s.File.Send(ctx, m)
	if err == nil {
		s.done <- m
	}
	return err
}
