package main

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"edged/agent/account"
	"edged/agent/page"
	"edged/internal/quality"
	"edged/spool"
)

// deviceDesk is what the page knows and does about devices.
type deviceDesk struct{ a *appliance }

var _ page.DeviceDesk = deviceDesk{}

// habits tells usual of what comes in through the door.
func (a *appliance) habits(c caller, o spool.New, m Meta) {
	a.usual.arrived(c.calling, cmp.Or(o.Group, o.Part, "?"), func(now time.Time) (f firstLook) {
		if o.Priority == spool.Backfill {
			return f
		}
		f.lead, f.clock = leadOf(m.StudyDate, m.StudyTime, now)
		f.fiscal = slices.ContainsFunc(m.Findings, a.wrongFiscal)
		return f
	})
}

// wrongFiscal is a codice fiscale that somebody is to correct: what is a note only, as that
// there is none, or a provisional one, makes no alarm.
func (a *appliance) wrongFiscal(x metaFinding) bool {
	_, level := a.judge.level(quality.Code(x.Code))
	return strings.HasPrefix(x.Code, "fiscal.") && level >= quality.Warn
}

// Habit of a device.
func (d deviceDesk) Habit(title string) page.Habit {
	c := d.a.usual.of(title)
	h := page.Habit{Today: c.today.total(), Known: c.known, UsualHours: c.hours, UsualByNow: c.byNow, Late: c.late, By: minuteOf(c.byMinute), ClockKnown: c.clock, Ahead: c.ahead, ClockLimit: d.a.cfg.Alarms.Clock}
	for i, n := range c.today.Hours {
		h.Hours[i] = int64(n)
	}
	for _, dev := range d.a.roster.listed() {
		if dev.AETitle == title {
			h.Quiet = dev.Quiet
		}
	}
	return h
}

func minuteOf(m int) string {
	if m < 0 {
		return ""
	}
	return fmt.Sprintf("%02d:%02d", m/60, m%60)
}

// Offered: looking and fetching go where the appliance was started with somebody who
// may; else there is no catalogue to look into.
func (d deviceDesk) Offered() []string {
	if d.a.catalogue == nil {
		return []string{serviceStore}
	}
	return []string{serviceStore, serviceQuery, serviceMove, serviceGet}
}

// Admit keeps a device, and lets it in.
func (d deviceDesk) Admit(by account.Actor, want page.Admission) error {
	in := admittedDevice{AETitle: want.Title, Address: want.Address, Name: want.Name, Priority: want.Priority, Services: want.Services}
	dev, err := in.device()
	offered := d.Offered()
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", page.ErrNotTaken, err)
	case slices.ContainsFunc(in.Services, func(s string) bool { return !slices.Contains(offered, s) }):
		return page.ErrNotTaken
	}
	d.a.admitting.Lock() // two at once must not both find the place free
	defer d.a.admitting.Unlock()
	if clashes(d.a.roster.listed(), dev) {
		return page.ErrNotTaken
	}
	what := fmt.Sprintf("%s at %s", dev.AETitle, dev.Address)
	how := fmt.Sprintf("priority %s, services %s", dev.Priority, strings.Join(dev.Services, " "))
	return notTaken(d.a.audited(by, "device admit", what, how, func() error {
		err := d.a.admitted.admit(in)
		if err == nil {
			d.a.roster.enlist(dev) // also where the outcome cannot be recorded: it is on the disk, so it is so
		}
		return err
	}))
}

func notTaken(err error) error {
	var refused refusedError
	if errors.As(err, &refused) {
		return fmt.Errorf("%w: %w", page.ErrNotTaken, err)
	}
	return err
}

// Ignore hides a stranger who was met.
func (d deviceDesk) Ignore(by account.Actor, title, address string) error {
	if !d.isStranger(title, address) {
		return page.ErrNotTaken
	}
	err := d.a.audited(by, "device ignore", whoIs(title, address), "", func() error { return d.a.admitted.ignore(title, address) })
	d.a.roster.changed()
	return err
}

// Hear shows it again.
func (d deviceDesk) Hear(by account.Actor, title, address string) error {
	if !d.a.admitted.ignores(title, address) {
		return page.ErrNotTaken
	}
	err := d.a.audited(by, "device hear", whoIs(title, address), "", func() error { return d.a.admitted.hear(title, address) })
	d.a.roster.changed()
	return err
}

func whoIs(title, address string) string { return fmt.Sprintf("%q at %q", title, address) }

func (d deviceDesk) isStranger(title, address string) bool {
	for _, met := range d.a.roster.list() {
		if !met.Known && met.AETitle == title && met.Address == address {
			return true
		}
	}
	return false
}

// Ignored lists them.
func (d deviceDesk) Ignored() (out []page.Stranger) {
	for _, i := range d.a.admitted.silent() {
		out = append(out, page.Stranger{Title: i.AETitle, Address: i.Address, Until: i.Until})
	}
	return out
}
