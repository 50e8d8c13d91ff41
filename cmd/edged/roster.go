package main

import (
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"edged/agent/status"
)

// maxStrangers bounds how many callers are remembered that are not configured.
const maxStrangers = 256

// roster knows the devices: who may store, and who was seen.
type roster struct {
	unknown bool // accept_unknown
	titles  map[string]uint8
	devices []Device
	nets    []netip.Prefix // of devices, zero value: any address
	now     func() time.Time
	changed func()
	file    string // see keepIn
	log     *slog.Logger
	dirty   atomic.Bool // something was met since the file was written

	mu   sync.Mutex // guards seen
	seen map[string]*status.Device
}

func newRoster(c Dicom, now func() time.Time, changed func()) *roster {
	r := &roster{unknown: c.AcceptUnknown, devices: c.Devices, now: now, changed: changed,
		titles: map[string]uint8{c.AETitle: priorityOf("routine")}, seen: make(map[string]*status.Device)}
	for _, t := range c.AETitles {
		r.titles[t.Title] = priorityOf(t.Priority)
	}
	for _, d := range c.Devices {
		p, _ := parseNet(d.Address) // validated; empty gives the zero prefix
		r.nets = append(r.nets, p)
		r.seen[d.AETitle] = &status.Device{AETitle: d.AETitle, Name: d.Name, Address: d.Address, Known: true}
	}
	return r
}

// Priorities by rising patience.
func priorityOf(name string) uint8 {
	return uint8(max(0, slices.Index([]string{"urgent", "routine", "backfill"}, name)))
}

// judge says whether c may open an association, "" if so.
func (r *roster) judge(c caller) status.RefusalCode {
	if _, ok := r.titles[c.called]; !ok {
		return status.WrongCalled
	}
	known := false
	for i, d := range r.devices {
		if d.AETitle == c.calling {
			known = true
			if r.allowsAddress(i, c.address) {
				return ""
			}
		}
	}
	switch {
	case known:
		return status.WrongAddress
	case r.unknown:
		return ""
	}
	return status.UnknownCalling
}

func (r *roster) allowsAddress(i int, address string) bool {
	a, err := netip.ParseAddr(address)
	return r.nets[i] == netip.Prefix{} || err == nil && r.nets[i].Contains(a.Unmap())
}

// priority of what c sends: that of the title it calls or its own, whichever is
// more urgent, unless it is known to back-fill.
func (r *roster) priority(c caller) uint8 {
	called := r.titles[c.called]
	for i, d := range r.devices {
		if d.AETitle == c.calling && r.allowsAddress(i, c.address) {
			own := priorityOf(d.Priority)
			if called == priorityOf("routine") {
				return own
			}
			return min(called, own)
		}
	}
	return called
}

// quiet is how long nothing may come from c before its study counts as complete.
func (r *roster) quiet(c caller) time.Duration {
	for i, d := range r.devices {
		if d.AETitle == c.calling && r.allowsAddress(i, c.address) {
			return d.Quiet
		}
	}
	return defaultQuiet
}

// refused remembers that c was turned away.
func (r *roster) refused(c caller, code status.RefusalCode, detail string) {
	r.note(c, func(d *status.Device) {
		d.Refused++
		d.LastRefusal = &status.Refusal{Code: code, Detail: clip(detail, 64), At: r.now()}
	})
}

// met remembers that c opened an association.
func (r *roster) met(c caller) { r.note(c, func(*status.Device) {}) }

// stored remembers that c stored an instance.
func (r *roster) stored(c caller) { r.note(c, func(d *status.Device) { d.Stored++ }) }

func (r *roster) note(c caller, change func(*status.Device)) {
	r.mu.Lock()
	d := r.seen[c.calling]
	if d == nil {
		r.forgetOldest()
		d = &status.Device{AETitle: c.calling}
		r.seen[c.calling] = d
	}
	d.LastSeen, d.Address = r.now(), c.address
	change(d)
	r.mu.Unlock()
	r.dirty.Store(true)
	r.changed()
}

// forgetOldest makes room for one more stranger. mu is held.
func (r *roster) forgetOldest() {
	var oldest *status.Device
	strangers := 0
	for _, d := range r.seen {
		if !d.Known {
			strangers++
			if oldest == nil || d.LastSeen.Before(oldest.LastSeen) {
				oldest = d
			}
		}
	}
	if strangers >= maxStrangers {
		delete(r.seen, oldest.AETitle)
	}
}

// list is a copy, the known first, then by when they were last seen.
func (r *roster) list() []status.Device {
	r.mu.Lock()
	out := make([]status.Device, 0, len(r.seen))
	for _, d := range r.seen {
		out = append(out, *d)
	}
	r.mu.Unlock()
	slices.SortFunc(out, func(a, b status.Device) int {
		if a.Known != b.Known {
			if a.Known {
				return -1
			}
			return 1
		}
		if c := b.LastSeen.Compare(a.LastSeen); c != 0 {
			return c
		}
		return strings.Compare(a.AETitle, b.AETitle)
	})
	return out
}

// strangersSince counts callers that are not configured and were refused since t.
func (r *roster) strangersSince(t time.Time) (n int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, d := range r.seen {
		if d.LastRefusal != nil && d.LastRefusal.Code == status.UnknownCalling && d.LastRefusal.At.After(t) {
			n++
		}
	}
	return n
}

func clip(s string, n int) string {
	if len(s) > n {
		return s[:n]
	}
	return s
}
