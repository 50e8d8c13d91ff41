package uplink

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"sync"
	"testing"
	"time"

	"edged/internal/dicom"
	"edged/uplink/wire"
)

// shelf lends what is put on it, most urgent first, and notes when each got its receipt.
type shelf struct {
	*endless                // for what a Keeper is told
	open     func(o Object) // called by Open; nil: nothing

	mu      sync.Mutex
	changed chan struct{}
	next    uint64
	ready   []Object
	put, at map[dicom.ID]time.Time
	back    int
	rests   []time.Duration // that the hub asked for
}

func newShelf() *shelf {
	return &shelf{endless: &endless{}, changed: make(chan struct{}), put: map[dicom.ID]time.Time{}, at: map[dicom.ID]time.Time{}}
}

func (s *shelf) add(priority uint8, size int64) (id dicom.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next++
	binary.BigEndian.PutUint64(id[:], s.next)
	s.put[id] = time.Now()
	s.ready = append(s.ready, Object{ID: id, Length: size, Priority: priority})
	close(s.changed)
	s.changed = make(chan struct{})
	return id
}

func (s *shelf) Lease(ctx context.Context, worst uint8) (Object, error) {
	for {
		s.mu.Lock()
		best := -1
		for i, o := range s.ready {
			if o.Priority <= worst && (best < 0 || o.Priority < s.ready[best].Priority) {
				best = i
			}
		}
		changed := s.changed
		if best >= 0 {
			o := s.ready[best]
			s.ready = append(s.ready[:best], s.ready[best+1:]...)
			s.mu.Unlock()
			return o, nil
		}
		s.mu.Unlock()
		select {
		case <-ctx.Done():
			return Object{}, ctx.Err()
		case <-changed:
		}
	}
}

func (s *shelf) Open(_ context.Context, o Object, offset int64) (io.ReadCloser, error) {
	if s.open != nil {
		s.open(o)
	}
	return io.NopCloser(io.LimitReader(zeros{}, o.Length-offset)), nil
}

func (s *shelf) Return(o Object, why error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.back++
	var busy *BusyError
	if errors.As(why, &busy) {
		s.rests = append(s.rests, busy.Retry)
		time.AfterFunc(busy.Retry, func() { s.rested(o) })
		return
	}
	var rest *RestError
	if errors.As(why, &rest) && rest.Rest > 0 {
		time.AfterFunc(rest.Rest, func() { s.rested(o) })
		return
	}
	s.putBack(o)
}

func (s *shelf) rested(o Object) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.putBack(o)
}

// putBack has o lent again. s.mu is held.
func (s *shelf) putBack(o Object) {
	s.ready = append(s.ready, o)
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *shelf) AtHub(_ context.Context, list []Receipt) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range list {
		s.at[r.ID] = time.Now()
	}
	return nil
}

// took is how long an object took from add to its receipt; negative: it has none.
func (s *shelf) took(id dicom.ID) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if at, ok := s.at[id]; ok {
		return at.Sub(s.put[id])
	}
	return -1
}

// onShelf is onWires with a shelf.
func onShelf(t *testing.T, w *wires, c Config, s *shelf, during func(*Uplink)) {
	onWiresFrom(t, w, c, s, s, during)
}

// TestABigObjectOfBackfillHoldsUpNothingRoutine: it is leased and waits for
// minutes on a small line; the window that it fills is not that of routine.
func TestABigObjectOfBackfillHoldsUpNothingRoutine(t *testing.T) {
	w := &wires{carries: map[string]func(int) float64{carrierQUIC: full(10e6, 10e6), carrierTCP: full(10e6, 10e6)}}
	s := newShelf()
	onShelf(t, w, Config{Transport: carrierQUIC, LanesMax: 1}, s, func(*Uplink) {
		s.add(wire.Backfill, 300<<20)
		time.Sleep(5 * time.Second)
		id := s.add(wire.Routine, 512<<10)
		time.Sleep(10 * time.Minute)
		if took := s.took(id); took < 0 || took > 5*time.Second {
			t.Errorf("512 KiB of routine took %v on a line of 10 Mbit/s", took)
		}
	})
}

// TestASlowObjectIsRelievedThoughOthersCome: who asks for more all the time does
// not restart the patience with the one that the disk is slow with.
func TestASlowObjectIsRelievedThoughOthersCome(t *testing.T) {
	w := &wires{carries: map[string]func(int) float64{carrierQUIC: full(100e6, 100e6), carrierTCP: full(10e6, 10e6)}}
	s := newShelf()
	var hang chan struct{}
	s.open = func(o Object) {
		if o.ID[7] == 1 {
			<-hang
		}
	}
	onShelf(t, w, Config{Transport: carrierQUIC, LanesMax: 1}, s, func(*Uplink) {
		hang = make(chan struct{})
		s.add(wire.Urgent, 64<<10)
		var ids []dicom.ID
		for range 60 {
			time.Sleep(500 * time.Millisecond)
			ids = append(ids, s.add(wire.Urgent, 64<<10))
		}
		done := 0
		for _, id := range ids {
			if took := s.took(id); took >= 0 {
				done++
			}
		}
		if done < 50 {
			t.Errorf("of 60 urgent objects, which came in 30 s behind one that the disk hangs with, %d are at the hub", done)
		}
		close(hang)
	})
}
