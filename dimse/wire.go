package dimse

import (
	"crypto/tls"
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

// wire is a connection whose every wait is bounded and can be ended from
// another goroutine (P9). Reads and writes belong to the association's goroutine;
// interrupt and interruptIdle may be called from anywhere.
type wire struct {
	conn     net.Conn
	quickAck func()        // asks the kernel to acknowledge at once; see quickack_linux.go
	secure   bool          // over TLS: see piece
	idle     time.Duration // without a byte between messages

	// owned by the association
	limit  time.Time // absolute end of waiting, zero for none
	torn   bool      // a PDU went out in part, nothing may follow
	inside bool      // inside a message of the peer: the pace counts
	coming pace      // of the message that comes
	going  pace      // of the message that goes

	mu    sync.Mutex // guards what follows, and the setting of deadlines
	busy  bool       // inside a message
	cause error      // why everything must end now
	drain error      // why nothing new may begin

	parting bool // the last PDU is going out: nothing may cut it off but its own second
}

// newWire makes a wire on which a message may stand still for stall; whoever
// wants another floor than defaultFloor says so with demand.
func newWire(conn net.Conn, idle, stall time.Duration) *wire {
	w := &wire{conn: conn, quickAck: quickAck(conn), idle: idle}
	w.secure = overTLS(conn)
	w.demand(stall, defaultFloor)
	return w
}

// overTLS reports whether conn is TLS, or wraps it.
func overTLS(conn net.Conn) bool {
	if _, ok := conn.(*tls.Conn); ok {
		return true
	}
	outer, ok := conn.(interface{ NetConn() net.Conn })
	return ok && overTLS(outer.NetConn())
}

// demand sets the least pace of messages: floor bytes in each stall.
func (w *wire) demand(stall time.Duration, floor int64) {
	w.coming, w.going = newPace(stall, floor), newPace(stall, floor)
}

var longAgo = time.Unix(1, 0)

// interrupt ends every wait with cause, now and from now on.
func (w *wire) interrupt(cause error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cause == nil {
		w.cause = cause
	}
	w.conn.SetReadDeadline(longAgo)
	if !w.parting {
		w.conn.SetWriteDeadline(longAgo)
	}
}

// interruptIdle ends the wait for a message, now or after the one under way.
func (w *wire) interruptIdle(cause error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.drain = cause
	if !w.busy {
		w.conn.SetReadDeadline(longAgo)
	}
}

func (w *wire) setBusy(busy bool) {
	w.mu.Lock()
	w.busy = busy
	w.mu.Unlock()
}

// stopped returns why waiting must not begin.
func (w *wire) stopped() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.ended()
}

func (w *wire) ended() error {
	if w.cause == nil && !w.busy {
		return w.drain
	}
	return w.cause
}

// arm sets the deadline for one read. Under mu, so that an interrupt comes
// either before, and is seen, or after, and wins. Before the association stands
// a read may have to write, too: the handshake of TLS.
func (w *wire) arm(now time.Time) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch err := w.ended(); {
	case err != nil:
		return err
	case !w.limit.IsZero():
		return w.conn.SetDeadline(w.limit)
	case w.inside:
		return w.conn.SetReadDeadline(w.coming.deadline(now))
	}
	return w.conn.SetReadDeadline(now.Add(w.idle))
}

// between says that the next byte begins a message. What was waited before does
// not count any more.
func (w *wire) between() {
	w.inside = false
	w.coming.restart()
}

// begun says that a message is under way, and must move.
func (w *wire) begun() { w.inside = true }

// Read reads what is there, waiting as long as the phase allows.
func (w *wire) Read(p []byte) (int, error) {
	began := time.Now()
	if err := w.arm(began); err != nil {
		return 0, err
	}
	w.quickAck()
	n, err := w.conn.Read(p)
	if w.inside {
		w.coming.moved(n, time.Since(began))
	}
	if err != nil && errors.Is(err, os.ErrDeadlineExceeded) {
		if stopped := w.stopped(); stopped != nil {
			return n, stopped
		}
		return n, ErrTimeout
	}
	return n, err
}

// Write writes one whole PDU. It gives up when the peer takes less than the
// floor, or when w.limit is over.
func (w *wire) Write(p []byte) (int, error) {
	sent := 0
	for sent < len(p) {
		n, err := w.writeOnce(w.piece(p[sent:]))
		sent += n
		stalled := errors.Is(err, os.ErrDeadlineExceeded)
		if stalled && !w.secure && w.stopped() == nil && w.limit.IsZero() && w.going.left > 0 {
			continue // slow, but fast enough
		}
		if err != nil {
			w.torn = w.torn || sent > 0 || stalled && w.secure
			if stalled {
				err = ErrTimeout
			}
			return sent, err
		}
	}
	return sent, nil
}

// tlsRecord is the most that one record holds (RFC 8446 §5.1).
const tlsRecord = 16 << 10

// piece is what one write takes of p. TLS does not say how much of a write that
// ran out of time is out, and cannot go on after it: every further write fails at
// once. So no write there may reach beyond the bytes that the pace wants by its
// deadline. Then one that runs out of time is of a peer that is too slow, and that
// is final.
func (w *wire) piece(p []byte) []byte {
	if !w.secure {
		return p
	}
	return p[:min(int64(len(p)), tlsRecord, max(w.going.floor-w.going.bytes, 1))]
}

func (w *wire) writeOnce(p []byte) (int, error) {
	began := time.Now()
	deadline := w.limit
	if deadline.IsZero() {
		deadline = w.going.deadline(began)
	}
	w.mu.Lock()
	if w.cause != nil {
		defer w.mu.Unlock()
		return 0, w.cause
	}
	w.conn.SetWriteDeadline(deadline)
	w.mu.Unlock()
	n, err := w.conn.Write(p)
	w.going.moved(n, time.Since(began))
	return n, err
}

// farewell sends a last PDU even when interrupted, but not into the middle of another.
func (w *wire) farewell(p []byte) {
	if w.torn {
		return
	}
	w.mu.Lock()
	w.parting = true
	w.conn.SetWriteDeadline(time.Now().Add(time.Second))
	w.mu.Unlock()
	w.conn.Write(p) // the peer may be gone: nothing is left to do about it
}
