package uplink

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
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
	case *wire.StudyAck:
		return l.acked(ctx, frames)
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
			receipts = append(receipts, Receipt{ID: dicom.ID(r.ID), Length: r.Length, Ledger: l.ledger.ID})
		}
	}
	l.u.keeping.RLock()
	defer l.u.keeping.RUnlock()
	if receipts = l.standing(receipts); len(receipts) == 0 {
		return nil
	}
	if err := l.u.c.Keeper.AtHub(ctx, receipts); err != nil {
		return fmt.Errorf("keep receipts: %w", err)
	}
	if err := l.confirmEarly(ctx, receipts); err != nil {
		return fmt.Errorf("keep confirmations: %w", err)
	}
	l.u.countAtHub(len(receipts))
	l.u.forgive(l.addr, receipts)
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range receipts {
		if f := l.flights[r.ID]; f != nil {
			l.end(f)
		}
	}
	return nil
}

// standing drops the receipts of objects of which the hub has said since, on
// another lane, that it lost them. They are offered again.
func (l *lane) standing(receipts []Receipt) (list []Receipt) {
	for _, r := range receipts {
		l.mu.Lock()
		f := l.flights[r.ID]
		void := f != nil && f.void
		l.mu.Unlock()
		if void {
			l.giveBack(f, ErrLost)
			continue
		}
		list = append(list, r)
	}
	return list
}

// lostAtHub tells the Keeper what the hub lost. A receipt for one of these that
// is under way on any lane may be older than the loss, and counts no more.
func (u *Uplink) lostAtHub(ctx context.Context, ids []dicom.ID) error {
	u.keeping.Lock()
	defer u.keeping.Unlock()
	u.mu.Lock()
	lanes := append([]*lane(nil), u.lanes...)
	for _, id := range ids {
		delete(u.early, id)
	}
	u.mu.Unlock()
	for _, l := range lanes {
		l.mu.Lock()
		for _, id := range ids {
			if f := l.flights[id]; f != nil {
				f.void = true
			}
		}
		l.mu.Unlock()
	}
	return u.c.Keeper.Lost(ctx, ids)
}

// archived keeps confirmations and acknowledges those that are durable here.
func (l *lane) archived(ctx context.Context, frames []wire.Frame) error {
	var list []Confirmation
	seqs := map[uint64]dicom.ID{}
	for _, f := range frames {
		for _, c := range f.(*wire.Archived).Confirmations {
			list = append(list, Confirmation{ID: dicom.ID(c.ID), Length: c.Length, At: time.UnixMilli(c.At), Ledger: l.ledger.ID})
			seqs[c.Seq] = dicom.ID(c.ID)
		}
	}
	var early *EarlyError
	if err := l.u.c.Keeper.Archived(ctx, list); errors.As(err, &early) {
		l.u.c.Logger.Info("said to be archived before their receipts came", "objects", len(early.IDs))
		l.remember(early.IDs, list)
		later := setOf(early.IDs)
		maps.DeleteFunc(seqs, func(_ uint64, id dicom.ID) bool { return later[id] })
	} else if err != nil {
		return fmt.Errorf("keep confirmations: %w", err)
	}
	l.acknowledge(&wire.ArchivedAck{Of: wire.AckArchived, Seqs: slices.Sorted(maps.Keys(seqs))})
	return nil
}

// earlyWord is a confirmation that came before its receipt, and who said it: it
// counts with a receipt of the same node. What another one said of an object that
// it did not have must not.
type earlyWord struct {
	Confirmation
	addr   string
	ledger Ledger
}

// remember keeps confirmations that came before the receipt. They are not
// acknowledged: those that are forgotten here the hub says again.
func (l *lane) remember(ids []dicom.ID, list []Confirmation) {
	u, early := l.u, setOf(ids)
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.early)+len(ids) > maxEarly {
		clear(u.early)
	}
	for _, c := range list {
		if len(u.early) < maxEarly && early[c.ID] {
			u.early[c.ID] = earlyWord{c, l.addr, l.ledger}
		}
	}
}

func setOf(ids []dicom.ID) map[dicom.ID]bool {
	set := make(map[dicom.ID]bool, len(ids))
	for _, id := range ids {
		set[id] = true
	}
	return set
}

// maxEarly bounds how many early confirmations are remembered.
const maxEarly = 4096

// confirmEarly hands over what the archive said of objects whose receipts are
// kept now.
func (l *lane) confirmEarly(ctx context.Context, receipts []Receipt) error {
	var list []Confirmation
	u := l.u
	u.mu.Lock()
	for _, r := range receipts {
		c, ok := u.early[r.ID]
		if ok && c.addr == l.addr && c.ledger == l.ledger {
			list = append(list, c.Confirmation)
		}
		delete(u.early, r.ID)
	}
	u.mu.Unlock()
	if len(list) == 0 {
		return nil
	}
	var early *EarlyError
	if err := u.c.Keeper.Archived(ctx, list); err != nil && !errors.As(err, &early) {
		return err
	}
	return nil
}

// refused keeps what destinations refused and what the hub lost, in its order: a
// refusal may be older than the loss, or come after the object was sent again.
func (l *lane) refused(ctx context.Context, frames []wire.Frame) error {
	ack := &wire.ArchivedAck{Of: wire.AckTrouble}
	var list []wire.Problem
	for _, f := range frames {
		list = append(list, f.(*wire.Trouble).Problems...)
	}
	for len(list) > 0 {
		n := 1
		for n < len(list) && list[n].Kind == list[0].Kind {
			n++
		}
		if err := l.keepProblems(ctx, list[:n]); err != nil {
			return fmt.Errorf("keep troubles: %w", err)
		}
		for _, p := range list[:n] {
			if p.Seq != 0 {
				ack.Seqs = append(ack.Seqs, p.Seq)
			}
		}
		list = list[n:]
	}
	l.acknowledge(ack)
	return nil
}

// keepProblems hands over problems of one kind.
func (l *lane) keepProblems(ctx context.Context, list []wire.Problem) error {
	if list[0].Kind == wire.ProblemLost {
		ids := make([]dicom.ID, len(list))
		for i, p := range list {
			ids[i] = dicom.ID(p.ID)
		}
		return l.u.lostAtHub(ctx, ids)
	}
	troubles := make([]Trouble, len(list))
	for i, p := range list {
		troubles[i] = Trouble{ID: dicom.ID(p.ID), Destination: p.Destination, Permanent: p.Permanent, Words: p.Words}
	}
	return l.u.c.Keeper.Trouble(ctx, troubles)
}

// refusedAgain counts how often the hub had no room for an object before, up to
// a number that still can be shifted by.
func (u *Uplink) refusedAgain(id dicom.ID) (before uint8) {
	u.mu.Lock()
	defer u.mu.Unlock()
	before = u.tooBig[id]
	if len(u.tooBig) >= maxComplaints {
		clear(u.tooBig) // each is asked for earlier, no more
	}
	u.tooBig[id] = min(before+1, 16)
	return before
}
