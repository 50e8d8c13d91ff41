package uplink

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"edged/uplink/wire"
)

// putBuffers are the buffers of Put frames: room for the header, then the body.
var putBuffers = sync.Pool{New: func() any { return new([wire.PutHeadroom + wire.MaxBody]byte) }}

// sender is the one goroutine that sends the objects of a class.
type sender struct {
	*lane
	class  uint8
	stream puts // nil until something is to be sent
	holds  bool // the gate
}

// sendClass sends what the hub wants of one class, in the order of its answers.
func (l *lane) sendClass(ctx context.Context, class uint8) error {
	s := &sender{lane: l, class: class}
	defer s.leave()
	for {
		f := s.next()
		if f == nil {
			s.leave()
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-l.wake[class]:
			}
			continue
		}
		if err := s.handle(ctx, f); err != nil {
			return err
		}
	}
}

// next takes the next flight from the queue, nil when there is none.
func (s *sender) next() *flight {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := s.queues[s.class]
	if len(q) == 0 {
		return nil
	}
	s.queues[s.class] = q[1:]
	return q[0]
}

func (s *sender) handle(ctx context.Context, f *flight) error {
	s.mu.Lock()
	now := f.state
	s.mu.Unlock()
	switch now {
	case checking:
		s.leave()
		return s.check(ctx, f)
	case wanted:
		return s.send(ctx, f)
	}
	return nil
}

// send sends f from the offset that the hub wants. An error of the connection
// ends the lane; an error of the source ends this flight only (P6).
func (s *sender) send(ctx context.Context, f *flight) error {
	content, err := s.u.c.Source.Open(ctx, f.Object, f.offset)
	if err != nil {
		return s.unreadable(ctx, f, err)
	}
	defer content.Close()
	if err := s.openStream(ctx); err != nil {
		return err
	}
	buf := putBuffers.Get().(*[wire.PutHeadroom + wire.MaxBody]byte)
	defer putBuffers.Put(buf)
	for offset := f.offset; offset < f.Length; {
		n := int(min(wire.MaxBody, f.Length-offset))
		body := buf[wire.PutHeadroom:][:n]
		if err := read(content, body, offset+int64(n) == f.Length); err != nil {
			return s.unreadable(ctx, f, err)
		}
		on, err := s.putAll(ctx, f, buf[:wire.PutHeadroom+n], offset)
		if err != nil || !on {
			return err
		}
		offset += int64(n)
	}
	return nil
}

// putAll sends what stands in room behind the headroom, in as many frames as the
// rate asks for; on is false when the flight has ended. The header of a frame
// is written over the bytes before it, which have left.
func (s *sender) putAll(ctx context.Context, f *flight, room []byte, offset int64) (on bool, err error) {
	for len(room) > wire.PutHeadroom {
		n, err := s.put(ctx, f, room, offset)
		if err != nil || n == 0 {
			return false, err
		}
		room, offset = room[n:], offset+int64(n)
	}
	return true, nil
}

func (s *sender) openStream(ctx context.Context) (err error) {
	if s.stream == nil {
		s.stream, err = s.conn.Open(ctx, s.class)
	}
	return err
}

// read fills body. Before the last chunk is let go, the content must have
// ended with io.EOF: that is where a damaged copy shows (P14).
func read(content io.Reader, body []byte, last bool) error {
	if _, err := io.ReadFull(content, body); err != nil {
		return notEOF(err)
	}
	if !last {
		return nil
	}
	var more [1]byte
	if n, err := io.ReadFull(content, more[:]); n != 0 {
		return fmt.Errorf("%w: longer than its length", ErrCorrupt)
	} else if err != io.EOF {
		return err
	}
	return nil
}

func notEOF(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return fmt.Errorf("%w: shorter than its length", ErrCorrupt)
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
	t := take{class: s.class, want: want, overhead: overhead(s.conn.Name())}
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
		s.bulkGate.leave()
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

// unreadable ends a flight whose content cannot be read, here and at the hub.
func (s *sender) unreadable(ctx context.Context, f *flight, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	s.u.c.Logger.Error("object cannot be read, not sent", "object", f.ID, "error", err)
	s.later(&wire.Trouble{Problems: []wire.Problem{{ID: wire.ID(f.ID), Kind: wire.ProblemCopy}}})
	s.giveBack(f, err)
	return nil
}

// check reads the whole copy here after the hub found a digest mismatch. A good
// one is offered once more, from 0; the second time the node is not to be trusted.
func (s *sender) check(ctx context.Context, f *flight) error {
	err := s.verify(ctx, f.Object)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		s.u.c.Logger.Error("the copy here is damaged", "object", f.ID, "error", err)
		s.giveBack(f, err)
		return nil
	}
	second := s.u.mismatch(f.ID)
	s.u.c.Logger.Error("object arrived damaged, the copy here is good", "object", f.ID, "second_time", second)
	s.giveBack(f, ErrMismatch)
	if second {
		return errMismatch
	}
	return nil
}

func (s *sender) verify(ctx context.Context, o Object) error {
	content, err := s.u.c.Source.Open(ctx, o, 0)
	if err != nil {
		return err
	}
	n, err := io.Copy(io.Discard, content)
	if err == nil && n != o.Length {
		err = fmt.Errorf("%w: %d bytes instead of %d", ErrCorrupt, n, o.Length)
	}
	return errors.Join(err, content.Close())
}
