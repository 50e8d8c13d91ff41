package uplink

import "time"

// Status is cheap enough for every page view.
func (u *Uplink) Status() Status {
	u.mu.Lock()
	s, l := u.status, u.lane
	u.mu.Unlock()
	s.BytesSent, s.RatePerClass = u.meter.read(time.Now())
	s.RateBitsPerSecond = sum(s.RatePerClass[:])
	u.shape.tell(&s)
	if l != nil {
		s.RTT = l.conn.Stats().RTT
		s.InFlight = l.inFlight()
	}
	return s
}

func (u *Uplink) connected(l *lane) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.lane = l
	u.status.Connected, u.status.Transport, u.status.Hub, u.status.Since = true, "quic", l.addr, time.Now()
	u.status.LastError = ""
}

func (u *Uplink) lost(addr string, err error, asides []string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.status.Connected {
		u.status.Since = time.Now()
	}
	u.lane = nil
	u.status.Connected, u.status.Transport, u.status.Hub = false, "none", addr
	u.status.SetAside = asides
	if err != nil {
		u.status.LastError = err.Error()
	}
}

func (u *Uplink) countAtHub(n int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.status.AtHub += int64(n)
}

func (u *Uplink) countNotBelieved() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.status.NotBelieved++
}
