package forward

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"net"
	"sync"
	"time"
)

// watched is a connection that sees the last fragment of a data set leave.
// Nobody else can tell a missing answer from a request that never went out whole:
// both are a lost association. It is above TLS, where there are PDUs.
type watched struct {
	net.Conn

	mu   sync.Mutex // guards what follows
	head []byte     // how the PDU under way began, at most headLen
	left int64      // of it
	sent bool
}

// NetConn lets dimse find the TLS or TCP connection and its options.
func (w *watched) NetConn() net.Conn { return w.Conn }

// Write implements net.Conn. A write may hold a part of a PDU: over TCP the rest of one
// that was cut short, over TLS any piece.
func (w *watched) Write(b []byte) (int, error) {
	n, err := w.Conn.Write(b)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.went(b[:n])
	return n, err
}

// A PDU is 1 type | 1 reserved | 4 length (PS3.8 §9.3.1); a P-DATA-TF goes on
// (§9.3.5, Annex E.2), and dimse puts one fragment into each:
//
//	0 type 04H | 1 reserved | 2 length u32 | 6 PDV length u32 | 10 context
//	11 control header: bit 0 command, bit 1 last fragment | 12 fragment
const (
	pduHeader = 6
	headLen   = 12
)

// went follows the PDUs. mu is held.
func (w *watched) went(b []byte) {
	for len(b) > 0 {
		n := min(pduHeader-len(w.head), len(b))
		if len(w.head) >= pduHeader {
			n = int(min(w.left, int64(len(b))))
			w.left -= int64(n)
		}
		w.head = append(w.head, b[:min(n, headLen-len(w.head))]...)
		b = b[n:]
		if len(w.head) == pduHeader && w.left == 0 {
			w.left = int64(binary.BigEndian.Uint32(w.head[2:]))
		}
		if len(w.head) >= pduHeader && w.left == 0 {
			w.sent = w.sent || len(w.head) == headLen && w.head[0] == 4 && w.head[11]&3 == 2
			w.head = w.head[:0]
		}
	}
}

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
	if c := s.c.secure(); c != nil {
		secure := tls.Client(conn, c)
		if err := secure.HandshakeContext(ctx); err != nil {
			return nil, errors.Join(err, conn.Close())
		}
		conn = secure
	}
	s.conn = &watched{Conn: conn}
	return s.conn, nil
}

// secure is what TLS is spoken by with this archive, nil without.
func (c CStoreConfig) secure() *tls.Config {
	if c.TLS == nil {
		return nil
	}
	t := c.TLS.Clone()
	if host, _, err := net.SplitHostPort(c.Address); err == nil && t.ServerName == "" {
		t.ServerName = host
	}
	return t
}
