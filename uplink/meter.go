package uplink

import (
	"sync"
	"time"

	"edged/uplink/wire"
)

// meter measures the data set bytes of the last seconds.
type meter struct {
	mu    sync.Mutex
	total int64
	at    [meterSeconds]int64 // unix second of each bucket
	bytes [meterSeconds][wire.Classes]int64
}

const meterSeconds = 5

func (m *meter) add(now time.Time, class uint8, n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.total += int64(n)
	second := now.Unix()
	i := second % meterSeconds
	if m.at[i] != second {
		m.at[i], m.bytes[i] = second, [wire.Classes]int64{}
	}
	m.bytes[i][class] += int64(n)
}

// read returns all bytes, and the bits a second of each class in the whole seconds
// before now.
func (m *meter) read(now time.Time) (total int64, bitsPerSecond [wire.Classes]int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	second := now.Unix()
	for i, at := range m.at {
		if age := second - at; age > 0 && age < meterSeconds {
			for class, n := range m.bytes[i] {
				bitsPerSecond[class] += n * 8 / (meterSeconds - 1)
			}
		}
	}
	return m.total, bitsPerSecond
}
