package uplink

import (
	"context"
	"errors"
	"fmt"
	"time"

	"edged/uplink/wire"
)

// sender is the one goroutine that sends the objects of a class.
type sender struct {
	*lane
	ahead
	class  uint8
	stream puts      // nil until something is to be sent
	holds  bool      // the gate
	since  time.Time // when a piece began to be waited for
}

// sendClass sends what the hub wants of one class, in the order of its answers but
// for objects that the disk is slow with.
func (l *lane) sendClass(ctx context.Context, class uint8) error {
	s := &sender{lane: l, class: class, ahead: ahead{pieces: make(chan piece, 1)}}
	defer s.leave()
	defer s.abandon()
	for {
		p, err := s.wait(ctx)
		if err == nil {
			err = s.send(ctx, p)
		}
		if err != nil {
			return err
		}
	}
}

// send sends a piece. An error of the connection ends the lane; an error of the
// source ends this flight only (P6).
func (s *sender) send(ctx context.Context, p piece) error {
	switch {
	case p.end != nil:
		return p.end
	case p.unread != nil && s.stateOf(p.f) == wanted:
		return s.unreadable(ctx, p.f, p.unread)
	case p.unread != nil:
		return nil
	}
	defer putBuffers.Put(p.buf)
	if err := s.openStream(ctx); err != nil {
		return err
	}
	return s.putAll(ctx, p.f, p.buf[:wire.PutHeadroom+p.n], p.offset)
}

// putAll sends what stands in room behind the headroom, in as many frames as the
// rate asks for, until the flight ends. The header of a frame is written over the
// bytes before it, which have left.
func (s *sender) putAll(ctx context.Context, f *flight, room []byte, offset int64) error {
	for len(room) > wire.PutHeadroom {
		n, err := s.put(ctx, f, room, offset)
		if err != nil || n == 0 {
			return err
		}
		room, offset = room[n:], offset+int64(n)
	}
	return nil
}

func (s *sender) openStream(ctx context.Context) (err error) {
	if s.stream == nil {
		s.stream, err = s.conn.Open(ctx, s.class)
	}
	return err
}

// put sends a chunk from the beginning of room when it is its turn, and says how
// long it was; 0 when the flight has ended.
func (s *sender) put(ctx context.Context, f *flight, room []byte, offset int64) (n int, err error) {
	if n, err = s.admit(ctx, len(room)-wire.PutHeadroom); err != nil {
		return 0, err
	}
	if !s.mayPut(f, offset+int64(n) == f.Length) {
		return 0, nil
	}
	start := wire.PutHeader(room[:wire.PutHeadroom], f.number, offset, n)
	if err := s.stream.Put(room[start : wire.PutHeadroom+n]); err != nil {
		return 0, fmt.Errorf("send: %w", err)
	}
	s.u.meter.add(time.Now(), s.class, n)
	s.sent.Add(int64(n))
	s.carried.Add(int64(n))
	s.u.c.Progress(f.Object, offset+int64(n))
	return n, nil
}

// admit waits until up to want bytes may be sent and says how many. Backfill
// waits for a cap of its own first, holding the line up for nobody.
func (s *sender) admit(ctx context.Context, want int) (n int, err error) {
	t := take{class: s.class, want: want, overhead: overheadOf(s.conn)}
	if own := s.u.shape.backfill; s.class == wire.Backfill && own.limited() {
		s.leave()
		if t.want, err = own.take(ctx, t); err != nil {
			return 0, err
		}
	}
	if err := s.turn(ctx); err != nil {
		return 0, err
	}
	return s.u.shape.all.take(ctx, t)
}

// turn waits until this class may send a chunk. Urgent never waits here.
func (s *sender) turn(ctx context.Context) (err error) {
	if s.class == wire.Urgent {
		return nil
	}
	if err := s.mayWork(ctx); err != nil {
		return err
	}
	switch {
	case s.holds:
		err = s.bulkGate.yield(ctx, s.class)
	default:
		err = s.bulkGate.enter(ctx, s.class)
	}
	s.holds = err == nil
	return err
}

// leave gives the line up while there is nothing to send.
func (s *sender) leave() {
	if s.holds {
		s.bulkGate.leave(s.class)
		s.holds = false
	}
}

// mayPut reports whether f is still wanted. From the moment in which its last
// chunk is given to the transport a receipt may be believed.
func (s *sender) mayPut(f *flight, last bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f.state != wanted {
		return false
	}
	if last {
		f.state, f.since = sent, time.Now()
	}
	return true
}

// unreadable ends a flight whose content cannot be read, here and at the hub: what
// that has of it is of no use if the copy is damaged, and kept if it is not.
func (s *sender) unreadable(ctx context.Context, f *flight, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	s.u.c.Logger.Error("object cannot be read, not sent", "object", f.ID, "error", err)
	if errors.Is(err, ErrCorrupt) {
		s.withdraw(f, wire.ProblemCopy, err)
	} else {
		s.withdraw(f, wire.ProblemWithdrawn, s.u.unread(f.ID, err))
	}
	return nil
}

// withdraw ends a flight of which the hub wants bytes, and tells it so.
func (l *lane) withdraw(f *flight, kind uint8, why error) {
	l.later(&wire.Trouble{Problems: []wire.Problem{{ID: wire.ID(f.ID), Kind: kind}}})
	l.giveBack(f, why)
}
