package main

import (
	"net/netip"
	"slices"

	"edged/agent/status"
	"edged/spool"
)

// listing is who may call: the devices of the configuration, and those that were
// admitted on the page. It is never changed; enlist puts another in its place.
type listing struct {
	devices   []Device
	nets      []netip.Prefix        // of devices, zero value: any address
	addresses map[netip.Addr]string // AE title of the only device at an address
}

func newListing(devices []Device) *listing {
	l := &listing{devices: devices, addresses: make(map[netip.Addr]string)}
	for _, d := range devices {
		p, _ := parseNet(d.Address) // validated; empty gives the zero prefix
		l.nets = append(l.nets, p)
		if a, one := d.single(); one {
			if title, taken := l.addresses[a]; taken && title != d.AETitle {
				d.AETitle = "" // two share it: who it was, nobody knows
			}
			l.addresses[a] = d.AETitle
		}
	}
	return l
}

func (l *listing) allowsAddress(i int, address string) bool {
	a, err := netip.ParseAddr(address)
	return l.nets[i] == netip.Prefix{} || err == nil && l.nets[i].Contains(a.Unmap())
}

// listed are the devices that may call now. They are not to be changed.
func (r *roster) listed() []Device { return r.who.Load().devices }

// backfills is whether the device with an AE title is there for old studies.
func (r *roster) backfills(title string) bool {
	return slices.ContainsFunc(r.listed(), func(d Device) bool {
		return sameTitle(d.AETitle) == sameTitle(title) && priorityOf(d.Priority) == uint8(spool.Backfill)
	})
}

// enlist admits one more from now on. Whoever calls it has made that last.
func (r *roster) enlist(d Device) {
	r.mu.Lock()
	r.who.Store(newListing(append(slices.Clone(r.listed()), d)))
	key := seenKey{title: d.AETitle}
	met := r.seen[key]
	if met == nil {
		met = &status.Device{AETitle: d.AETitle, Address: d.Address}
		r.seen[key] = met
	}
	met.Known, met.Name = true, d.Name
	r.mu.Unlock()
	r.dirty.Store(true)
	r.changed()
}
