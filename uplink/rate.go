package uplink

import (
	"context"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"edged/uplink/wire"
)

// slice is how much time one chunk may take at the limited rate: what an
// urgent object waits for at most.
const slice = 50 * time.Millisecond

const minChunk = 4 << 10

func limit(bitsPerSecond int64) rate.Limit {
	if bitsPerSecond <= 0 {
		return rate.Inf
	}
	return rate.Limit(float64(bitsPerSecond) / 8)
}

// burst is one chunk: the bucket never lets more than a slice's worth out at once.
func burst(bitsPerSecond int64) int { return chunk(limit(bitsPerSecond)) }

// chunk is the size of a Put's body at a rate.
func chunk(l rate.Limit) int {
	if l == rate.Inf {
		return wire.MaxBody
	}
	return min(wire.MaxBody, max(minChunk, int(float64(l)*slice.Seconds())))
}

// take waits for n tokens. When the rate is changed meanwhile n may be more
// than the bucket holds: then they are taken in parts.
func (u *Uplink) take(ctx context.Context, n int) error {
	for n > 0 {
		part := min(n, max(1, u.limiter.Burst()))
		if err := u.limiter.WaitN(ctx, part); err == nil {
			n -= part
		} else if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return nil
}

// meter measures the rate of the last seconds.
type meter struct {
	mu    sync.Mutex
	total int64
	at    [meterSeconds]int64 // unix second of each bucket
	bytes [meterSeconds]int64
}

const meterSeconds = 5

func (m *meter) add(now time.Time, n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.total += int64(n)
	second := now.Unix()
	i := second % meterSeconds
	if m.at[i] != second {
		m.at[i], m.bytes[i] = second, 0
	}
	m.bytes[i] += int64(n)
}

// read returns all bytes and the bits a second of the whole seconds before now.
func (m *meter) read(now time.Time) (total, bitsPerSecond int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	second, sum := now.Unix(), int64(0)
	for i, at := range m.at {
		if age := second - at; age > 0 && age < meterSeconds {
			sum += m.bytes[i]
		}
	}
	return m.total, sum * 8 / (meterSeconds - 1)
}
