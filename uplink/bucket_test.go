package uplink

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"edged/uplink/wire"
)

// letOut is what a bucket let out, in order.
type letOut struct {
	at   time.Time
	cost int64
}

// traced is a bucket that notes what it lets out; read log when nobody takes.
func traced(s Shape) (b *bucket, log *[]letOut) {
	b, log = newBucket(s), new([]letOut)
	b.trace = func(at time.Time, cost int64) { *log = append(*log, letOut{at, cost}) }
	return b, log
}

// fullest is the most that any 100 ms saw, the ends counted in.
func fullest(log []letOut) (most int64) {
	sum, first := int64(0), 0
	for _, l := range log {
		sum += l.cost
		for l.at.Sub(log[first].at) > 100*time.Millisecond {
			sum -= log[first].cost
			first++
		}
		most = max(most, sum)
	}
	return most
}

func sumOf(log []letOut) (n int64) {
	for _, l := range log {
		n += l.cost
	}
	return n
}

// demand takes with n takers of all classes until ctx ends: whole objects and
// small ones, with little pauses as writing makes them.
func demand(ctx context.Context, b *bucket, n int, seed uint64) {
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			random := rand.New(rand.NewPCG(seed, uint64(i)))
			for {
				want := wire.MaxBody
				if random.IntN(4) == 0 {
					want = 1 + random.IntN(30_000)
				}
				for want > 0 {
					got, err := b.take(ctx, take{class: uint8(i % wire.Classes), want: want, overhead: 1.04})
					if err != nil {
						return
					}
					want -= got
					time.Sleep(time.Duration(random.IntN(300)) * time.Microsecond)
				}
			}
		})
	}
	all.Wait()
}

// TestTheRateHolds: 2 % over 10 s, and never above 105 % in any 100 ms.
func TestTheRateHolds(t *testing.T) {
	for _, bits := range []int64{1e6, 50e6, 200e6, 1e9} {
		for _, takers := range []int{1, 4, 32} {
			t.Run(fmt.Sprintf("%d Mbit/s, %d lanes", bits/1e6, takers), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					b, log := traced(Shape{Rate: bits})
					ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
					defer cancel()
					demand(ctx, b, takers, 1)
					accurate(t, *log, bits, 10*time.Second)
				})
			})
		}
	}
}

func accurate(t *testing.T, log []letOut, bits int64, over time.Duration) {
	t.Helper()
	share := float64(sumOf(log)*8) / over.Seconds() / float64(bits)
	peak := float64(fullest(log)*80) / float64(bits)
	if share < 0.98 || share > 1.02 || peak > 1.05 {
		t.Errorf("%.4f of the rate, at most %.4f in 100 ms", share, peak)
	}
	t.Logf("%.4f of the rate, at most %.4f in 100 ms, %d times", share, peak, len(log))
}
