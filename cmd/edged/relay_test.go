package main

import (
	"bytes"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// relay is a line that can be cut: UDP packets between an appliance and a hub.
// It counts the bytes towards the hub.
type relay struct {
	in     *net.UDPConn
	hub    *net.UDPAddr
	cut    atomic.Bool
	delay  atomic.Int64 // nanoseconds that each packet takes, each way
	toHub  atomic.Int64
	toEdge atomic.Int64
	wg     sync.WaitGroup

	mu    sync.Mutex // guards lines
	lines map[string]*net.UDPConn
}

func newRelay(t *testing.T, hub string) *relay {
	t.Helper()
	to, err := net.ResolveUDPAddr("udp", hub)
	if err != nil {
		t.Fatal(err)
	}
	in, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	in.SetReadBuffer(4 << 20)
	r := &relay{in: in, hub: to, lines: make(map[string]*net.UDPConn)}
	r.wg.Go(r.run)
	t.Cleanup(r.close)
	return r
}

func (r *relay) address() string { return r.in.LocalAddr().String() }

func (r *relay) close() {
	r.in.Close()
	r.mu.Lock()
	for _, l := range r.lines {
		l.Close()
	}
	r.mu.Unlock()
	r.wg.Wait()
}

func (r *relay) run() {
	b := make([]byte, 64<<10)
	for {
		n, from, err := r.in.ReadFromUDP(b)
		if err != nil {
			return
		}
		if l := r.line(from); l != nil && !r.cut.Load() {
			r.late(b[:n], func(b []byte) { l.Write(b) }) // what is lost is the line's business
			r.toHub.Add(int64(n))
		}
	}
}

// late passes a packet on when the line has let it through.
func (r *relay) late(b []byte, pass func([]byte)) {
	d := time.Duration(r.delay.Load())
	if d == 0 {
		pass(b)
		return
	}
	b = bytes.Clone(b)
	time.AfterFunc(d, func() { pass(b) })
}

// line is the socket that stands for one sender.
func (r *relay) line(from *net.UDPAddr) *net.UDPConn {
	r.mu.Lock()
	defer r.mu.Unlock()
	l := r.lines[from.String()]
	if l == nil {
		var err error
		if l, err = net.DialUDP("udp", nil, r.hub); err != nil {
			return nil
		}
		l.SetReadBuffer(4 << 20)
		r.lines[from.String()] = l
		r.wg.Go(func() { r.back(l, from) })
	}
	return l
}

func (r *relay) back(l *net.UDPConn, to *net.UDPAddr) {
	b := make([]byte, 64<<10)
	for failed := 0; failed < 1000; {
		n, err := l.Read(b)
		switch {
		case err != nil && isClosed(err):
			return
		case err != nil: // nobody listens there at the moment
			failed++
			time.Sleep(time.Millisecond)
		case !r.cut.Load():
			r.late(b[:n], func(b []byte) { r.in.WriteToUDP(b, to) })
			r.toEdge.Add(int64(n))
		}
	}
}
