package main

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"edged/agent/status"
)

// maxStrangers bounds how many callers are remembered that are not configured.
const maxStrangers = 256

// seenKey is a device: its AE title, or the address of one that gave none.
type seenKey struct{ title, address string }

// keyOf attributes who gave no title to the only device at its address.
func (r *roster) keyOf(c caller) seenKey {
	if c.calling != "" {
		return seenKey{title: c.calling}
	}
	if a, err := netip.ParseAddr(c.address); err == nil {
		if title := r.who.Load().addresses[a.Unmap()]; title != "" {
			return seenKey{title: title}
		}
	}
	return seenKey{address: c.address}
}

func keyOfDevice(d status.Device) seenKey {
	if d.AETitle != "" {
		return seenKey{title: d.AETitle}
	}
	return seenKey{address: d.Address}
}

// refused remembers that c was turned away.
func (r *roster) refused(c caller, code status.RefusalCode, detail string) {
	r.window.hear(c, code, detail, r.now())
	r.note(c, func(d *status.Device) {
		d.Refused++
		d.LastRefusal = &status.Refusal{Code: code, Detail: clip(detail, 64), At: r.now()}
	})
	if r.tell != nil {
		r.tell(c, code, detail)
	}
}

// met remembers that c opened an association.
func (r *roster) met(c caller) {
	if !r.self.are(c) { // who waits for a device does not wait for a test of ours
		r.window.hear(c, "", "", r.now())
	}
	r.note(c, func(*status.Device) {})
}

// negotiated remembers what c, who was met or refused before, proposed, and what
// it was answered. It is no meeting of its own: a refusal stays the last thing
// that happened.
func (r *roster) negotiated(c caller, i *status.Implementation, n *status.Negotiation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	d := r.seen[r.keyOf(c)]
	if d == nil {
		return
	}
	if extra := len(n.Contexts) - maxStrangeContexts; !d.Known && extra > 0 {
		n.Contexts, n.Left = n.Contexts[:maxStrangeContexts:maxStrangeContexts], int64(extra)
	}
	n.At = r.now()
	d.Implementation, d.Negotiation = i, n
}

// stored remembers that c stored an instance.
func (r *roster) stored(c caller) { r.note(c, func(d *status.Device) { d.Stored++ }) }

// note changes a device. What a pointer in it points to is never changed after
// that: list hands it out.
func (r *roster) note(c caller, change func(*status.Device)) {
	if r.self.are(c) {
		return // no device
	}
	key := r.keyOf(c)
	r.mu.Lock()
	d := r.seen[key]
	if d == nil {
		r.forgetOldest()
		d = &status.Device{AETitle: key.title}
		r.seen[key] = d
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
		delete(r.seen, keyOfDevice(*oldest))
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
		return strings.Compare(a.AETitle+a.Address, b.AETitle+b.Address)
	})
	return out
}

// strangersSince counts callers that were refused as unknown since t and still are: who
// was admitted meanwhile, or is ignored, asks for nobody's attention any more.
// Who is ignored is asked without the lock, which each image needs: it may stand in a file
// that is being written.
func (r *roster) strangersSince(t time.Time) (n int64) {
	for _, d := range r.list() {
		if !d.Known && d.LastRefusal != nil && d.LastRefusal.Code == status.UnknownCalling && d.LastRefusal.At.After(t) && !r.ignores(&d) {
			n++
		}
	}
	return n
}

// noRoomSince says that a device was refused since t because what it sent did not fit.
func (r *roster) noRoomSince(t time.Time) bool {
	return slices.ContainsFunc(r.list(), func(d status.Device) bool {
		return d.LastRefusal != nil && d.LastRefusal.Code == status.NoSpace && d.LastRefusal.At.After(t)
	})
}

func clip(s string, n int) string {
	if len(s) > n {
		return s[:n]
	}
	return s
}

// ignores says that somebody on the page wants to hear no more of a stranger.
func (r *roster) ignores(d *status.Device) bool {
	return r.ignored != nil && !d.Known && r.ignored(d.AETitle, d.Address)
}

// shown is list without the strangers that are ignored.
func (r *roster) shown() []status.Device {
	return slices.DeleteFunc(r.list(), func(d status.Device) bool { return r.ignores(&d) })
}

// echo remembers when a device that may call was last heard with a C-ECHO, of it or of
// ours to it, since the start.
func (r *roster) echo(title string) {
	if !slices.ContainsFunc(r.listed(), func(d Device) bool { return d.AETitle == title }) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.echoes == nil {
		r.echoes = make(map[string]time.Time)
	}
	r.echoes[title] = r.now()
}

func (r *roster) echoed(title string) time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.echoes[title]
}
