package main

import (
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// Of the page's connections one address has a share, and some are for this machine itself:
// one visitor, or eight, keep neither the others nor whoever stands at the appliance from
// the page. Who has too many is cut at once: where he waited in the kernel's queue, the
// others would wait behind him.

const (
	addressHTTP = 32 // connections of one address, streams of events among them
	networkHTTP = 4  // times as many of a /64 of IPv6
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
		from := placesOf(c.RemoteAddr())
		if l.enter(from...) {
			return &sharedConn{Conn: c, leave: sync.OnceFunc(func() { l.leave(from...) })}, nil
		}
		c.Close() // who is cut has nothing to be told
	}
}

func (l *sharedListener) enter(from ...netip.Prefix) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	self := from[0].Addr().IsLoopback()
	if l.all >= maxHTTP || !self && (l.visitors >= maxHTTP-selfHTTP || slices.ContainsFunc(from, l.full)) {
		if now := l.now(); now.Sub(l.said) >= sayAgain {
			l.said = now
			l.log.Warn("connections to the page are cut", "from", from[0].Addr().String(), "has", l.open[from[0]], "all", l.all)
		}
		return false
	}
	for _, p := range from {
		l.open[p]++
	}
	l.all++
	if !self {
		l.visitors++
	}
	return true
}

// full is whether a place has its share. The caller holds mu.
func (l *sharedListener) full(p netip.Prefix) bool {
	if p.IsValid() && !p.IsSingleIP() {
		return l.open[p] >= networkHTTP*addressHTTP
	}
	return l.open[p] >= addressHTTP
}

func (l *sharedListener) leave(from ...netip.Prefix) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range from {
		if l.open[p]--; l.open[p] <= 0 {
			delete(l.open, p)
		}
	}
	l.all--
	if !from[0].Addr().IsLoopback() {
		l.visitors--
	}
}

// placesOf is the address and, of IPv6, the /64 as well: one machine may choose from it
// at will (RFC 8981), and a whole network may have no other (RFC 4862).
func placesOf(a net.Addr) []netip.Prefix {
	tcp, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return []netip.Prefix{{}} // all that have none are one
	}
	ip := tcp.Addr().Unmap().WithZone("")
	own, _ := ip.Prefix(ip.BitLen()) // bits fit
	if ip.Is4() || ip.IsLoopback() {
		return []netip.Prefix{own}
	}
	network, _ := ip.Prefix(64)
	return []netip.Prefix{own, network}
}

type sharedConn struct {
	net.Conn
	leave func()
}

func (c *sharedConn) Close() error {
	c.leave()
	return c.Conn.Close()
}
