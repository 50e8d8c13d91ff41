package uplink

import (
	"sync"
	"time"

	"edged/uplink/wire"
)

// alive asks a hub behind a proxy whether it is there. The kernel's keepalive
// reaches the proxy only: what is dead behind it would not be noticed, and a
// proxy cuts a tunnel in which nothing moves for some minutes. A Probe of one byte
// after idle/4 of silence, which the hub answers; idle of silence is the end,
// as a QUIC connection does it (RFC 9000 §10.1).
type alive struct {
	c    *tcpCarrier
	idle time.Duration

	mu     sync.Mutex // guards what follows
	timer  *time.Timer
	asking bool
}

// watch begins; it ends when the carrier is closed.
func (c *tcpCarrier) watch(idle time.Duration) {
	a := &alive{c: c, idle: idle}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.timer = time.AfterFunc(idle/4, a.look)
}

// look runs each idle/4.
func (a *alive) look() {
	silence := a.c.control.silence()
	switch {
	case a.c.closing.Load():
		return
	case silence >= a.idle:
		a.c.control.silent.Store(true)
		a.c.socket.Close()
		return
	}
	a.mu.Lock()
	a.timer.Reset(a.idle / 4)
	ask := silence >= a.idle/4 && !a.asking
	a.asking = a.asking || ask
	a.mu.Unlock()
	if !ask {
		return
	}
	// Number 0 is no answer that somebody waits for. An error is the lane's to see.
	if b, err := wire.Append(nil, &wire.Probe{Body: padding[:1]}); err == nil {
		a.c.write(rankControl, b)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asking = false
}
