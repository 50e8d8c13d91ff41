package receive_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"edged/hub"
	"edged/hub/receive"
)

// ledger is a receive.Ledger in memory, or in a file of JSON lines when it is
// to survive its process. It archives everything it receives at once.
type ledger struct {
	mu         sync.Mutex
	file       *os.File
	generation uint64
	objects    map[string]map[hub.ID]hub.Object
	received   []hub.Object // in order, repetitions too
	outbox     map[string][]receive.Confirmation
	troubles   map[string][]receive.Trouble
	seq        uint64
	changed    chan struct{}
	fail       error // what Receive returns, once
	hold       bool  // nothing is archived
}

var _ receive.Ledger = (*ledger)(nil)

func newLedger() *ledger {
	return &ledger{
		objects: map[string]map[hub.ID]hub.Object{}, outbox: map[string][]receive.Confirmation{},
		troubles: map[string][]receive.Trouble{}, changed: make(chan struct{}), generation: 1,
	}
}

// openLedger reads what an earlier process recorded.
func openLedger(path string) (*ledger, error) {
	l := newLedger()
	if b, err := os.ReadFile(path); err == nil {
		for d := json.NewDecoder(bytesReader(b)); ; {
			var o hub.Object
			if err := d.Decode(&o); err != nil {
				break // the end, or a record that was never answered
			}
			l.add(o)
		}
	}
	var err error
	l.file, err = os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	return l, err
}

func (l *ledger) Identity(context.Context) (string, uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return "ledger", l.generation, nil
}

func (l *ledger) Known(_ context.Context, device string, ids []hub.ID) (map[hub.ID]int64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	known := map[hub.ID]int64{}
	for _, id := range ids {
		if o, ok := l.objects[device][id]; ok {
			known[id] = o.Length
		}
	}
	return known, nil
}

func (l *ledger) Receive(_ context.Context, list []hub.Object) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.fail; err != nil {
		l.fail = nil
		return err
	}
	for _, o := range list {
		if l.file != nil {
			b, _ := json.Marshal(o)
			if _, err := l.file.Write(append(b, '\n')); err != nil {
				return err
			}
		}
		l.add(o)
	}
	l.wake()
	return nil
}

func (l *ledger) add(o hub.Object) {
	l.received = append(l.received, o)
	if l.objects[o.Device] == nil {
		l.objects[o.Device] = map[hub.ID]hub.Object{}
	}
	if _, known := l.objects[o.Device][o.ID]; known {
		return
	}
	l.objects[o.Device][o.ID] = o
	if !l.hold {
		l.seq++
		c := hub.Confirmation{ID: o.ID, Length: o.Length, At: time.UnixMilli(1)}
		l.outbox[o.Device] = append(l.outbox[o.Device], receive.Confirmation{Seq: l.seq, Confirmation: c})
	}
}

func (l *ledger) wake() {
	close(l.changed)
	l.changed = make(chan struct{})
}

func (l *ledger) Confirmations(_ context.Context, device string, after uint64, limit int) (list []receive.Confirmation, _ error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.outbox[device] {
		if c.Seq > after && len(list) < limit {
			list = append(list, c)
		}
	}
	return list, nil
}

func (l *ledger) Troubles(_ context.Context, device string, after uint64, limit int) (list []receive.Trouble, _ error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, t := range l.troubles[device] {
		if t.Seq > after && len(list) < limit {
			list = append(list, t)
		}
	}
	return list, nil
}

func (l *ledger) AcknowledgeConfirmations(_ context.Context, device string, seqs []uint64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	gone := map[uint64]bool{}
	for _, s := range seqs {
		gone[s] = true
	}
	var rest []receive.Confirmation
	for _, c := range l.outbox[device] {
		if !gone[c.Seq] {
			rest = append(rest, c)
		}
	}
	l.outbox[device] = rest
	l.wake()
	return nil
}

func (l *ledger) AcknowledgeTroubles(_ context.Context, device string, seqs []uint64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var rest []receive.Trouble
	for _, t := range l.troubles[device] {
		if !slices.Contains(seqs, t.Seq) {
			rest = append(rest, t)
		}
	}
	l.troubles[device] = rest
	l.wake()
	return nil
}

func (l *ledger) Changed(string) <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.changed
}

// list is what was received so far.
func (l *ledger) list() []hub.Object {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.received)
}

// once demands that each object was received once for its device.
func (l *ledger) once() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	seen := map[string]int{}
	for _, o := range l.received {
		k := o.Device + o.ID.String()
		if seen[k]++; seen[k] > 1 {
			return fmt.Errorf("object %s of %s was received %d times", o.ID, o.Device, seen[k])
		}
	}
	return nil
}
