package main

import (
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Connections to the console: all, and those of one address. A browser has six, a
// scrape one.
const (
	maxHTTP        = 512
	maxHTTPAddress = 128
)

// crowds is a listener where nobody who says nothing keeps others out: where there is
// no room, the connection goes that was silent for longest, of the address that has too
// many or the most. It needs no token to connect, and health checks come here too.
type crowds struct {
	net.Listener

	mu    sync.Mutex // guards what follows
	by    map[string][]*visitor
	total int
}

func newCrowds(l net.Listener) *crowds {
	return &crowds{Listener: l, by: map[string][]*visitor{}}
}

// visitor is one connection; it counts until it is closed.
type visitor struct {
	net.Conn
	crowds *crowds
	from   string       // see network
	spoke  atomic.Int64 // when bytes went through last
	once   sync.Once
}

// Accept takes one more, and closes another where that is too many.
func (l *crowds) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	v := &visitor{Conn: conn, crowds: l, from: network(hostOf(conn.RemoteAddr().String()))}
	v.spoke.Store(time.Now().UnixNano())
	l.mu.Lock()
	l.by[v.from] = append(l.by[v.from], v)
	l.total++
	gone := l.tooMany(v.from)
	l.mu.Unlock()
	if gone != nil {
		gone.Close()
	}
	return v, nil
}

// tooMany is who has to go since one more came from an address, nil for nobody.
func (l *crowds) tooMany(from string) *visitor {
	most := l.by[from]
	if len(most) <= maxHTTPAddress {
		if l.total <= maxHTTP {
			return nil
		}
		for _, crowd := range l.by {
			if len(crowd) > len(most) {
				most = crowd
			}
		}
	}
	return slices.MinFunc(most, func(a, b *visitor) int { return int(min(1, max(-1, a.spoke.Load()-b.spoke.Load()))) })
}

func (l *crowds) leave(v *visitor) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.total--
	rest := slices.DeleteFunc(l.by[v.from], func(x *visitor) bool { return x == v })
	if l.by[v.from] = rest; len(rest) == 0 {
		delete(l.by, v.from)
	}
}

// Close is called by the server, or by who makes room.
func (v *visitor) Close() error {
	v.once.Do(func() { v.crowds.leave(v) })
	return v.Conn.Close()
}

func (v *visitor) Read(p []byte) (int, error) { return v.spoken(v.Conn.Read(p)) }

func (v *visitor) Write(p []byte) (int, error) { return v.spoken(v.Conn.Write(p)) }

func (v *visitor) spoken(n int, err error) (int, error) {
	if n > 0 {
		v.spoke.Store(time.Now().UnixNano())
	}
	return n, err
}
