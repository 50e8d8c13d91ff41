package main

import (
	"errors"
	"log/slog"
	"net"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// P7: a disk without room for the socket's name delays the control socket, and
// nothing else.
func TestControlSocketWaitsForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tries := 0
		ours, theirs := net.Pipe()
		defer ours.Close()
		l, err := late(slog.New(slog.DiscardHandler), func() (net.Listener, error) {
			if tries++; tries < 4 {
				return nil, &os.SyscallError{Syscall: "bind", Err: syscall.ENOSPC}
			}
			return &onePipe{conn: theirs}, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		conn, err := l.Accept()
		if err != nil || conn != theirs || tries != 4 {
			t.Fatalf("%v, %v after %d tries", conn, err, tries)
		}
		if waited := time.Since(start); waited != 2*lateRetry {
			t.Fatalf("waited %v", waited)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Fatalf("after the end: %v", err)
		}
	})
}

// Whatever else goes wrong is told at once, and a stop ends the waiting.
func TestControlSocketWaitsForNothingElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		if _, err := late(slog.New(slog.DiscardHandler), func() (net.Listener, error) { return nil, os.ErrPermission }); !errors.Is(err, os.ErrPermission) {
			t.Fatal(err)
		}
		l, err := late(slog.New(slog.DiscardHandler), func() (net.Listener, error) { return nil, syscall.ENOSPC })
		if err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(time.Minute, func() { l.Close() })
		if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Fatal(err)
		}
	})
}

// onePipe accepts one connection.
type onePipe struct {
	net.Listener
	conn net.Conn
}

func (p *onePipe) Accept() (net.Conn, error) { return p.conn, nil }
func (p *onePipe) Close() error              { return nil }
