package uplink

import (
	"cmp"
	"sync/atomic"
	"time"
)

// Status is cheap enough for every page view.
func (u *Uplink) Status() Status {
	u.mu.Lock()
	s := u.status
	s.Carriers = append([]CarrierStatus(nil), u.status.Carriers...)
	s.SetAside = u.asides(time.Now())
	lanes := append([]*lane(nil), u.lanes...)
	u.mu.Unlock()
	s.BytesSent, s.RatePerClass = u.meter.read(time.Now())
	s.RateBitsPerSecond = sum(s.RatePerClass[:])
	u.shape.tell(&s)
	for _, l := range lanes {
		s.InFlight += l.inFlight()
		s.Carriers = observed(s.Carriers, l.conn)
	}
	for _, c := range s.Carriers {
		if c.Name == s.Transport {
			s.RTT = c.RTT
		}
	}
	return s
}

// observed adds what a connection knows to its carrier's line.
func observed(list []CarrierStatus, c carrier) []CarrierStatus {
	for i := range list {
		if list[i].Name != c.Name() {
			continue
		}
		s := c.Stats()
		list[i].Lanes++
		list[i].Sent, list[i].Lost = list[i].Sent+s.Sent, list[i].Lost+s.Lost
		list[i].MTU, list[i].RTT = max(list[i].MTU, s.MTU), s.RTT
		list[i].Congestion = cmp.Or(s.Congestion, list[i].Congestion)
	}
	return list
}

// carriersOf are the lines of a Status, whatever is connected.
func carriersOf(transport string) (list []CarrierStatus) {
	for _, c := range carriers {
		if transport == "auto" || transport == c {
			list = append(list, CarrierStatus{Name: c})
		}
	}
	return list
}

// note takes over what a team has decided.
func (u *Uplink) note(t *team) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.lanes = u.lanes[:0]
	for _, m := range t.members {
		if m.lane != nil {
			u.lanes = append(u.lanes, m.lane)
		}
	}
	if len(u.lanes) == 0 {
		return // lost says so, when the team gives up
	}
	s := &u.status
	if !s.Connected {
		s.Connected, s.Since, s.LastError = true, time.Now(), ""
		delete(u.aside, t.addr)
	}
	works := t.works()
	if t.pilot.stage == racing {
		works = t.pilot.defender // until it has lost
	}
	s.Lanes = t.up(works)
	if s.Transport != works {
		if s.Transport != carrierNone {
			s.Switches++
		}
		s.Transport = works
	}
	s.WhyCode = t.pilot.why
	if u.c.proxied {
		s.WhyCode = WhyProxy
	}
	s.Why = s.WhyCode.words()
}

// words says it in English.
func (w WhyCode) words() string {
	return map[WhyCode]string{
		WhyConfigured: "the configuration names it",
		WhyFirst:      "it answered first; nothing was compared yet",
		WhyFaster:     "it carries more on this line",
		WhyClose:      "both carry about the same, and QUIC is preferred",
		WhyUDPBlocked: "UDP does not get through",
		WhyTCPBlocked: "TCP does not get through",
		WhyProxy:      "only the proxy leads out, and it carries TCP",
	}[w]
}

// turnTo begins with a node. What ended the connections to another one says nothing
// of it.
func (u *Uplink) turnTo(addr string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.status.Hub == addr {
		return
	}
	u.status.Hub = addr
	for i := range u.status.Carriers {
		u.status.Carriers[i].LastError = ""
	}
}

// doubt notes a node that was set aside, or left.
func (u *Uplink) doubt(in map[string]time.Time, addr string, now time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	in[addr], u.status.DoubtedAt = now.Add(u.c.AsideFor), now
}

// asides lists the nodes that are left alone now. u.mu is held.
func (u *Uplink) asides(now time.Time) (list []string) {
	for _, hub := range u.c.Hubs {
		if now.Before(u.aside[hub]) {
			list = append(list, hub)
		}
	}
	return list
}

func (u *Uplink) lost(err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.status.Connected {
		u.status.Since = time.Now()
	}
	u.lanes = nil
	clear(u.early) // what this node said counts with its own receipts only
	u.status.Connected, u.status.Transport, u.status.Lanes = false, carrierNone, 0
	if err != nil {
		u.status.LastError = err.Error()
	}
}

// line finds the entry of a carrier. u.mu is held.
func (u *Uplink) line(carrier string) *CarrierStatus {
	for i := range u.status.Carriers {
		if u.status.Carriers[i].Name == carrier {
			return &u.status.Carriers[i]
		}
	}
	return &CarrierStatus{}
}

// welcomed counts a connection that the hub has taken.
func (u *Uplink) welcomed(carrier string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.status.Connects++
	u.line(carrier).LastError = ""
	if carrier == carrierQUIC {
		open := true
		u.status.UDPOpen = &open
	}
}

// failed notes why a lane ended. blocked says that UDP does not get through while
// TCP does: when nothing does, the hub may be down, and nobody knows.
func (u *Uplink) failed(carrier string, blocked bool, err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.line(carrier).LastError = err.Error()
	if blocked {
		open := false
		u.status.UDPOpen = &open
	}
}

// measured notes what a carrier carried under load.
func (u *Uplink) measured(carrier string, goodput float64, now time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	c := u.line(carrier)
	c.GoodputBitsPerSecond, c.MeasuredAt = int64(goodput), now
}

// counter counts the data set bytes that a carrier was given since the start.
func (u *Uplink) counter(carrier string) *atomic.Int64 {
	if carrier == carrierTCP {
		return &u.byTCP
	}
	return &u.byQUIC
}

func (u *Uplink) carried(carrier string) int64 { return u.counter(carrier).Load() }

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
