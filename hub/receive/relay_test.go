package receive_test

import (
	"net"
	"sync"
	"testing"
)

// road is a way between appliances and a hub that counts, and can be cut.
type road interface {
	addr() string
	cut(bool)
	after(n int64) <-chan struct{}
}

// road puts one before the hub at an address, for the carrier of w.
func (w *world) road(hub string) road {
	if w.carrier == "tcp" {
		return newStreams(w.t, hub)
	}
	return newRelay(w.t, hub)
}

// meter counts what goes to the hub.
type meter struct {
	mu      sync.Mutex
	swallow bool
	up      int64         // bytes towards the hub
	mark    int64         // reached is closed when up gets there
	reached chan struct{} // nil: not wanted
}

// pass counts n bytes and reports whether they go on.
func (m *meter) pass(n int) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.swallow {
		return false
	}
	m.up += int64(n)
	if m.reached != nil && m.up >= m.mark {
		close(m.reached)
		m.reached = nil
	}
	return true
}

func (m *meter) cut(yes bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.swallow = yes
}

// after returns a channel that is closed when n more bytes went to the hub.
func (m *meter) after(n int64) <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mark, m.reached = m.up+n, make(chan struct{})
	return m.reached
}

// streams carries TCP connections. Cut, it carries no more of those that it has, and
// keeps them open: nobody is told.
type streams struct {
	meter
	l      net.Listener
	hub    string
	wg     sync.WaitGroup
	closed chan struct{}

	conns []net.Conn // guarded by meter.mu
}

func newStreams(t testing.TB, hub string) *streams {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &streams{l: l, hub: hub, closed: make(chan struct{})}
	s.wg.Go(s.accept)
	t.Cleanup(func() {
		l.Close()
		close(s.closed)
		s.mu.Lock()
		for _, c := range s.conns {
			c.Close()
		}
		s.mu.Unlock()
		s.wg.Wait()
	})
	return s
}

func (s *streams) addr() string { return s.l.Addr().String() }

func (s *streams) accept() {
	for {
		down, err := s.l.Accept()
		if err != nil {
			return
		}
		up, err := net.Dial("tcp", s.hub)
		if err != nil {
			down.Close()
			continue
		}
		down.(*net.TCPConn).SetReadBuffer(64 << 10) // cut, it is to hold little
		s.mu.Lock()
		s.conns = append(s.conns, down, up)
		s.mu.Unlock()
		s.wg.Go(func() { s.carry(up, down, true) })
		s.wg.Go(func() { s.carry(down, up, false) })
	}
}

// carry ends both connections when one of them ends, unless they are cut off.
func (s *streams) carry(to, from net.Conn, count bool) {
	var buf [32 << 10]byte
	for {
		n, err := from.Read(buf[:])
		if !count && !s.pass(0) || count && !s.pass(n) {
			<-s.closed // nothing is read any more, and no end told
			return
		}
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				break
			}
		}
		if err != nil {
			break
		}
	}
	to.Close()
	from.Close()
}

// relay carries datagrams between appliances and a hub, counts them, and can
// swallow them. It gives each appliance's socket an upstream socket of its own.
type relay struct {
	meter
	pc  net.PacketConn
	hub net.Addr
	wg  sync.WaitGroup

	ups map[string]net.PacketConn // guarded by meter.mu
}

func newRelay(t testing.TB, hub string) *relay {
	t.Helper()
	to, err := net.ResolveUDPAddr("udp", hub)
	if err != nil {
		t.Fatal(err)
	}
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{pc: pc, hub: to, ups: map[string]net.PacketConn{}}
	r.wg.Go(r.upwards)
	t.Cleanup(r.close)
	return r
}

func (r *relay) addr() string { return r.pc.LocalAddr().String() }

func (r *relay) close() {
	r.pc.Close()
	r.mu.Lock()
	for _, up := range r.ups {
		up.Close()
	}
	r.mu.Unlock()
	r.wg.Wait()
}

func (r *relay) upwards() {
	var buf [64 << 10]byte
	for {
		n, from, err := r.pc.ReadFrom(buf[:])
		if err != nil {
			return
		}
		if up := r.upstream(from, n); up != nil {
			up.WriteTo(buf[:n], r.hub)
		}
	}
}

// upstream counts n bytes and returns where they go, nil for nowhere.
func (r *relay) upstream(from net.Addr, n int) net.PacketConn {
	if !r.pass(n) {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	up := r.ups[from.String()]
	if up == nil {
		var err error
		if up, err = net.ListenPacket("udp", "127.0.0.1:0"); err != nil {
			return nil
		}
		r.ups[from.String()] = up
		r.wg.Go(func() { r.downwards(up, from) })
	}
	return up
}

func (r *relay) downwards(up net.PacketConn, to net.Addr) {
	var buf [64 << 10]byte
	for {
		n, _, err := up.ReadFrom(buf[:])
		if err != nil {
			return
		}
		if r.pass(0) {
			r.pc.WriteTo(buf[:n], to)
		}
	}
}
