package uplink

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"edged/uplink/wire"
)

// byeError is the hub's last word on a TCP lane.
type byeError struct {
	Code   uint64
	Reason string
}

// Error implements error.
func (e *byeError) Error() string {
	if e.Reason == "" {
		return fmt.Sprintf("the hub closed the connection: code %d", e.Code)
	}
	return fmt.Sprintf("the hub closed the connection: code %d, %q", e.Code, e.Reason)
}

// errCut: a TCP connection that ends without Bye, whoever ended it.
var errCut = errors.New("the connection was cut: the hub ended without a word, or something on the way did")

// byeReader passes the frames of the hub on until Bye, which becomes the error
// that the stream ends with: the same that QUIC's application error codes do.
type byeReader struct {
	r    *bufio.Reader
	left int64 // of the frame that is being passed on
	err  error // how it ended
}

// frameFixed is the part of a frame that has the same form in all, see doc.go.
const frameFixed = 8

func newByeReader(r io.Reader) *byeReader { return &byeReader{r: bufio.NewReaderSize(r, 4<<10)} }

// Read implements io.Reader.
func (b *byeReader) Read(p []byte) (n int, err error) {
	if b.left == 0 && b.err == nil {
		b.err = b.next()
	}
	if b.err != nil {
		return 0, b.err
	}
	n, err = b.r.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	if err != nil {
		b.err = cut(err)
	}
	return n, b.err
}

// next looks at the head of a frame. Lengths are judged by who reads it.
func (b *byeReader) next() error {
	head, err := b.r.Peek(frameFixed)
	if err != nil {
		return cut(err)
	}
	b.left = frameFixed + int64(binary.BigEndian.Uint16(head[2:])) + int64(binary.BigEndian.Uint32(head[4:]))
	if wire.Type(binary.BigEndian.Uint16(head)) != wire.TypeBye {
		return nil
	}
	f, err := wire.NewReader(io.LimitReader(b.r, b.left)).Next()
	if err != nil {
		return cut(err)
	}
	bye := f.(*wire.Bye)
	return &byeError{Code: bye.Code, Reason: bye.Reason[:min(len(bye.Reason), maxReason)]}
}

// maxReason bounds the words of a Bye, theirs and ours.
const maxReason = 512

// cut puts words to an end without Bye.
func cut(err error) error {
	if err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF) {
		return errCut
	}
	return err
}

// heard is what a lane reads. How it ends is known to writers too, because who
// writes often is the first to see that the hub has hung up.
type heard struct {
	mu   sync.Mutex // held while the one reader reads
	r    io.Reader
	err  error         // how it ended; mu guards it
	over chan struct{} // closed then

	began  time.Time
	asks   atomic.Int64 // since when the reader waits, after began; 0: it does not
	silent atomic.Bool  // the hub was given up because it says nothing
}

// errSilent: nothing came, though it was asked for something.
var errSilent = errors.New("the hub does not answer any more")

func newHeard(r io.Reader) *heard {
	return &heard{r: newByeReader(r), over: make(chan struct{}), began: time.Now()}
}

// Read implements io.Reader.
func (h *heard) Read(b []byte) (n int, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.err != nil {
		return 0, h.err
	}
	h.asks.Store(int64(time.Since(h.began)) + 1)
	n, err = h.r.Read(b)
	h.asks.Store(0)
	if err != nil && h.silent.Load() {
		err = errSilent
	}
	h.ended(err)
	return n, err
}

// silence is how long the reader has been waiting. While it does something else
// nothing is known.
func (h *heard) silence() time.Duration {
	since := h.asks.Load()
	if since == 0 {
		return 0
	}
	return time.Since(h.began) - time.Duration(since)
}

// ended notes the end. h.mu is held.
func (h *heard) ended(err error) {
	if err != nil && h.err == nil {
		h.err = err
		close(h.over)
	}
}

// stop ends the reading. Who calls it has made a Read under way return.
func (h *heard) stop() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ended(net.ErrClosed)
}

// lastWord waits for the end of what is read and returns why, if that says more
// than that the connection is gone.
func (h *heard) lastWord(wait time.Duration) error {
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-h.over:
	case <-t.C:
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if bye := (*byeError)(nil); errors.As(h.err, &bye) || errors.Is(h.err, errSilent) {
		return h.err
	}
	return nil
}
