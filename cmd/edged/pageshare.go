package main

import (
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"
)

// Of the page's connections one address has a share, and some are for this machine itself:
// one visitor, or eight, keep neither the others nor whoever stands at the appliance from
// the page. Who has too many is cut at once: where he waited in the kernel's queue, the
// others would wait behind him.

const (
	addressHTTP = 32 // connections of one address, streams of events among them
	selfHTTP    = 16 // of maxHTTP, that only this machine may have
	sayAgain    = time.Minute
)

// sharedListener hands out maxHTTP connections.
type sharedListener struct {
	net.Listener
	log *slog.Logger
	now func() time.Time

	mu            sync.Mutex // guards what follows
	open          map[netip.Prefix]int
	all, visitors int
	said          time.Time // that somebody has too many
}

func shared(l net.Listener, log *slog.Logger) *sharedListener {
	return &sharedListener{Listener: l, log: log, now: time.Now, open: map[netip.Prefix]int{}}
}

func (l *sharedListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		from := placeOf(c.RemoteAddr())
		if l.enter(from) {
			return &sharedConn{Conn: c, leave: sync.OnceFunc(func() { l.leave(from) })}, nil
		}
		c.Close() // who is cut has nothing to be told
	}
}

func (l *sharedListener) enter(from netip.Prefix) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	self := from.Addr().IsLoopback()
	if l.all >= maxHTTP || !self && (l.open[from] >= addressHTTP || l.visitors >= maxHTTP-selfHTTP) {
		if now := l.now(); now.Sub(l.said) >= sayAgain {
			l.said = now
			l.log.Warn("connections to the page are cut", "from", from.Addr().String(), "has", l.open[from], "all", l.all)
		}
		return false
	}
	l.open[from]++
	l.all++
	if !self {
		l.visitors++
	}
	return true
}

func (l *sharedListener) leave(from netip.Prefix) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open[from]--; l.open[from] <= 0 {
		delete(l.open, from)
	}
	l.all--
	if !from.Addr().IsLoopback() {
		l.visitors--
	}
}

// placeOf is what counts as one address: of IPv6 the /64 from which one machine may
// choose at will (RFC 8981).
func placeOf(a net.Addr) netip.Prefix {
	tcp, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.Prefix{} // all that have none are one
	}
	ip := tcp.Addr().Unmap().WithZone("")
	bits := ip.BitLen()
	if ip.Is6() && !ip.IsLoopback() {
		bits = 64
	}
	p, _ := ip.Prefix(bits) // bits fit
	return p
}

type sharedConn struct {
	net.Conn
	leave func()
}

func (c *sharedConn) Close() error {
	c.leave()
	return c.Conn.Close()
}
