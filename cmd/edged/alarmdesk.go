package main

import (
	"context"
	"log/slog"
	"time"

	"edged/agent/account"
	"edged/agent/page"
	"edged/agent/status"
)

// alarmDesk looks every twenty seconds, and keeps the book.
type alarmDesk struct {
	a    *appliance
	book *alarmBook
	now  func() time.Time
	log  *slog.Logger

	refused map[seenKey][]refusedThen // of the last hour; only run touches it
	lost    int64                     // audit messages, as it was last seen; only run touches it
	lostAt  time.Time
}

// refusedThen is how often a device had been refused at a time.
type refusedThen struct {
	at time.Time
	n  int64
}

const (
	alarmEvery  = 20 * time.Second
	refusedFor  = time.Hour
	refusedStep = 5 * time.Minute
)

var _ page.AlarmDesk = (*alarmDesk)(nil)

func (d *alarmDesk) run(ctx context.Context) error {
	for pause(ctx, alarmEvery) {
		d.look()
	}
	if err := d.book.save(); err != nil {
		d.log.Warn("alarms are not on the disk", "err", err)
	}
	return nil
}

func (d *alarmDesk) look() {
	now := d.now()
	f := d.facts(now)
	d.book.step(now, d.a.cfg.Alarms.judge(f), !f.status.SpoolUnknown)
	if err := d.book.save(); err != nil {
		d.log.Warn("alarms are not on the disk", "err", err)
	}
	d.a.view.bell.Ring(status.StatusChanged)
}

func (d *alarmDesk) facts(now time.Time) alarmFacts {
	f := alarmFacts{now: now, status: d.a.view.Status(), shadow: len(d.a.cfg.Uplink.Hubs) == 0, certificates: d.a.shownCertificates(), clock: d.a.clock(), heat: hottest(hwmon)}
	if s, err := d.a.keeper.get(); err == nil {
		if oldest := s.Ages().OldestBacklog; !oldest.IsZero() {
			f.oldest = oldest.In(d.a.cfg.zone())
		}
	}
	late := d.a.lateStudies(now)
	f.late, f.urgent = late.late, late.urgent
	f.devices = d.devices(now)
	f.audit = d.a.syslogStatus()
	f.lost = d.lostLately(f.audit.Lost, now)
	return f
}

// lostLately is how many audit messages are lost, for as long as the last loss is news.
func (d *alarmDesk) lostLately(lost int64, now time.Time) int64 {
	if lost > d.lost {
		d.lostAt = now
	}
	if d.lost = lost; now.Sub(d.lostAt) >= lostFor {
		return 0
	}
	return lost
}

func (d *alarmDesk) devices(now time.Time) (out []alarmDevice) {
	met := make(map[seenKey]bool)
	var strangers alarmDevice // all of them are one alarm without a name: whoever makes up titles fills no list
	for _, dev := range d.a.roster.shown() {
		key := keyOfDevice(dev)
		met[key] = true
		refused := d.refusedLately(key, dev.Refused, now)
		if !dev.Known {
			strangers.refused += refused
			continue
		}
		out = append(out, alarmDevice{title: dev.AETitle, known: true, refused: refused, custom: d.a.usual.of(dev.AETitle)})
	}
	out = append(out, strangers)
	for key := range d.refused {
		if !met[key] {
			delete(d.refused, key)
		}
	}
	return out
}

// refusedLately is how much a number that only grows has grown within the hour.
func (d *alarmDesk) refusedLately(key seenKey, total int64, now time.Time) int64 {
	then := d.refused[key]
	for len(then) > 1 && now.Sub(then[1].at) >= refusedFor {
		then = then[1:]
	}
	if len(then) == 0 || now.Sub(then[len(then)-1].at) >= refusedStep {
		then = append(then, refusedThen{now, total})
	}
	d.refused[key] = then
	return max(0, total-then[0].n)
}

// Alarms for the page.
func (d *alarmDesk) Alarms() (open, over []status.Alarm) { return d.book.alarms() }

// open are those that are part of the state.
func (d *alarmDesk) open() []status.Alarm {
	open, _ := d.book.alarms()
	return open
}

// Acknowledge is recorded first.
func (d *alarmDesk) Acknowledge(by account.Actor, id string) error {
	a, open := d.book.find(id)
	if !open {
		return page.ErrNotTaken
	}
	return notTaken(d.a.audited(by, "alarm acknowledge", string(a.Code)+" "+a.Device, "", func() error { return d.book.acknowledge(id, by.Name, d.now()) }))
}

// Unmeasured is what this version does not ask a machine, and what this one does not say.
func (d *alarmDesk) Unmeasured() []string { return append(d.a.unmeasured(), d.timeUnknown()...) }

func (d *alarmDesk) timeUnknown() []string {
	if d.a.clock().Known {
		return nil
	}
	return []string{"time"}
}

// Contact is whom to call.
func (d *alarmDesk) Contact() string { return d.a.cfg.Facility.Contact }
