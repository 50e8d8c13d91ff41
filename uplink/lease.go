package uplink

import (
	"context"
	"fmt"
	"strings"
	"time"

	"edged/uplink/wire"
)

// lease borrows objects as long as the windows have room and offers them.
func (l *lane) lease(ctx context.Context) error {
	for {
		worst, err := l.waitForRoom(ctx)
		if err != nil {
			return err
		}
		o, err := l.lease1(ctx, worst)
		if err != nil {
			return err
		}
		if o != nil {
			l.offer(*o)
		}
	}
}

// waitForRoom waits until something may be offered and returns the least
// urgent priority for which that is true.
func (l *lane) waitForRoom(ctx context.Context) (worst uint8, err error) {
	for {
		l.mu.Lock()
		worst, ok := l.worst()
		l.mu.Unlock()
		if ok {
			return worst, nil
		}
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-l.room:
		}
	}
}

// worst is the least urgent priority that may be leased now, if any. l.mu is held.
func (l *lane) worst() (worst uint8, ok bool) {
	switch {
	case l.parked != nil || !l.urgent.fits(limits{l.maxObjects, l.maxBytes}):
		return 0, false
	case time.Now().Before(l.quiet) || !l.mayOffer():
		return wire.Urgent, true
	case l.bulk.objects >= fewOffers && time.Now().Before(l.short):
		return wire.Urgent, true
	case l.bulk.fits(l.limits) || l.routine.fits(l.limits) && l.backfill().fits(l.limits.fifth()):
		return wire.Backfill, true
	case l.routine.fits(l.limits):
		return wire.Routine, true
	}
	return wire.Urgent, true
}

// backfill is the window of what is back-filled. A fifth of the bytes is always open
// to it: with less in flight than its share of the line it would not have its share.
// l.mu is held.
func (l *lane) backfill() window {
	return window{l.bulk.objects - l.routine.objects, l.bulk.bytes - l.routine.bytes}
}

func (l limits) fifth() limits {
	return limits{l.objects, max(1, l.bytes/(share+1))}
}

// lease1 borrows one object; nil, nil when what may be leased changed meanwhile.
func (l *lane) lease1(ctx context.Context, worst uint8) (*Object, error) {
	narrow, cancel := context.WithCancel(ctx)
	defer cancel()
	l.mu.Lock()
	if now, ok := l.worst(); !ok || now != worst {
		l.mu.Unlock()
		return nil, nil
	}
	l.relook, l.asks, l.asked = cancel, worst == wire.Backfill || !l.mayOffer() || worst == wire.Routine && l.u.shape.backfill.limited(), worst
	if worst < wire.Backfill {
		l.widen = cancel
		for _, over := range []time.Time{l.quiet, l.short} {
			if pause := time.Until(over); pause > 0 {
				defer time.AfterFunc(pause, cancel).Stop()
			}
		}
	}
	l.mu.Unlock()
	o, err := l.u.c.Source.Lease(narrow, worst)
	l.mu.Lock()
	l.widen, l.relook, l.asks = nil, nil, false
	l.mu.Unlock()
	if err == nil {
		return &o, nil
	}
	if ctx.Err() == nil && narrow.Err() != nil {
		return nil, nil
	}
	return nil, fmt.Errorf("lease: %w", err)
}

// offer puts o in flight.
func (l *lane) offer(o Object) {
	class := min(o.Priority, wire.Backfill)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.flights[o.ID] != nil { // offered again while its receipt was being kept
		l.u.c.Logger.Warn("leased twice", "object", o.ID)
		l.u.c.Source.Return(o, &BusyError{Retry: time.Second})
		return
	}
	l.last++
	f := &flight{Object: o, number: l.last, since: time.Now()}
	f.Priority = class
	l.flights[o.ID], l.numbers[f.number] = f, f
	l.count(f, 1)
	l.offers.Objects = append(l.offers.Objects, wire.Object{
		Number: f.number, ID: wire.ID(o.ID), Length: o.Length, Study: o.Study, Calling: o.Calling, Priority: class, Flags: o.Flags, Modality: o.Modality,
		TransferSyntax: o.Names.TransferSyntax, SOPClass: o.Names.SOPClass, SOPInstance: o.Names.SOPInstance,
	})
	l.find(o)
	l.reserve(f.Object)
}

// maxFound bounds what is said of one object, in bytes.
const maxFound = 400

// find says why an object is to wait at the hub. It stands before the offer, which the hub
// takes only when this is durable there: so what has a receipt needs no acknowledgement
// of its own, and what is offered again is said again. l.mu is held.
func (l *lane) find(o Object) {
	if o.Found != "" {
		l.found = append(l.found, wire.Finding{ID: wire.ID(o.ID), Flags: o.Flags, Words: strings.ToValidUTF8(o.Found[:min(len(o.Found), maxFound)], "")})
	}
}

// count adds f to its window or takes it out. l.mu is held.
func (l *lane) count(f *flight, by int) {
	w := &l.bulk
	if f.Priority == wire.Urgent {
		w = &l.urgent
	}
	w.objects += by
	w.bytes += int64(by) * f.Length
	if f.Priority == wire.Routine {
		l.routine.objects += by
		l.routine.bytes += int64(by) * f.Length
	}
	poke(l.room)
	l.wider()
}

// wider ends a Lease when something less urgent may be leased as well. l.mu is held.
func (l *lane) wider() {
	if l.widen == nil {
		return
	}
	if worst, ok := l.worst(); ok && worst > l.asked {
		l.widen()
	}
}

// end takes f out of flight and reports whether it was in. l.mu is held. What
// becomes of the lease is the caller's business.
func (l *lane) end(f *flight) bool {
	if f.state == ended {
		return false
	}
	f.state = ended
	delete(l.flights, f.ID)
	delete(l.numbers, f.number)
	l.count(f, -1)
	return true
}

// giveBack ends a flight and its lease.
func (l *lane) giveBack(f *flight, why error) {
	l.mu.Lock()
	was := l.end(f)
	l.mu.Unlock()
	if was {
		l.u.c.Source.Return(f.Object, why)
	}
}
