package main

import (
	"path/filepath"
	"sync"
	"time"

	"edged/agent/page"
)

// local is what the appliance does and learns at its own place, for its page: devices
// that are admitted there, what is usual, self-tests, alarms.
type local struct {
	admitting sync.Mutex // one admission at a time
	admitted  *admitted
	usual     *usual
	selfTests *selfTests
	alarms    *alarmDesk
}

// withAdmitted is the configuration of the DICOM port with the devices that were
// admitted on the page, as far as their file can be read.
func (a *appliance) withAdmitted() Dicom {
	d := a.cfg.Dicom
	a.admitted = openAdmitted(filepath.Join(a.cfg.DataDir, admittedFile), time.Now)
	if err := a.admitted.unread; err != nil {
		a.log.Error("devices that were admitted on the page are refused", "err", err)
	}
	d.Devices = a.admitted.beside(d.Devices)
	return d
}

// atHome makes what this place has of its own, and has the door tell it. Alarms that
// cannot be recalled are told, and begun anew.
func (a *appliance) atHome() {
	a.roster.ignored, a.view.unread = a.admitted.ignores, a.admitted.lacks
	a.usual = newUsual(filepath.Join(a.cfg.DataDir, usualFile), a.cfg.zone(), time.Now, a.log)
	a.door.arrived = a.habits
	a.selfTests = newSelfTests(a)
	book, err := openAlarms(filepath.Join(a.cfg.DataDir, alarmsFile))
	if err != nil {
		a.log.Warn("the alarms so far are forgotten", "err", err)
	}
	a.alarms = &alarmDesk{a: a, book: book, now: time.Now, log: a.log, refused: make(map[seenKey][]refusedThen)}
}

// localDesks are the pages of this place.
func (a *appliance) localDesks(c page.Config) page.Config {
	c.Devices, c.Tests, c.Alarms, c.System = deviceDesk{a}, a.selfTests, a.alarms, systemDesk{a}
	return c
}
