package main

import "time"

// Alarms are the limits from where the page has an alarm; see alarmrules.go.
type Alarms struct {
	Archive         time.Duration `yaml:"archive"`
	ArchiveUrgent   time.Duration `yaml:"archive_urgent"`
	Queue           time.Duration `yaml:"queue"`
	SpaceSoon       int           `yaml:"space_soon"`
	SpaceNow        int           `yaml:"space_now"`
	Silent          bool          `yaml:"silent"`
	Refused         int           `yaml:"refused"`
	Clock           time.Duration `yaml:"clock"`
	Fiscal          int           `yaml:"fiscal"`
	CertificateSoon int           `yaml:"certificate_soon"`
	CertificateNow  int           `yaml:"certificate_now"`
	Heat            int           `yaml:"heat"`
}

func defaultAlarms() Alarms {
	return Alarms{Archive: 30 * time.Minute, ArchiveUrgent: time.Minute, Queue: time.Hour, SpaceSoon: 3, SpaceNow: 1, Silent: true, Refused: 10, Clock: time.Minute,
		Fiscal: 5, CertificateSoon: 30, CertificateNow: 7, Heat: 85}
}

func (a *Alarms) check(bad complain) {
	for key, d := range map[string]time.Duration{"alarms.archive": a.Archive, "alarms.archive_urgent": a.ArchiveUrgent, "alarms.queue": a.Queue, "alarms.clock": a.Clock} {
		if d < 10*time.Second || d > 30*24*time.Hour {
			bad(key, "%s is not between 10s and 720h", d)
		}
	}
	for key, n := range map[string]int{"alarms.space_soon": a.SpaceSoon, "alarms.space_now": a.SpaceNow, "alarms.certificate_soon": a.CertificateSoon, "alarms.certificate_now": a.CertificateNow} {
		if n < 0 || n > 3650 {
			bad(key, "%d is not 0 to 3650 days", n)
		}
	}
	if a.Refused < 1 || a.Refused > 1_000_000 {
		bad("alarms.refused", "%d is not between 1 and 1000000", a.Refused)
	}
	if a.Fiscal < 0 || a.Fiscal > 100 {
		bad("alarms.fiscal", "%d is not 0 to 100 per cent", a.Fiscal)
	}
	if a.Heat < 30 || a.Heat > 150 {
		bad("alarms.heat", "%d is not 30 to 150 degrees", a.Heat)
	}
}
