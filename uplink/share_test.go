package uplink

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync"
	"testing"
	"time"

	"edged/internal/dicom"
	"edged/uplink/wire"
)

// pantry has no end of objects of routine and backfill, each of one size, and lends
// them as the spool does: four bytes of routine for one of backfill.
type pantry struct {
	*endless
	size [wire.Classes]int64

	mu    sync.Mutex // guards what follows
	open  chan struct{}
	has   [wire.Classes]bool
	n     uint64
	ahead int64
}

func (p *pantry) put(class uint8) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.has[class] = true
	close(p.open)
	p.open = make(chan struct{})
}

func (p *pantry) Lease(ctx context.Context, worst uint8) (Object, error) {
	for {
		p.mu.Lock()
		routine, backfill := p.has[wire.Routine] && worst >= wire.Routine, p.has[wire.Backfill] && worst >= wire.Backfill
		class, open := uint8(wire.Routine), p.open
		if backfill && (!routine || p.ahead > 0) {
			class = wire.Backfill
		}
		if routine || backfill {
			o := Object{Length: p.size[class], Priority: class}
			p.n++
			binary.BigEndian.PutUint64(o.ID[:], p.n)
			switch {
			case !p.has[wire.Routine] || !p.has[wire.Backfill]:
			case class == wire.Routine:
				p.ahead += o.Length
			default:
				p.ahead -= share * o.Length
			}
			p.mu.Unlock()
			return o, nil
		}
		p.mu.Unlock()
		select {
		case <-ctx.Done():
			return Object{}, ctx.Err()
		case <-open:
		}
	}
}

func (p *pantry) Return(Object, error) {}

func (p *pantry) Lost(context.Context, []dicom.ID) error { return nil }

// TestTheLineIsSharedByBytes: four of routine for one of backfill whatever the sizes
// of both, without and with a cap, on one lane and on several: slices of 30 KiB against
// the objects of an old archive.
func TestTheLineIsSharedByBytes(t *testing.T) {
	const small, usual, huge = 30 << 10, 512 << 10, 3000 << 20
	for name, shape := range map[string]Shape{"no cap": {}, "cap": {Rate: 90e6}} {
		for _, lanes := range []int{1, 2, 4} {
			for _, size := range [][wire.Classes]int64{{0, small, huge}, {0, small, usual}, {0, small, small}, {0, huge, huge}} {
				t.Run(fmt.Sprint(name, " lanes=", lanes, " ", size[1]>>10, " to ", size[2]>>10, " KiB"), func(t *testing.T) {
					if r := shared(t, shape, lanes, size); r < 3.5 || r > 4.6 { // a chunk more or less of the largest, on each lane
						t.Errorf("routine has %.2f times the bytes of backfill, want 4", r)
					} else {
						t.Logf("%.2f", r)
					}
				})
			}
		}
	}
}

// shared is how many times the bytes of backfill routine gets when backfill was alone before.
func shared(t *testing.T, shape Shape, lanes int, size [wire.Classes]int64) (ratio float64) {
	w := &wires{carries: map[string]func(int) float64{carrierQUIC: full(100e6, 100e6), carrierTCP: full(10e6, 10e6)}}
	p := &pantry{endless: &endless{}, size: size}
	onWiresFrom(t, w, Config{Transport: carrierQUIC, LanesMin: lanes, LanesMax: lanes, Shape: shape}, p, p, func(u *Uplink) {
		p.mu.Lock()
		p.open = make(chan struct{})
		p.mu.Unlock()
		p.put(wire.Backfill)
		time.Sleep(2 * time.Second)
		p.put(wire.Routine)
		time.Sleep(6 * time.Second)
		r := u.Status().RatePerClass
		ratio = float64(r[wire.Routine]) / float64(r[wire.Backfill])
	})
	return ratio
}
