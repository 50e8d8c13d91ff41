package receive_test

import (
	"net"
	"sync"
	"testing"
)

// relay carries datagrams between appliances and a hub, counts them, and can
// swallow them. It gives each appliance's socket an upstream socket of its own.
type relay struct {
	pc  net.PacketConn
	hub net.Addr
	wg  sync.WaitGroup

	mu      sync.Mutex
	ups     map[string]net.PacketConn
	swallow bool
	up      int64         // bytes towards the hub
	mark    int64         // reached is closed when up gets there
	reached chan struct{} // nil: not wanted
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
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.swallow {
		return nil
	}
	r.up += int64(n)
	if r.reached != nil && r.up >= r.mark {
		close(r.reached)
		r.reached = nil
	}
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
		r.mu.Lock()
		swallow := r.swallow
		r.mu.Unlock()
		if !swallow {
			r.pc.WriteTo(buf[:n], to)
		}
	}
}

func (r *relay) cut(yes bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.swallow = yes
}

// after returns a channel that is closed when n more bytes went to the hub.
func (r *relay) after(n int64) <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mark, r.reached = r.up+n, make(chan struct{})
	return r.reached
}
