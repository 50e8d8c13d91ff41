package ledger_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"edged/hub"
	"edged/hub/ledger"
	"edged/internal/dicom"
)

// BenchmarkReceiveBatch records batches of objects as a session does: 64 at a time under
// load. With one destination there is a job for each.
func BenchmarkReceiveBatch(b *testing.B) {
	for _, batch := range []int{1, 64} {
		b.Run(fmt.Sprintf("batch=%d", batch), func(b *testing.B) { benchReceive(b, batch) })
	}
}

func benchReceive(b *testing.B, batch int) {
	ctx := context.Background()
	l, err := ledger.Open(ctx, ledger.Config{
		Path:         filepath.Join(b.TempDir(), "ledger.db"),
		Destinations: []ledger.Destination{{Name: "vna", Required: true, Confirm: "dir"}},
	})
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	var next uint64
	objects := make([]hub.Object, batch)
	before := cpuTime()
	b.ResetTimer()
	for range b.N {
		for i := range objects {
			next++
			objects[i] = benchObject(next)
		}
		if err := l.Receive(ctx, objects); err != nil {
			b.Fatal(err)
		}
	}
	n := float64(b.N * batch)
	b.ReportMetric(n/b.Elapsed().Seconds(), "objects/s")
	b.ReportMetric((cpuTime()-before).Seconds()*1e6/n, "cpu-us/object")
	b.ReportMetric(0, "ns/op")
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
