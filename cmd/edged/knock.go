package main

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"
)

// knocked is a listener at which this process can knock: it connects to its own port,
// and whoever accepts there tells it, without anybody behind hearing of it. That a
// connection comes about says nothing, the kernel does that alone.
type knocked struct {
	net.Listener

	mu       sync.Mutex // guards expected
	expected map[netip.AddrPort]chan struct{}
}

func newKnocked(l net.Listener) *knocked {
	return &knocked{Listener: l, expected: make(map[netip.AddrPort]chan struct{})}
}

// Accept passes on everybody but who knocks.
func (k *knocked) Accept() (net.Conn, error) {
	for {
		c, err := k.Listener.Accept()
		if err != nil || !k.answer(c.RemoteAddr()) {
			return c, err
		}
		c.Close()
	}
}

func (k *knocked) answer(from net.Addr) bool {
	tcp, ok := from.(*net.TCPAddr)
	if !ok {
		return false
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	a := plainAddr(tcp)
	heard := k.expected[a]
	if heard != nil {
		close(heard)
		delete(k.expected, a)
	}
	return heard != nil
}

func plainAddr(a *net.TCPAddr) netip.AddrPort {
	p := a.AddrPort()
	return netip.AddrPortFrom(p.Addr().Unmap().WithZone(""), p.Port())
}

// knockWithin bounds a knock. One that found nobody in that time is repeated.
const knockWithin = 10 * time.Second

// knock returns when somebody has accepted, or when it cannot be tried: no descriptor is
// left, or the address is gone from this machine. Both pass, and a new start would not
// help. It waits for as long as nobody accepts, and until ctx ends.
func (k *knocked) knock(ctx context.Context) {
	for ctx.Err() == nil {
		err := k.try(ctx)
		if err == nil || !errors.Is(err, os.ErrDeadlineExceeded) {
			return
		}
	}
}

// try knocks once. It takes a free port first, so that who accepts can know it.
func (k *knocked) try(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, knockWithin)
	defer cancel()
	to, ok := k.Addr().(*net.TCPAddr)
	if !ok {
		return nil
	}
	target := net.TCPAddr{IP: to.IP, Port: to.Port, Zone: to.Zone}
	if target.IP.IsUnspecified() {
		target.IP = net.IPv4(127, 0, 0, 1) // a listener on [::] hears it, too
	}
	own, err := freePort(target)
	if err != nil {
		return err
	}
	heard := k.expect(plainAddr(own))
	defer k.forget(plainAddr(own))
	c, err := (&net.Dialer{LocalAddr: own}).DialContext(ctx, "tcp", target.String())
	if err != nil {
		return noAnswer(err)
	}
	defer c.Close()
	select {
	case <-heard:
		return nil
	case <-ctx.Done():
		return os.ErrDeadlineExceeded
	}
}

// noAnswer says of a failed connection whether nobody took it: a queue that is full
// because nobody accepts drops what comes further.
func noAnswer(err error) error {
	var op net.Error
	if errors.As(err, &op) && op.Timeout() {
		return os.ErrDeadlineExceeded
	}
	return err
}

func (k *knocked) expect(from netip.AddrPort) <-chan struct{} {
	k.mu.Lock()
	defer k.mu.Unlock()
	heard := make(chan struct{})
	k.expected[from] = heard
	return heard
}

func (k *knocked) forget(from netip.AddrPort) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.expected, from)
}

// freePort is one at the target's address that nobody has at the moment.
func freePort(target net.TCPAddr) (*net.TCPAddr, error) {
	target.Port = 0
	l, err := net.ListenTCP("tcp", &target)
	if err != nil {
		return nil, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr), nil
}
