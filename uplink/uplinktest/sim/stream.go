package sim

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

const (
	window  = 256 << 10 // written by one end and not read by the other
	segment = 16 << 10
)

// stream is one end of a TCP connection.
type stream struct {
	sky           *Sky
	hub           *Hub
	dir           direction // of what is written here
	local, remote net.Addr
	peer          *stream
	*wires
}

// wires is what both ends share.
type wires struct {
	mu      sync.Mutex // guards what follows; who holds it does not take sky.mu
	changed chan struct{}
	ends    [2]end // by direction: who writes that way
	lost    bool   // the way is cut, nobody knows yet
}

// end is what is known at one end, and of what it sends.
type end struct {
	in          []byte // what arrived
	eof         bool   // and nothing follows
	fin         bool   // nothing more is written here
	err         error  // why reads and writes fail
	flying      int    // bytes written here that the other has not read
	last        time.Time
	read, write time.Time // deadlines
	alarm       *time.Timer
}

func pair(s *Sky, h *Hub, local, remote net.Addr) (near, far *stream) {
	w := &wires{changed: make(chan struct{})}
	near = &stream{sky: s, hub: h, dir: up, local: local, remote: remote, wires: w}
	far = &stream{sky: s, hub: h, dir: down, local: remote, remote: local, wires: w, peer: near}
	near.peer = far
	if end, long := s.nextLongOutage(); long {
		time.AfterFunc(end, func() { w.fail(syscall.ETIMEDOUT) })
	}
	return near, far
}

// nextLongOutage says when the next outage will have lasted for too long. s.mu is held.
func (s *Sky) nextLongOutage() (in time.Duration, long bool) {
	now := time.Since(s.road.began)
	for _, o := range s.road.Outages {
		at := max(o.From, now) + s.idle
		if at < o.To && (!long || at-now < in) {
			in, long = at-now, true
		}
	}
	return in, long
}

func (w *wires) wake() {
	close(w.changed)
	w.changed = make(chan struct{})
}

// fail ends the connection for both ends at once.
func (w *wires) fail(why syscall.Errno) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range w.ends {
		w.ends[i].fail(why)
	}
	w.wake()
}

func (e *end) fail(why error) {
	if e.err == nil {
		e.err = os.NewSyscallError("tcp", why)
	}
}

// lose cuts the way without telling anybody: both ends notice by silence.
func (c *stream) lose(idle time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.lost {
		c.lost = true
		time.AfterFunc(idle, func() { c.fail(syscall.ETIMEDOUT) })
	}
}

// killed is the end of the process at the hub's end. sky.mu is held.
func (c *stream) killed() {
	at := c.sky.road.segment(down, 60, time.Now())
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ends[down].fail(net.ErrClosed)
	c.wake()
	time.AfterFunc(time.Until(at), func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if !c.lost {
			c.ends[up].fail(syscall.ECONNRESET)
			c.wake()
		}
	})
}

// Read implements net.Conn.
func (c *stream) Read(b []byte) (int, error) {
	c.mu.Lock()
	for {
		e := &c.ends[c.dir]
		switch {
		case past(e.read):
			c.mu.Unlock()
			return 0, os.ErrDeadlineExceeded
		case e.err != nil:
			err := e.err
			c.mu.Unlock()
			return 0, err
		case len(e.in) > 0 || len(b) == 0:
			n := copy(b, e.in)
			e.in = e.in[n:]
			c.ends[1-c.dir].flying -= n
			c.wake()
			c.mu.Unlock()
			return n, nil
		case e.eof:
			c.mu.Unlock()
			return 0, io.EOF
		}
		c.wait()
	}
}

// wait waits for a change with mu released.
func (c *stream) wait() {
	changed := c.changed
	c.mu.Unlock()
	<-changed
	c.mu.Lock()
}

func past(deadline time.Time) bool { return !deadline.IsZero() && !time.Now().Before(deadline) }

// Write implements net.Conn.
func (c *stream) Write(b []byte) (written int, err error) {
	for written < len(b) {
		n, err := c.room(min(len(b)-written, segment))
		if err != nil {
			return written, err
		}
		c.launch(append([]byte(nil), b[written:written+n]...), false)
		written += n
	}
	return written, nil
}

// room waits until at least one of n bytes may be written and takes it.
func (c *stream) room(n int) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		e := &c.ends[c.dir]
		switch {
		case past(e.write):
			return 0, os.ErrDeadlineExceeded
		case e.err != nil:
			return 0, e.err
		case e.fin || e.eof && c.ends[1-c.dir].err != nil: // the other has closed, and that is known here
			return 0, os.NewSyscallError("write", syscall.EPIPE)
		case e.flying < window:
			n = min(n, window-e.flying)
			e.flying += n
			return n, nil
		}
		c.wait()
	}
}

// launch puts bytes, or the end, on the line.
func (c *stream) launch(b []byte, eof bool) {
	c.sky.mu.Lock()
	now := time.Now()
	c.sky.wire[c.dir] += int64(len(b) + 60)
	at := c.sky.road.segment(c.dir, len(b)+60, now)
	c.sky.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	e := &c.ends[c.dir]
	if !at.After(e.last) {
		at = e.last.Add(time.Nanosecond) // in order
	}
	e.last = at
	time.AfterFunc(at.Sub(now), func() { c.land(b, eof) })
}

// land is the arrival at the other end.
func (c *stream) land(b []byte, eof bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lost {
		return
	}
	e := &c.ends[1-c.dir]
	e.in = append(e.in, b...)
	e.eof = e.eof || eof
	c.wake()
}

// CloseWrite sends the end of what is written here, and reads on.
func (c *stream) CloseWrite() error {
	c.mu.Lock()
	e := &c.ends[c.dir]
	said := e.fin || e.err != nil
	e.fin = true
	c.mu.Unlock()
	if !said {
		c.launch(nil, true)
	}
	return nil
}

// Close implements net.Conn.
func (c *stream) Close() error {
	c.CloseWrite()
	c.mu.Lock()
	c.ends[c.dir].err = net.ErrClosed
	c.wake()
	c.mu.Unlock()
	if c.dir == up {
		c.sky.closes(c)
		c.sky.mu.Lock()
		delete(c.sky.streams, c)
		c.sky.mu.Unlock()
	}
	return nil
}

// LocalAddr implements net.Conn.
func (c *stream) LocalAddr() net.Addr { return c.local }

// RemoteAddr implements net.Conn.
func (c *stream) RemoteAddr() net.Addr { return c.remote }

// SetDeadline implements net.Conn.
func (c *stream) SetDeadline(t time.Time) error {
	c.SetReadDeadline(t)
	return c.SetWriteDeadline(t)
}

// SetReadDeadline implements net.Conn.
func (c *stream) SetReadDeadline(t time.Time) error {
	return c.deadline(func(e *end) { e.read = t }, t)
}

// SetWriteDeadline implements net.Conn.
func (c *stream) SetWriteDeadline(t time.Time) error {
	return c.deadline(func(e *end) { e.write = t }, t)
}

// deadline sets one and has both looked at when the time has come; one timer an
// end will do, as long as each change is followed by a look.
func (c *stream) deadline(set func(*end), t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := &c.ends[c.dir]
	set(e)
	c.wake()
	if e.alarm != nil {
		e.alarm.Stop()
	}
	if at := earlier(e.read, e.write); !at.IsZero() {
		e.alarm = time.AfterFunc(time.Until(at), func() { c.ring(e) })
	}
	return nil
}

// ring wakes who waits for the first deadline, and sets the alarm for the second.
func (c *stream) ring(e *end) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wake()
	if at := later(e.read, e.write); past(earlier(e.read, e.write)) && !past(at) {
		e.alarm = time.AfterFunc(time.Until(at), func() { c.ring(e) })
	}
}

// earlier and later ignore deadlines that are not set.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
