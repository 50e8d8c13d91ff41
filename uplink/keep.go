package uplink

import (
	"context"
	"fmt"
	"time"

	"edged/internal/dicom"
	"edged/uplink/wire"
)

// keep tells the Keeper what the hub said, in its order, as many of a kind at
// once as have come. Only what is durable here is acknowledged.
func (l *lane) keep(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case f := <-l.news:
			if err := l.keepBatch(ctx, l.batch(f)); err != nil {
				return err
			}
		}
	}
}

// batch is first and what came since.
func (l *lane) batch(first wire.Frame) []wire.Frame {
	frames := []wire.Frame{first}
	for {
		select {
		case f := <-l.news:
			frames = append(frames, f)
		default:
			return frames
		}
	}
}

// keepBatch hands over runs of frames of one type together.
func (l *lane) keepBatch(ctx context.Context, frames []wire.Frame) error {
	for len(frames) > 0 {
		n := 1
		for n < len(frames) && frames[n].Type() == frames[0].Type() {
			n++
		}
		if err := l.keepRun(ctx, frames[:n]); err != nil {
			return err
		}
		frames = frames[n:]
	}
	return nil
}

func (l *lane) keepRun(ctx context.Context, frames []wire.Frame) error {
	switch frames[0].(type) {
	case *wire.Receipt:
		return l.atHub(ctx, frames)
	case *wire.Archived:
		return l.archived(ctx, frames)
	case *wire.Trouble:
		return l.refused(ctx, frames)
	}
	if err := l.u.c.Keeper.Meet(ctx, l.ledger, true); err != nil {
		return fmt.Errorf("offer everything again: %w", err)
	}
	return nil
}

// atHub keeps receipts, then ends the flights: until they are durable here a
// lost connection gives the leases back.
func (l *lane) atHub(ctx context.Context, frames []wire.Frame) error {
	var receipts []Receipt
	for _, f := range frames {
		for _, r := range f.(*wire.Receipt).Receipts {
			receipts = append(receipts, Receipt{ID: dicom.ID(r.ID), Length: r.Length})
		}
	}
	if err := l.u.c.Keeper.AtHub(ctx, receipts); err != nil {
		return fmt.Errorf("keep receipts: %w", err)
	}
	l.u.countAtHub(len(receipts))
	l.u.forgive(receipts)
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range receipts {
		if f := l.flights[r.ID]; f != nil {
			l.end(f)
		}
	}
	return nil
}

func (l *lane) archived(ctx context.Context, frames []wire.Frame) error {
	var list []Confirmation
	ack := &wire.ArchivedAck{Of: wire.AckArchived}
	for _, f := range frames {
		for _, c := range f.(*wire.Archived).Confirmations {
			list = append(list, Confirmation{ID: dicom.ID(c.ID), Length: c.Length, At: time.UnixMilli(c.At)})
			ack.Seqs = append(ack.Seqs, c.Seq)
		}
	}
	if err := l.u.c.Keeper.Archived(ctx, list); err != nil {
		return fmt.Errorf("keep confirmations: %w", err)
	}
	l.later(ack)
	return nil
}

func (l *lane) refused(ctx context.Context, frames []wire.Frame) error {
	var list []Trouble
	ack := &wire.ArchivedAck{Of: wire.AckTrouble}
	for _, f := range frames {
		for _, p := range f.(*wire.Trouble).Problems {
			list = append(list, Trouble{ID: dicom.ID(p.ID), Destination: p.Destination, Permanent: p.Permanent, Words: p.Words})
			if p.Seq != 0 {
				ack.Seqs = append(ack.Seqs, p.Seq)
			}
		}
	}
	if err := l.u.c.Keeper.Trouble(ctx, list); err != nil {
		return fmt.Errorf("keep troubles: %w", err)
	}
	if len(ack.Seqs) > 0 {
		l.later(ack)
	}
	return nil
}

// maxMismatched bounds how many mismatched objects are remembered.
const maxMismatched = 1024

// mismatch remembers a digest mismatch of an object whose copy here is good
// and reports whether it was the second one.
func (u *Uplink) mismatch(id dicom.ID) (second bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if _, second = u.mismatched[id]; second {
		delete(u.mismatched, id)
		return true
	}
	if len(u.mismatched) >= maxMismatched {
		clear(u.mismatched) // each costs one more transfer, no more
	}
	u.mismatched[id] = struct{}{}
	return false
}

// forgive forgets the mismatches of objects that arrived after all.
func (u *Uplink) forgive(receipts []Receipt) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.mismatched) == 0 {
		return
	}
	for _, r := range receipts {
		delete(u.mismatched, r.ID)
	}
}
