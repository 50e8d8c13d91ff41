package forward

import (
	"context"
	"net"
	"sync"
	"time"
)

// watched is a connection that sees the last fragment of a data set leave.
// Nobody else can tell a missing answer from a request that never went out whole:
// both are a lost association.
type watched struct {
	net.Conn

	mu   sync.Mutex // guards what follows
	rest int        // of a write that was cut short: the next one goes on with it
	last bool       // that write is, or was, the last fragment
	sent bool
}

// NetConn lets dimse find the TCP connection and its options.
func (w *watched) NetConn() net.Conn { return w.Conn }

// Write implements net.Conn. dimse writes one PDU at a time, with one fragment.
func (w *watched) Write(b []byte) (int, error) {
	n, err := w.Conn.Write(b)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.rest == 0 {
		w.last = lastFragment(b)
	}
	w.rest = len(b) - n
	w.sent = w.sent || w.last && w.rest == 0
	return n, err
}

// lastFragment looks at a P-DATA-TF PDU (PS3.8 §9.3.5, Annex E.2):
//
//	0 type 04H | 1 reserved | 2 length u32 | 6 PDV length u32 | 10 context
//	11 control header: bit 0 command, bit 1 last fragment | 12 fragment
func lastFragment(b []byte) bool { return len(b) >= 12 && b[0] == 4 && b[11]&3 == 2 }

// begin forgets the object before.
func (w *watched) begin() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sent = false
}

// sentAll reports whether all of the object has left this machine since begin.
func (w *watched) sentAll() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.sent
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
