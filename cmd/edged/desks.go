package main

import "edged/agent/page"

// desks gives the page what its areas need; each is in a file of its own.
func (a *appliance) desks(c page.Config) page.Config {
	c.Hosts = a.cfg.pageHosts()
	people := a.people()
	c.Accounts, a.view.people, a.lapse = people, people.List, people.Lapse
	c.Studies = a.studyDesk()
	c.Audit = a.auditDesk()
	c.Days = a.dayDesk()
	c.LineDesk = a.lineDesk()
	fix := a.fixDesk()
	a.tallied.toFix = fix.FixGroups
	c.Fix, c.Sentence = fix, a.judge.sentence
	a.view.toFix, a.view.alarms, a.judge.ahead = fix.toFix, a.alarms.open, a.clockOf
	a.judge.old = a.roster.backfills
	return a.localDesks(c)
}
