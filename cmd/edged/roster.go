package main

import (
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"edged/agent/status"
	"edged/dimse"
)

// roster knows the devices: who may do what, and who was seen.
type roster struct {
	unknown  bool // accept_unknown
	titles   map[string]uint8
	who      atomic.Pointer[listing] // see listed
	clientCA bool                    // by TLS, a certificate is demanded
	now      func() time.Time
	changed  func()
	file     string // see keepIn
	log      *slog.Logger
	dirty    atomic.Bool // something was met since the file was written
	self     selfCallers
	window   listening
	ignored  func(title, address string) bool // somebody wants to hear no more of this stranger; nil: of none

	mu     sync.Mutex // guards what follows
	seen   map[seenKey]*status.Device
	echoes map[string]time.Time // by AE title

	tell func(caller, status.RefusalCode, string) // is told of every refusal, if not nil
}

func newRoster(c Dicom, now func() time.Time, changed func()) *roster {
	r := &roster{unknown: c.AcceptUnknown, clientCA: c.TLS.ClientCA != "", now: now, changed: changed,
		titles: map[string]uint8{c.AETitle: priorityOf("routine")}, seen: make(map[seenKey]*status.Device)}
	for _, t := range c.AETitles {
		r.titles[t.Title] = priorityOf(t.Priority)
	}
	r.who.Store(newListing(c.Devices))
	for _, d := range c.Devices {
		r.seen[seenKey{title: d.AETitle}] = &status.Device{AETitle: d.AETitle, Name: d.Name, Address: d.Address, Known: true}
	}
	return r
}

// Priorities by rising patience.
func priorityOf(name string) uint8 {
	return uint8(max(0, slices.Index([]string{"urgent", "routine", "backfill"}, name)))
}

// stranger is what a caller may do that is not configured, where any may call.
var stranger = func() Device { var d Device; d.SetDefaults(); return d }()

// find is the device that c is; known says that the AE title is configured, if
// only for another address.
func (r *roster) find(c caller) (d Device, found, known bool) {
	if r.self.are(c) {
		return stranger, true, false
	}
	list := r.who.Load()
	for i, d := range list.devices {
		if d.AETitle == c.calling {
			known = true
			if list.allowsAddress(i, c.address) {
				return d, true, true
			}
		}
	}
	return stranger, !known && r.unknown, known
}

// device is find for who was admitted.
func (r *roster) device(c caller) Device {
	d, _, _ := r.find(c)
	return d
}

// judge says whether c may open an association, "" if so.
func (r *roster) judge(c caller) status.RefusalCode {
	d, found, known := r.find(c)
	_, ours := r.titles[c.called]
	switch {
	case !ours && !(found && d.quirk(quirkAnyCalled)):
		return status.WrongCalled
	case found:
		return r.judgeTLS(c, d)
	case known:
		return status.WrongAddress
	}
	return status.UnknownCalling
}

// judgeTLS: a certificate that was shown has been verified by the handshake. Where
// one is demanded it is the device's own, if its name is known.
func (r *roster) judgeTLS(c caller, d Device) status.RefusalCode {
	demanded := d.TLS == tlsMutual || r.clientCA && d.TLS != tlsServer
	switch {
	case !c.secure && (d.TLS == tlsServer || d.TLS == tlsMutual):
		return status.NeedsTLS
	case c.secure && demanded && (c.proof == nil || !d.shown(c.proof)):
		return status.NoCertificate
	}
	return ""
}

// priority of what c sends: that of the title it calls or its own, whichever is
// more urgent, unless it is known to back-fill.
func (r *roster) priority(c caller) uint8 {
	called, ours := r.titles[c.called]
	if !ours {
		called = priorityOf("routine") // quirkAnyCalled
	}
	d, found, known := r.find(c)
	if !found || !known {
		return called
	}
	own := priorityOf(d.Priority)
	if called == priorityOf("routine") {
		return own
	}
	return min(called, own)
}

// quiet is how long nothing may come from c before its study counts as complete.
func (r *roster) quiet(c caller) time.Duration { return r.device(c).Quiet }

// offers says which services c is offered, by their classes.
func (r *roster) offers(c caller, class string) bool {
	d := r.device(c)
	switch class {
	case dimse.Verification:
		return true
	case dimse.StorageCommitmentPush:
		return d.has(serviceStore) && d.Commitment != commitOff
	case dimse.PerformedProcedureStep:
		return d.has(serviceStore)
	case dimse.PatientRootFind, dimse.StudyRootFind:
		return d.has(serviceQuery)
	case dimse.PatientRootMove, dimse.StudyRootMove:
		return d.has(serviceMove)
	case dimse.PatientRootGet, dimse.StudyRootGet:
		return d.has(serviceGet)
	}
	return dimse.IsStorage(class) && (d.has(serviceStore) || d.has(serviceGet)) // what C-GET brings comes in contexts of its own
}
