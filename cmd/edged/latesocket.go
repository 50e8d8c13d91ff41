package main

import (
	"errors"
	"log/slog"
	"net"
	"sync"
	"syscall"
	"time"
)

// lateRetry is how often a listener that found no room is tried again.
const lateRetry = 2 * time.Second

// late opens a listener, or one that goes on trying while the disk has no room for
// its name: a socket is a file, and a full disk must not keep the page and the
// uplink, which make room again, from starting (P7).
func late(log *slog.Logger, open func() (net.Listener, error)) (net.Listener, error) {
	l, err := open()
	if err == nil || !errors.Is(err, syscall.ENOSPC) && !errors.Is(err, syscall.EDQUOT) {
		return l, err
	}
	log.Warn("no room for the control socket: the commands that need it wait until there is", "err", err)
	return &lateListener{open: open, closed: make(chan struct{})}, nil
}

// lateListener is one that is not there yet.
type lateListener struct {
	open   func() (net.Listener, error)
	closed chan struct{}
	once   sync.Once

	mu sync.Mutex // guards l
	l  net.Listener
}

// Accept waits for room, then for connections. It is called by one goroutine.
func (l *lateListener) Accept() (net.Conn, error) {
	for {
		if inner, err := l.inner(); err != nil || inner != nil {
			if err != nil {
				return nil, err
			}
			return inner.Accept()
		}
		select {
		case <-l.closed:
			return nil, net.ErrClosed
		case <-time.After(lateRetry):
		}
	}
}

// inner is the listener, or nil while there is no room.
func (l *lateListener) inner() (net.Listener, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-l.closed:
		return nil, net.ErrClosed
	default:
	}
	if l.l == nil {
		inner, err := l.open()
		if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		l.l = inner
	}
	return l.l, nil
}

func (l *lateListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.l == nil {
		return nil
	}
	return l.l.Close()
}

func (l *lateListener) Addr() net.Addr { return &net.UnixAddr{Name: controlSocket, Net: "unix"} }
