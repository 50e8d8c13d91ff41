package door

import (
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// stranger is a connection that counts until it is closed or is an appliance's.
type stranger struct {
	net.Conn
	door  *Door
	from  string // see crowd
	since time.Time
	once  sync.Once
}

// NetConn is the connection below, as of a tls.Conn.
func (s *stranger) NetConn() net.Conn { return s.Conn }

// CloseWrite ends one way, where TCP can.
func (s *stranger) CloseWrite() error {
	if half, ok := s.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// Close is called by whoever has the connection last, or by who makes room.
func (s *stranger) Close() error {
	s.door.leave(s)
	return s.Conn.Close()
}

// crowd is the part of an address that one party has: all of IPv4, the /64 of IPv6
// (RFC 6177 §2: what the smallest site gets).
func crowd(a net.Addr) string {
	at, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return a.String()
	}
	ip := at.Addr().Unmap().WithZone("")
	if ip.Is4() {
		return ip.String()
	}
	return netip.PrefixFrom(ip, 64).Masked().String()
}

// enter counts conn. Where there is no room, another has to go.
func (d *Door) enter(conn net.Conn) *stranger {
	s := &stranger{Conn: conn, door: d, from: crowd(conn.RemoteAddr()), since: time.Now()}
	d.mu.Lock()
	d.crowds[s.from] = append(d.crowds[s.from], s)
	d.total++
	gone := d.tooMany(s.from)
	d.mu.Unlock()
	if gone != nil {
		d.c.Logger.Debug("connection closed to make room", "remote", gone.RemoteAddr().String())
		gone.Close()
	}
	return s
}

// tooMany is who has to go since one more came from an address, nil for nobody.
func (d *Door) tooMany(from string) *stranger {
	switch {
	case len(d.crowds[from]) > d.c.MaxAddress:
		return oneOf(d.crowds[from])
	case d.total <= d.c.MaxStrangers:
		return nil
	}
	var most []*stranger
	for _, c := range d.crowds {
		if most == nil || len(c) > len(most) || len(c) == len(most) && c[0].since.Before(most[0].since) {
			most = c
		}
	}
	return oneOf(most)
}

// quick is how long a handshake may take before it counts as slow.
const quick = time.Second

// oneOf is the oldest if it is slow. Where nobody is, a whole fleet may be coming back
// from behind one address: then anyone, so that some of those that have begun get
// through, whatever the rush.
func oneOf(crowd []*stranger) *stranger {
	if len(crowd) == 1 || time.Since(crowd[0].since) > quick {
		return crowd[0]
	}
	return crowd[rand.IntN(len(crowd)-1)] // the last one has only come
}

// leave counts s no more.
func (d *Door) leave(s *stranger) {
	s.once.Do(func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.total--
		rest := slices.DeleteFunc(d.crowds[s.from], func(x *stranger) bool { return x == s })
		if d.crowds[s.from] = rest; len(rest) == 0 {
			delete(d.crowds, s.from)
		}
	})
}

// Strangers is how many connections are there that are not of appliances.
func (d *Door) Strangers() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.total
}
