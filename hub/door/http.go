package door

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
)

// httpListener gives an http.Server what has completed its handshake.
type httpListener struct {
	conns  chan *tls.Conn
	closed chan struct{}
	close  sync.Once

	mu   sync.Mutex // guards addr
	addr net.Addr
}

func newHTTPListener() *httpListener {
	return &httpListener{conns: make(chan *tls.Conn), closed: make(chan struct{}), addr: &net.TCPAddr{}}
}

// hand gives conn to Accept, or closes it when nobody accepts any more.
func (l *httpListener) hand(ctx context.Context, conn *tls.Conn) {
	select {
	case l.conns <- conn:
	case <-l.closed:
		conn.NetConn().Close()
	case <-ctx.Done():
		conn.NetConn().Close()
	}
}

// Accept implements net.Listener.
func (l *httpListener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conns:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (l *httpListener) Close() error {
	l.close.Do(func() { close(l.closed) })
	return nil
}

func (l *httpListener) at(a net.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.addr = a
}

// Addr implements net.Listener.
func (l *httpListener) Addr() net.Addr {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.addr
}
