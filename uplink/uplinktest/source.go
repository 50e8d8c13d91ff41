package uplinktest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"time"

	"edged/internal/dicom"
	"edged/uplink"
	"edged/uplink/wire"
)

// State is where an object of a Source is.
type State uint8

// The states.
const (
	Ready State = iota
	Leased
	AtHub
	Archived
	Quarantined
)

// Source is a Source and a Keeper in memory.
type Source struct {
	mu       sync.Mutex
	items    map[dicom.ID]*Item
	order    []*Item
	changed  chan struct{}
	ledger   uplink.Ledger
	met      bool
	Opens    int              // how often Open was called
	Read     int64            // bytes handed out
	Returned []error          // reasons of Return
	Troubles []uplink.Trouble // told by the hub
	Losses   int              // IDs told by the hub to be lost there
	FailKeep error            // what AtHub, Archived and Lost return, once
}

// Item is one object.
type Item struct {
	uplink.Object
	State    State
	Data     []byte
	Damaged  int     // the reader of this and all later calls of Open ends with ErrCorrupt; 0: never
	Archives int     // how often Archived named it
	Offsets  []int64 // of Open
	rests    bool    // for a while after Return

	hadReceipt bool // at some time
}

var (
	_ uplink.Source = (*Source)(nil)
	_ uplink.Keeper = (*Source)(nil)
)

// NewSource returns an empty one.
func NewSource() *Source {
	return &Source{items: map[dicom.ID]*Item{}, changed: make(chan struct{})}
}

// MakeObject makes an object with n pseudo-random bytes from a seed.
func MakeObject(seed uint64, n int, priority uint8) (uplink.Object, []byte) {
	var key [32]byte
	key[0], key[1], key[2], key[3] = byte(seed), byte(seed>>8), byte(seed>>16), byte(seed>>24)
	data := make([]byte, n)
	rand.NewChaCha8(key).Read(data)
	o := uplink.Object{
		Names:    dicom.Names{TransferSyntax: "1.2.840.10008.1.2.1", SOPClass: "1.2.840.10008.5.1.4.1.1.2", SOPInstance: fmt.Sprintf("2.25.%d", seed)},
		Length:   int64(n),
		Study:    "2.25.7",
		Calling:  "CT1",
		Priority: priority,
	}
	h := o.Names.NewHash()
	h.Write(data)
	h.Sum(o.ID[:0])
	return o, data
}

// Add makes an object and puts it in, ready to be leased.
func (s *Source) Add(seed uint64, n int, priority uint8) *Item {
	o, data := MakeObject(seed, n, priority)
	return s.add(&Item{Object: o, Data: data})
}

// AddObject puts an object in whose bytes another Source lends.
func (s *Source) AddObject(o uplink.Object) *Item { return s.add(&Item{Object: o}) }

func (s *Source) add(it *Item) *Item {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.items[it.ID] = it
	s.order = append(s.order, it)
	s.wake()
	return it
}

// wake tells everybody that something changed. s.mu is held.
func (s *Source) wake() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// Lease implements uplink.Source.
func (s *Source) Lease(ctx context.Context, worst uint8) (uplink.Object, error) {
	for {
		s.mu.Lock()
		it, changed := s.best(worst), s.changed
		if it != nil && ctx.Err() == nil {
			it.State = Leased
			s.mu.Unlock()
			return it.Object, nil
		}
		s.mu.Unlock()
		select {
		case <-ctx.Done():
			return uplink.Object{}, ctx.Err()
		case <-changed:
		}
	}
}

func (s *Source) best(worst uint8) (best *Item) {
	for _, it := range s.order {
		if it.State == Ready && !it.rests && it.Priority <= worst && (best == nil || it.Priority < best.Priority) {
			best = it
			if best.Priority == wire.Urgent {
				break
			}
		}
	}
	return best
}

// Open implements uplink.Source.
func (s *Source) Open(_ context.Context, o uplink.Object, offset int64) (io.ReadCloser, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	it := s.items[o.ID]
	if it == nil || it.State != Leased {
		return nil, fmt.Errorf("open of %s, which is not leased", o.ID)
	}
	s.Opens++
	it.Offsets = append(it.Offsets, offset)
	damaged := it.Damaged > 0 && len(it.Offsets) >= it.Damaged
	return &content{s: s, damaged: damaged, r: bytes.NewReader(it.Data[offset:])}, nil
}

type content struct {
	s       *Source
	damaged bool
	r       *bytes.Reader
}

// Read implements io.Reader.
func (c *content) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	c.s.Read += int64(n)
	if err == io.EOF && c.damaged {
		err = uplink.ErrCorrupt
	}
	return n, err
}

// Close implements io.Closer.
func (c *content) Close() error { return nil }

// Return implements uplink.Source.
func (s *Source) Return(o uplink.Object, why error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Returned = append(s.Returned, why)
	it := s.items[o.ID]
	if it.State == Leased {
		it.State = Ready
		if errors.Is(why, uplink.ErrCorrupt) {
			it.State = Quarantined
		}
		if pause := restOf(why); pause > 0 {
			it.rests = true
			time.AfterFunc(pause, func() { s.rested(it) })
		}
	}
	s.wake()
}

// restOf is how long an object that comes back rests.
func restOf(why error) time.Duration {
	var busy *uplink.BusyError
	var rest *uplink.RestError
	switch {
	case errors.As(why, &busy):
		return busy.Retry
	case errors.As(why, &rest):
		return rest.Rest
	}
	return 0
}

// rested ends the pause of an object.
func (s *Source) rested(it *Item) {
	s.mu.Lock()
	defer s.mu.Unlock()
	it.rests = false
	s.wake()
}

// Meet implements uplink.Keeper.
func (s *Source) Meet(_ context.Context, l uplink.Ledger, asked bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if asked || s.met && l != s.ledger {
		for _, it := range s.order {
			if it.State == AtHub {
				it.State = Ready
			}
		}
		s.wake()
	}
	s.ledger, s.met = l, true
	return nil
}

// AtHub implements uplink.Keeper.
func (s *Source) AtHub(_ context.Context, receipts []uplink.Receipt) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.FailKeep; err != nil {
		s.FailKeep = nil
		return err
	}
	for _, r := range receipts {
		if it := s.items[r.ID]; it != nil && it.Length == r.Length && it.State == Leased {
			it.State, it.hadReceipt = AtHub, true
		}
	}
	s.wake()
	return nil
}

// Archived implements uplink.Keeper.
func (s *Source) Archived(_ context.Context, list []uplink.Confirmation) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.FailKeep; err != nil {
		s.FailKeep = nil
		return err
	}
	early := &uplink.EarlyError{}
	for _, c := range list {
		if it := s.items[c.ID]; it != nil && it.Length == c.Length {
			if it.State < AtHub && !it.hadReceipt {
				early.IDs = append(early.IDs, c.ID)
				continue
			}
			it.State = Archived
			it.Archives++
		}
	}
	s.wake()
	if len(early.IDs) > 0 {
		return early
	}
	return nil
}

// Trouble implements uplink.Keeper.
func (s *Source) Trouble(_ context.Context, list []uplink.Trouble) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Troubles = append(s.Troubles, list...)
	s.wake()
	return nil
}

// Lost implements uplink.Keeper.
func (s *Source) Lost(_ context.Context, ids []dicom.ID) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.FailKeep; err != nil {
		s.FailKeep = nil
		return err
	}
	for _, id := range ids {
		s.Losses++
		if it := s.items[id]; it != nil && it.State == AtHub {
			it.State = Ready
		}
	}
	s.wake()
	return nil
}

// Count says how many objects are in a state.
func (s *Source) Count(state State) (n int) {
	s.Each(func(it *Item) {
		if it.State == state {
			n++
		}
	})
	return n
}

// Each calls f for each object with the source locked.
func (s *Source) Each(f func(*Item)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, it := range s.order {
		f(it)
	}
}

// Wait waits until done reports true; it is asked after each change.
func (s *Source) Wait(ctx context.Context, done func() bool) error {
	for {
		s.mu.Lock()
		changed := s.changed
		s.mu.Unlock()
		if done() {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		}
	}
}

// With calls f with the source locked, to look at its fields.
func (s *Source) With(f func(*Source)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(s)
}
