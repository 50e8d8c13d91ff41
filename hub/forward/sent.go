package forward

import (
	"context"
	"io"
	"net"
	"sync"
	"time"
)

// watched is a connection that knows whether what was written to it has left.
// Nobody else can tell a missing answer from a request that never went out whole:
// both are a lost association.
type watched struct {
	net.Conn

	mu     sync.Mutex // guards what follows
	writes int64
	rest   int  // of a write that was cut short; the next one has to bring exactly this
	failed bool // sticks
}

// NetConn lets dimse find the TCP connection and its options.
func (w *watched) NetConn() net.Conn { return w.Conn }

// Write implements net.Conn.
func (w *watched) Write(b []byte) (int, error) {
	n, err := w.Conn.Write(b)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.writes++
	if err != nil && n == 0 || w.rest > 0 && len(b) != w.rest {
		w.failed = true
	}
	w.rest = len(b) - n
	return n, err
}

// left is how many writes there were, and whether all of them left whole.
func (w *watched) left() (writes int64, whole bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.writes, !w.failed && w.rest == 0
}

// dial connects as dimse would, and watches.
func (s *cstoreSession) dial(ctx context.Context, network, address string) (net.Conn, error) {
	d := net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 30 * time.Second, Interval: 10 * time.Second, Count: 6}}
	conn, err := d.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	s.conn = &watched{Conn: conn}
	return s.conn, nil
}

// lastByte is a data set that notes when its end was read, digest compared.
type lastByte struct {
	ownReader
	conn  *watched
	ended bool
	at    int64 // writes before that
}

// Read implements io.Reader.
func (l *lastByte) Read(b []byte) (int, error) {
	n, err := l.ownReader.Read(b)
	if err == io.EOF && !l.ended {
		l.ended = true
		l.at, _ = l.conn.left()
	}
	return n, err
}

// sent reports whether the whole data set has left this machine: its last
// fragment is written after its end was read (PS3.8 Annex E.2).
func (l *lastByte) sent() bool {
	writes, whole := l.conn.left()
	return l.ended && writes > l.at && whole
}
