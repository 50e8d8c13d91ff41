package spool

import (
	"context"
	"errors"
	"fmt"
)

// Discard names an object that is to go without the archive's word, who wants
// that, and why.
type Discard struct {
	Seq    uint64 // its sequence number. If zero, ID alone names it.
	ID     ID     // zero for a file of which nobody knows what it was
	By     string // an administrator
	Reason string
}

func (d Discard) check() error {
	switch {
	case d.By == "" || d.Reason == "":
		return errors.New("discard: a name and a reason are required")
	case d.Seq == 0 && d.ID == (ID{}):
		return errors.New("discard: which object?")
	}
	return nil
}

// Discard lets an object go, whatever was confirmed and whatever state it is in:
// P2's other way out, and the only one beside forgetting that unlinks anything.
// Whoever calls it has exported the object and has written the audit trail.
//
// Order: the row is durable, then the file goes. The row tells who and why. A
// crash may bring the file back; recovery unlinks it again. A sender that had it
// leased gets ErrUnknown; a receipt that comes later is taken as read. The same
// object, sent again, is a new one. ErrUnknown: it is not here, or the number and
// the ID are of different objects. That is said as well when the damaged copy that d
// names gave way to a good one before the row was written: nobody has looked at
// that one, and it stays.
func (s *Spool) Discard(ctx context.Context, d Discard) error {
	if err := errors.Join(d.check(), ctx.Err()); err != nil {
		return err
	}
	s.mu.Lock()
	e := s.named(d)
	var o op
	if e != nil {
		o = e.letGo(s.cfg.Now().UnixNano())
		o.discard, o.by, o.reason = true, clip(d.By), clip(d.Reason)
		o.outside = e.wasAtHub || e.lease != nil
	}
	s.mu.Unlock()
	if e == nil {
		return fmt.Errorf("discard object %d: %w", d.Seq, ErrUnknown)
	}
	if err := s.oblige(o); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !e.discarded {
		return fmt.Errorf("discard object %d: it gave way before: %w", e.seq, ErrUnknown)
	}
	return nil
}

// named returns what d means, or nil. Guarded by mu.
func (s *Spool) named(d Discard) *entry {
	if d.Seq == 0 {
		return s.byID[d.ID]
	}
	if e := s.atSeq(d.Seq); e != nil && e.id == d.ID {
		return e
	}
	return nil
}

// letGo is the row after which the file of e may be unlinked.
func (e *entry) letGo(at int64) op {
	return op{kind: opForgot, seq: e.seq, id: e.id, length: e.content, at: at, group: e.group.name, part: e.part.label(), test: e.test, fate: e.fate, lost: e.fate != inPlace, name: e.name}
}
