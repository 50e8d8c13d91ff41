package ledger_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"edged/hub"
	"edged/hub/ledger"
	"edged/internal/dicom"
	"edged/internal/pglab"
)

// BenchmarkReceiveBatch records batches of objects as sessions do: 64 at a time under
// load. With one destination there is a job for each.
func BenchmarkReceiveBatch(b *testing.B) {
	for _, engine := range []string{"sqlite", "postgres"} {
		for _, writers := range []int{1, 16} {
			for _, batch := range []int{1, 64} {
				b.Run(fmt.Sprintf("%s/writers=%d/batch=%d", engine, writers, batch), func(b *testing.B) { benchReceive(b, engine, writers, batch) })
			}
		}
	}
}

func benchLedger(b *testing.B, engine string) *ledger.Ledger {
	c := ledger.Config{Path: filepath.Join(b.TempDir(), "ledger.db"), Destinations: []ledger.Destination{{Name: "vna", Required: true, Confirm: "dir"}}}
	if engine == "postgres" {
		c.Database = pglab.New(b).URL("postgres") // on the disk
	}
	l, err := ledger.Open(b.Context(), c)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { l.Close() })
	return l
}

// benchReceive: b.N batches, spread over writers.
func benchReceive(b *testing.B, engine string, writers, batch int) {
	l := benchLedger(b, engine)
	var next, left atomic.Int64
	left.Store(int64(b.N))
	before := cpuTime()
	b.ResetTimer()
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			objects := make([]hub.Object, batch)
			for left.Add(-1) >= 0 {
				first := next.Add(int64(batch)) - int64(batch)
				for i := range objects {
					objects[i] = benchObject(uint64(first) + uint64(i))
				}
				if err := l.Receive(context.Background(), objects); err != nil {
					b.Error(err)
				}
			}
		})
	}
	wg.Wait()
	report(b, batch, before)
}

func report(b *testing.B, batch int, before time.Duration) {
	n := float64(b.N * batch)
	b.ReportMetric(n/b.Elapsed().Seconds(), "objects/s")
	b.ReportMetric((cpuTime()-before).Seconds()*1e6/n, "cpu-us/object") // of this process
	b.ReportMetric(0, "ns/op")
}

// BenchmarkForward leases and settles jobs as a forwarder does: 64 leased at a time,
// eight of them reported at once.
func BenchmarkForward(b *testing.B) {
	for _, engine := range []string{"sqlite", "postgres"} {
		b.Run(engine, func(b *testing.B) { benchForward(b, engine) })
	}
}

func benchForward(b *testing.B, engine string) {
	l := benchLedger(b, engine)
	ctx := context.Background()
	objects := make([]hub.Object, 64)
	for n := range b.N {
		for i := range objects {
			objects[i] = benchObject(uint64(n*64 + i))
		}
		if err := l.Receive(ctx, objects); err != nil {
			b.Fatal(err)
		}
	}
	before := cpuTime()
	b.ResetTimer()
	for range b.N {
		jobs, err := l.Lease(ctx, "vna", 64, time.Minute)
		if err != nil || len(jobs) != 64 {
			b.Fatal(len(jobs), err)
		}
		var wg sync.WaitGroup
		for part := range slices.Chunk(jobs, 8) {
			wg.Go(func() {
				for _, j := range part {
					if err := l.Done(ctx, j, ""); err != nil {
						b.Error(err)
					}
				}
			})
		}
		wg.Wait()
	}
	report(b, 64, before)
}

// benchObject is one of a study of 500 with the IDs of digests, which come in no order.
func benchObject(n uint64) (o hub.Object) {
	binary.BigEndian.PutUint64(o.ID[:], n*0x9e3779b97f4a7c15)
	o.Names = dicom.Names{
		TransferSyntax: "1.2.840.10008.1.2.1", SOPClass: "1.2.840.10008.5.1.4.1.1.2",
		SOPInstance: fmt.Sprintf("1.3.6.1.4.1.14519.5.2.1.7009.2403.%d.%d", n/500, n),
	}
	o.Length, o.Study, o.Priority = 30<<10, fmt.Sprintf("1.3.6.1.4.1.14519.5.2.1.7009.2403.%d", n/500), 1
	o.Device, o.Calling = "appliance-0001", "CT1"
	return o
}

func cpuTime() time.Duration {
	var r syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &r)
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
