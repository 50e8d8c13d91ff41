package objects_test

import (
	"encoding/binary"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"edged/hub/objects"
)

// BenchmarkSeal is what eight committers bring to a shelf, in batches of 16 as they come
// when appliances send on many connections: objects/s, from the last byte to the answer.
func BenchmarkSeal(b *testing.B) {
	for _, shelf := range []string{"directory", "bucket"} {
		for _, size := range []int{30 << 10, 512 << 10} {
			b.Run(fmt.Sprintf("%s/%dKiB", shelf, size>>10), func(b *testing.B) { benchmarkSeal(b, size) })
		}
	}
}

func benchmarkSeal(b *testing.B, size int) {
	const committers, batch = 8, 16
	c := objects.Config{Dir: b.TempDir()}
	if strings.Contains(b.Name(), "bucket") {
		c.Bucket = config(lab(b).Bucket(b))
	}
	s, err := objects.Open(c)
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	b.SetBytes(int64(size))
	var next atomic.Int64
	var wg sync.WaitGroup
	b.ResetTimer()
	for range committers {
		wg.Go(func() {
			data := bytesOf(1, size)
			for from := next.Add(batch) - batch; from < int64(b.N); from = next.Add(batch) - batch {
				var ps []*objects.Partial
				for n := range min(batch, int64(b.N)-from) {
					binary.BigEndian.PutUint64(data, uint64(from+n))
					p := claim(b, s, "one", data)
					write(b, p, data)
					ps = append(ps, p)
				}
				if err := seal(s, ps...); err != nil {
					b.Error(err)
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "objects/s")
}
