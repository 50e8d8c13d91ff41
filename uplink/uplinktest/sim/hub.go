package sim

import (
	"context"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/quic-go/quic-go/testutils/simnet"
)

// hubNet is the first byte of the hubs' addresses.
const hubNet = 192

// Hub is a node of the hub as the network sees it: a name with an address, at which
// somebody listens or not.
type Hub struct {
	sky *Sky
	udp *net.UDPAddr

	packets *simnet.SimConn
	listen  *listener
}

// Hub adds a node that can be reached by name. Nobody listens there yet.
func (s *Sky) Hub(name string) *Hub {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.numbers.hub++
	h := &Hub{sky: s, udp: &net.UDPAddr{IP: net.IPv4(hubNet, 0, 2, byte(s.numbers.hub)), Port: 8443}}
	s.hubs[name] = h
	return h
}

// Up opens the hub's socket and listener, as a process that starts does.
func (h *Hub) Up() (net.PacketConn, net.Listener) {
	packets := simnet.NewBlockingSimConn(h.udp, h.sky)
	h.sky.mu.Lock()
	defer h.sky.mu.Unlock()
	h.packets = packets
	h.listen = &listener{addr: &net.TCPAddr{IP: h.udp.IP, Port: h.udp.Port}, accepted: make(chan net.Conn, 128), closed: make(chan struct{})}
	return h.packets, h.listen
}

// Kill closes them, as the end of a process does: no farewell leaves; streams
// are reset by the machine that lives on.
func (h *Hub) Kill() {
	h.sky.mu.Lock()
	packets, listen := h.packets, h.listen
	h.packets, h.listen = nil, nil
	h.sky.mu.Unlock()
	if packets == nil {
		return
	}
	packets.Close()
	listen.Close()
	h.sky.mu.Lock()
	defer h.sky.mu.Unlock()
	for c := range h.sky.streams {
		if c.hub == h {
			c.killed()
		}
	}
}

// listener accepts streams.
type listener struct {
	addr     net.Addr
	accepted chan net.Conn
	closed   chan struct{}
	once     sync.Once
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.accepted:
		return c, nil
	case <-l.closed:
		return nil, &net.OpError{Op: "accept", Net: "tcp", Addr: l.addr, Err: net.ErrClosed}
	}
}

// Close implements net.Listener.
func (l *listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

// Addr implements net.Listener.
func (l *listener) Addr() net.Addr { return l.addr }

// Dial opens a stream to HUB, or fails as the network does: refused after a round
// trip when nobody listens, or not at all while the line is out.
func (s *Sky) Dial(ctx context.Context, _, hub string) (net.Conn, error) {
	s.mu.Lock()
	h := s.hubs[hub]
	if h == nil {
		s.mu.Unlock()
		return nil, fmt.Errorf("no such host %q", hub)
	}
	s.opened, s.dialled = append(s.opened, time.Now()), s.dialled+1
	at := s.road.segment(down, 60, s.road.segment(up, 60, time.Now()))
	s.mu.Unlock()
	wait := time.NewTimer(time.Until(at))
	defer wait.Stop()
	select {
	case <-ctx.Done():
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: ctx.Err()}
	case <-wait.C:
	}
	return s.connect(h)
}

func (s *Sky) connect(h *Hub) (net.Conn, error) {
	local := s.address()
	s.mu.Lock()
	defer s.mu.Unlock()
	refused := &net.OpError{Op: "dial", Net: "tcp", Addr: h.udp, Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	if h.listen == nil {
		return nil, refused
	}
	near, far := pair(s, h, &net.TCPAddr{IP: local.IP, Port: local.Port}, h.listen.addr)
	select {
	case h.listen.accepted <- far:
	default:
		return nil, refused
	}
	s.streams[near] = struct{}{}
	s.opens(near)
	return near, nil
}
