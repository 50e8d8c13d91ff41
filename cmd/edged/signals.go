package main

import (
	"maps"
	"sync"
	"time"

	"edged/agent/account"
	"edged/agent/page"
	"edged/agent/status"
	"edged/internal/quality"
)

// tallied is what is counted for monitoring systems only, since the start.
type tallied struct {
	clock *timeSync
	toFix func() page.FixGroups // nil in tests
	late  lateLook

	mu      sync.Mutex // guards what follows
	refused map[status.RefusalCode]int64
	logins  status.Logins
}

func newTallied() *tallied {
	return &tallied{clock: newTimeSync(), refused: make(map[status.RefusalCode]int64)}
}

// refuse counts a refusal; the codes are ours, so there are few.
func (t *tallied) refuse(code status.RefusalCode) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.refused[code]++
}

func (t *tallied) account(e account.Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch e.Action {
	case account.LoggedIn:
		t.logins.Good++
	case account.Failed, account.Refused:
		t.logins.Failed += 1 + int64(e.LeftOut)
	case account.Locked:
		t.logins.Locked++
	}
}

// observedAudit tells who counts, and the audit repository, what the audit trail of the
// accounts is told.
type observedAudit struct {
	account.Audit
	tell func(account.Event)
}

// observed is next, with those behind it.
func (a *appliance) observed(next account.Audit) account.Audit {
	return observedAudit{next, func(e account.Event) {
		a.tallied.account(e)
		a.herald.account(e)
	}}
}

func (o observedAudit) Note(e account.Event) error {
	err := o.Audit.Note(e)
	// Without a row a log-in did not take effect, and what lapsed comes again.
	if err == nil || e.Action != account.LoggedIn && e.Action != account.Lapsed {
		o.tell(e)
	}
	return err
}

func (o observedAudit) Do(e account.Event, act func() error) error {
	err := o.Audit.Do(e, act)
	if err == nil {
		o.tell(e)
	}
	return err
}

// signals are gathered for a scrape.
func (a *appliance) signals() status.Signals {
	t := a.tallied
	t.mu.Lock()
	s := status.Signals{Refused: maps.Clone(t.refused), Logins: t.logins}
	t.mu.Unlock()
	s.Clock, s.Devices = t.clock.status(), a.roster.list()
	a.view.mu.Lock()
	s.OldestWaiting = a.view.ages.OldestBacklog
	a.view.mu.Unlock()
	s.StudiesLate = a.lateStudies(time.Now()).over
	x := a.syslogStatus()
	s.Audit = status.AuditMessages{On: x.On, Waiting: x.Waiting, Bytes: x.Bytes, Lost: x.Lost, Failing: x.Since}
	s.Certificates, s.Alarms, s.Findings = a.certificates(), a.openAlarms(), t.findings()
	return s
}

// certificates are the ends of those that are shown to others than the hub; one that
// cannot be read is not told.
func (a *appliance) certificates() map[string]time.Time {
	ends := make(map[string]time.Time)
	for _, c := range a.shownCertificates() {
		if c.ID != "uplink" && !c.Until.IsZero() { // of which there is a metric of its own
			ends[c.ID] = c.Until
		}
	}
	if a.cfg.Syslog.Server != "" && a.cfg.Syslog.Cert != "" {
		if _, until := certificateOf(a.cfg.Syslog.Cert); !until.IsZero() {
			ends["syslog"] = until
		}
	}
	return ends
}

// openAlarms counts those of the page by kind.
func (a *appliance) openAlarms() map[status.AlarmCode]int64 {
	n := make(map[status.AlarmCode]int64)
	for _, code := range status.AlarmCodes {
		n[code] = 0
	}
	open, _ := a.alarms.Alarms()
	for _, alarm := range open {
		n[alarm.Code]++
	}
	return n
}

// findings counts the studies here by the cause of what is to be corrected.
func (t *tallied) findings() map[string]int64 {
	n := make(map[string]int64)
	for _, cause := range quality.Causes() {
		n[string(cause)] = 0
	}
	if t.toFix != nil {
		for _, g := range t.toFix().Groups {
			n[g.Cause] += g.Weeks.All()
		}
	}
	return n
}
