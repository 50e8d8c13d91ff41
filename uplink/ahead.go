package uplink

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"edged/internal/dicom"
	"edged/uplink/wire"
)

// putBuffer has room for the header of a Put frame, then its body.
type putBuffer [wire.PutHeadroom + wire.MaxBody]byte

var putBuffers = sync.Pool{New: func() any { return new(putBuffer) }}

// piece is a chunk of a flight between the disk and the line.
type piece struct {
	f      *flight
	offset int64
	n      int // bytes of the body
	buf    *putBuffer

	unread error // instead of bytes: the content cannot be read
	end    error // instead of all: the lane is to end
}

const (
	// slowRead is how long one object may keep the others of its class waiting for
	// the disk before another reader goes on with them.
	slowRead = time.Second

	// maxReaders bounds the readers of a class on a lane. All but one have met a
	// slow read. Each has a chunk at most, and one stands between them and the line:
	// with what is being sent 768 KiB a class and lane while the disk is well.
	maxReaders = 4

	// stuckRead is how long a single read may take before its object is given back:
	// when all readers of a class are that far, nothing behind them would move.
	stuckRead = 5 * time.Second

	// maxStuck bounds the reads that hang though nobody waits for them, on all lanes
	// together. A disk that has so many gives nothing to anybody.
	maxStuck = 16

	// patience is how long the line is held for a chunk that is about to come.
	patience = 5 * time.Millisecond
)

// ahead is what the readers of one class on one lane share. They read while the
// sender sends, and chunks of different objects may come mixed: the hub tells them
// apart by the number of the offer.
type ahead struct {
	pieces chan piece // one chunk is ready while another is read

	// lane.mu guards what follows
	readers []*reader // but for those that nobody waits for
	current *reader   // the one that has met no slow read; nil when there is none
}

// reader is one goroutine that reads; it ends when nothing is queued.
type reader struct {
	*sender

	// lane.mu guards what follows
	f     *flight
	since time.Time // when the disk was asked for what it has not given yet; zero: it is not asked
}

// wait returns the next piece. While the disk is behind it gives the line up.
func (s *sender) wait(ctx context.Context) (piece, error) {
	s.since = time.Now()
	for {
		reading := s.keepReading(ctx)
		select {
		case p := <-s.pieces:
			return p, nil
		default:
		}
		if !reading {
			s.leave()
			s.since = time.Now()
		}
		if p, ok := s.waitOnce(ctx, reading); ok {
			return p, ctx.Err()
		}
	}
}

// waitOnce waits for a piece, until it is time to look again; ok is false then.
func (s *sender) waitOnce(ctx context.Context, reading bool) (p piece, ok bool) {
	var late <-chan time.Time
	if reading {
		t := time.NewTimer(slowRead - time.Since(s.since)) // whatever else is queued meanwhile
		if s.holds {
			t.Reset(patience)
		}
		defer t.Stop()
		late = t.C
	}
	select {
	case p = <-s.pieces:
		return p, true
	case <-ctx.Done():
		return p, true
	case <-s.wake[s.class]:
	case <-late:
		if s.holds {
			s.leave()
		} else {
			s.relieve()
			s.since = time.Now()
		}
	}
	return p, false
}

// keepReading starts a reader when something is queued and nobody reads on. It
// reports whether a piece is to be expected.
func (s *sender) keepReading(ctx context.Context) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current == nil && len(s.queues[s.class]) > 0 && len(s.readers) < maxReaders {
		r := &reader{sender: s}
		s.readers = append(s.readers, r)
		s.current = r
		// Run waits for it: a lane ends when its connection does, also while a
		// read of its hangs.
		s.u.readers.Go(func() { r.run(ctx) })
	}
	return len(s.readers) > 0
}

// relieve lets another reader go on with the queue: nothing came for slowRead. The
// slow one ends with its object. Where all of them hang nobody waits for them longer.
func (s *sender) relieve() {
	s.mu.Lock()
	s.current = nil
	stuck := s.allStuck(time.Now())
	if stuck != nil && s.u.hang(stuck) {
		s.readers = nil
		stuck = append([]*flight(nil), stuck...)
	} else if stuck != nil { // no more of that: who waits here may have more luck later
		stuck, s.queues[s.class] = s.queues[s.class], nil
	}
	s.mu.Unlock()
	for _, f := range stuck {
		s.stuck(f)
	}
}

// allStuck are the flights whose reads hang, when all readers' do and something waits
// behind them. lane.mu is held.
func (s *sender) allStuck(now time.Time) (list []*flight) {
	if len(s.readers) < maxReaders || len(s.queues[s.class]) == 0 {
		return nil
	}
	for _, r := range s.readers {
		if r.since.IsZero() || now.Sub(r.since) < stuckRead {
			return nil
		}
		list = append(list, r.f)
	}
	return list
}

// errStuck: an object whose file hangs.
var errStuck = errors.New("the disk does not answer")

// stuck gives back a flight that the disk does not give, or that waits behind such ones.
func (s *sender) stuck(f *flight) {
	if st := s.stateOf(f); st != wanted && st != checking {
		return
	}
	why := s.u.unread(f.ID, errStuck)
	s.u.c.Logger.Error("the disk hangs, object given back", "object", f.ID, "times", why.Times, "rests", why.Rest)
	s.withdraw(f, wire.ProblemWithdrawn, why)
}

// hang notes objects whose reads nobody waits for any more, unless there are too many.
func (u *Uplink) hang(list []*flight) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.hanging)+len(list) > maxStuck {
		return false
	}
	for _, f := range list {
		u.hanging[f.ID] = f
	}
	return true
}

// hangs reports whether a read of an object that was given back has not ended yet:
// another one would hang as well.
func (u *Uplink) hangs(id dicom.ID) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.hanging[id] != nil
}

// abandon notes what hangs when the lane ends, so that the next one does not hang
// with it too.
func (s *sender) abandon() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.u.mu.Lock()
	defer s.u.mu.Unlock()
	for _, r := range s.readers {
		if !r.since.IsZero() && time.Since(r.since) >= slowRead {
			s.u.hanging[r.f.ID] = r.f
		}
	}
}

// moves is told that the read of a flight has ended.
func (u *Uplink) moves(f *flight) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.hanging[f.ID] == f {
		delete(u.hanging, f.ID)
	}
}

// run reads what is queued, one object after the other.
func (r *reader) run(ctx context.Context) {
	for f := r.next(); f != nil; f = r.next() {
		alive := r.handle(ctx, f)
		r.asks(false)
		r.u.moves(f)
		if !alive {
			r.mu.Lock()
			r.ended()
			r.mu.Unlock()
			return
		}
	}
}

// next takes a flight from the queue. It is nil, and the reader has ended, when there
// is none or another reader has the queue.
func (r *reader) next() *flight {
	r.mu.Lock()
	defer r.mu.Unlock()
	q := r.queues[r.class]
	if r.current != r || len(q) == 0 {
		r.ended()
		return nil
	}
	r.queues[r.class] = q[1:]
	r.f, r.since = q[0], time.Now()
	return q[0]
}

// asks notes that the disk is asked for something, or has given it.
func (r *reader) asks(on bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.since = time.Time{}
	if on {
		r.since = time.Now()
	}
}

// ended takes the reader out. lane.mu is held.
func (r *reader) ended() {
	r.readers = slices.DeleteFunc(r.readers, func(other *reader) bool { return other == r })
	if r.current == r {
		r.current = nil
	}
}

// handle reads or checks f and reports whether the lane still lives.
func (r *reader) handle(ctx context.Context, f *flight) bool {
	st := r.stateOf(f)
	if (st == checking || st == wanted) && r.u.hangs(f.ID) {
		r.stuck(f)
		return ctx.Err() == nil
	}
	switch st {
	case checking:
		if err := r.check(ctx, f); err != nil {
			return r.give(ctx, piece{end: err})
		}
	case wanted:
		if err := r.read(ctx, f); err != nil {
			return r.give(ctx, piece{f: f, unread: err})
		}
	}
	return ctx.Err() == nil
}

func (l *lane) stateOf(f *flight) state {
	l.mu.Lock()
	defer l.mu.Unlock()
	return f.state
}

// give hands a piece to the sender and reports whether it took it.
func (r *reader) give(ctx context.Context, p piece) bool {
	r.asks(false)
	select {
	case r.pieces <- p:
		r.asks(true)
		return true
	case <-ctx.Done():
		return false
	}
}

// read reads f from the offset that the hub wants, as long as the hub wants it.
func (r *reader) read(ctx context.Context, f *flight) error {
	content, err := r.u.c.Source.Open(ctx, f.Object, f.offset)
	if err != nil {
		return err
	}
	defer content.Close()
	for offset := f.offset; offset < f.Length && r.stateOf(f) == wanted; {
		n := int(min(wire.MaxBody, f.Length-offset))
		p := piece{f: f, offset: offset, n: n, buf: putBuffers.Get().(*putBuffer)}
		offset += int64(n)
		if err := readChunk(content, p.buf[wire.PutHeadroom:][:n], offset == f.Length); err != nil {
			putBuffers.Put(p.buf)
			return err
		}
		if !r.give(ctx, p) {
			return ctx.Err()
		}
	}
	return nil
}

// readChunk fills body. Before the last chunk is let go, the content must have
// ended with io.EOF: that is where a damaged copy shows (P14).
func readChunk(content io.Reader, body []byte, last bool) error {
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

// check reads the whole copy here after the hub found a digest mismatch. A good one
// is offered again, from 0, after a rest; whose fault it is the complaints say.
func (r *reader) check(ctx context.Context, f *flight) error {
	err := r.verify(ctx, f.Object)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		r.u.c.Logger.Error("the copy here is damaged, or cannot be read", "object", f.ID, "error", err)
		r.giveBack(f, r.u.returned(f.Object, err))
		return nil
	}
	why, doubt := r.u.mismatched(r.addr, f.ID)
	r.u.c.Logger.Error("object arrived damaged, the copy here is good", "hub", r.addr, "object", f.ID, "times", why.Times, "rests", why.Rest)
	r.giveBack(f, why)
	return doubt
}

func (r *reader) verify(ctx context.Context, o Object) error {
	content, err := r.u.c.Source.Open(ctx, o, 0)
	if err != nil {
		return err
	}
	n, err := io.Copy(io.Discard, &watched{content, r})
	if err == nil && n != o.Length {
		err = fmt.Errorf("%w: %d bytes instead of %d", ErrCorrupt, n, o.Length)
	}
	return errors.Join(err, content.Close())
}

// watched notes that a long reading goes on.
type watched struct {
	io.Reader
	by *reader
}

// Read implements io.Reader.
func (w *watched) Read(b []byte) (int, error) {
	w.by.asks(true)
	return w.Reader.Read(b)
}
