package dimse

import (
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

// wire is a connection whose every wait is bounded and can be ended from
// another goroutine. Reads and writes belong to the association's goroutine;
// interrupt and interruptIdle may be called from anywhere.
type wire struct {
	conn     net.Conn
	quickAck func()        // asks the kernel to acknowledge at once; see quickack_linux.go
	idle     time.Duration // without a byte between messages
	stall    time.Duration // without a byte inside a message

	limit time.Time // owned by the association: absolute end of waiting, zero for none
	torn  bool      // owned by the association: a PDU went out in part, nothing may follow

	mu    sync.Mutex // guards what follows, and the setting of deadlines
	busy  bool       // inside a message
	cause error      // why everything must end now
	drain error      // why nothing new may begin
}

func newWire(conn net.Conn, idle, stall time.Duration) *wire {
	return &wire{conn: conn, quickAck: quickAck(conn), idle: idle, stall: stall}
}

var longAgo = time.Unix(1, 0)

// interrupt ends every wait with cause, now and from now on.
func (w *wire) interrupt(cause error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cause == nil {
		w.cause = cause
	}
	w.conn.SetDeadline(longAgo)
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

// arm sets the read deadline for one read. Under mu, so that an interrupt comes
// either before, and is seen, or after, and wins.
func (w *wire) arm() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.ended(); err != nil {
		return err
	}
	deadline := w.limit
	if deadline.IsZero() {
		patience := w.idle
		if w.busy {
			patience = w.stall
		}
		deadline = time.Now().Add(patience)
	}
	return w.conn.SetReadDeadline(deadline)
}

// Read reads what is there, waiting as long as the phase allows.
func (w *wire) Read(p []byte) (int, error) {
	if err := w.arm(); err != nil {
		return 0, err
	}
	w.quickAck()
	n, err := w.conn.Read(p)
	if err != nil && errors.Is(err, os.ErrDeadlineExceeded) {
		if stopped := w.stopped(); stopped != nil {
			return n, stopped
		}
		return n, ErrTimeout
	}
	return n, err
}

// Write writes one whole PDU. It gives up when not a byte moved for w.stall.
func (w *wire) Write(p []byte) (int, error) {
	sent := 0
	for sent < len(p) {
		n, err := w.writeOnce(p[sent:], time.Now().Add(w.stall))
		sent += n
		stalled := errors.Is(err, os.ErrDeadlineExceeded)
		if stalled && n > 0 && w.stopped() == nil {
			continue // slow, but moving
		}
		if err != nil {
			w.torn = w.torn || sent > 0
			if stalled {
				err = ErrTimeout
			}
			return sent, err
		}
	}
	return sent, nil
}

func (w *wire) writeOnce(p []byte, deadline time.Time) (int, error) {
	w.mu.Lock()
	if w.cause != nil {
		defer w.mu.Unlock()
		return 0, w.cause
	}
	w.conn.SetWriteDeadline(deadline)
	w.mu.Unlock()
	return w.conn.Write(p)
}

// farewell sends a last PDU even when interrupted, but not into the middle of another.
func (w *wire) farewell(p []byte) {
	if w.torn {
		return
	}
	w.conn.SetWriteDeadline(time.Now().Add(time.Second))
	w.conn.Write(p) // the peer may be gone: nothing is left to do about it
}
