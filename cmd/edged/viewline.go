package main

import (
	"slices"
	"time"

	"edged/agent/status"
	"edged/uplink"
)

// uplinkStatus says of the line what the uplink says of it.
func (v *view) uplinkStatus(up uplink.Status) status.Uplink {
	st := status.Uplink{
		Connected: up.Connected, Transport: transport(up), Hub: up.Hub, Since: up.Since, RateBitsPerSecond: up.RateBitsPerSecond, LastError: up.LastError,
		Lanes: int64(up.Lanes), Carriers: carriers(up), UDPOpen: up.UDPOpen, RTTMS: millis(up.RTT),
		CapBits: up.CapBitsPerSecond, CapUntil: up.CapUntil, CapBackfill: up.CapBackfill, PausedUntil: up.PausedUntil,
		BytesSent: up.BytesSent, WireBytes: up.WireBytes, Receipts: up.AtHub, InFlight: int64(up.InFlight), NotBelieved: up.NotBelieved,
		Switches: up.Switches, Connects: up.Connects, Nodes: v.nodes(up), Test: v.tested(),
		Rates: status.Classes{Urgent: up.RatePerClass[0], Routine: up.RatePerClass[1], Backfill: up.RatePerClass[2]}, BytesLeft: v.going.bytesLeft(),
	}
	if up.Connected {
		st.Why = status.WhyCode(up.WhyCode)
	}
	return st
}

func transport(up uplink.Status) status.Transport {
	if up.Transport == "" {
		return status.NoTransport
	}
	return status.Transport(up.Transport)
}

func carriers(up uplink.Status) []status.Carrier {
	list := make([]status.Carrier, 0, len(up.Carriers))
	for _, c := range up.Carriers {
		list = append(list, status.Carrier{Transport: status.Transport(c.Name), Lanes: int64(c.Lanes), GoodputBits: c.GoodputBitsPerSecond, MeasuredAt: c.MeasuredAt,
			RTTMS: millis(c.RTT), Sent: int64(c.Sent), Lost: int64(c.Lost), MTU: int64(c.MTU), Congestion: c.Congestion, LastError: c.LastError})
	}
	return list
}

func (v *view) nodes(up uplink.Status) []status.Node {
	list := make([]status.Node, 0, len(v.cfg.Uplink.Hubs))
	for _, hub := range v.cfg.Uplink.Hubs {
		list = append(list, status.Node{Address: hub, InUse: up.Connected && hub == up.Hub, SetAside: slices.Contains(up.SetAside, hub)})
	}
	return list
}

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// pause remembers until when sending was paused last, also when somebody ended that
// early: what waited meanwhile gets its time to leave.
func (v *view) pause(until, now time.Time) time.Time {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch {
	case !until.IsZero():
		v.paused = until
	case v.paused.After(now):
		v.paused = now
	}
	return v.paused
}
