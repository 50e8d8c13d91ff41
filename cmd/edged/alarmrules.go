package main

import (
	"slices"
	"time"

	"edged/agent/page"
	"edged/agent/status"
)

// alarmFacts is all that alarms are judged by, of one moment.
type alarmFacts struct {
	now          time.Time
	status       status.Status
	oldest       time.Time // arrival of the oldest image that is not at the hub
	late         int64     // studies that are not archived after Alarms.Archive
	urgent       int64     // urgent ones, after Alarms.ArchiveUrgent
	shadow       bool
	devices      []alarmDevice
	certificates []page.Certificate
	clock        page.Clock
	heat         int // of the hottest part; 0: not known
	audit        syslogStatus
	lost         int64 // audit messages, the last of them within lostFor
}

type alarmDevice struct {
	title   string
	known   bool
	custom  custom
	refused int64 // within the hour
}

// fewStudies of a day say nothing about a share.
const fewStudies = 20

// judge says what holds now; it is pure. Since is left to the book.
func (l Alarms) judge(f alarmFacts) (out []status.Alarm) {
	add := func(on bool, a status.Alarm) {
		if on {
			out = append(out, a)
		}
	}
	st := f.status
	why := func(codes ...status.ReasonCode) (count int64, on bool) {
		for _, r := range st.Reasons {
			if slices.Contains(codes, r.Code) {
				return r.Count, true
			}
		}
		return 0, false
	}
	_, blocked := why(status.SpoolFailed, status.SpoolFull, status.KeyMissing)
	add(blocked, status.Alarm{Code: status.AlarmSpool, Red: true, Safe: true})
	lost := st.Spool.Damage.NoOtherCopy
	add(lost > 0, status.Alarm{Code: status.AlarmDamage, Red: true, Count: lost})
	if d := st.Spool.DaysLeft; d != nil {
		now := *d < float64(l.SpaceNow)
		add(now, status.Alarm{Code: status.AlarmSpace1, Red: true, Safe: true, Limit: int64(l.SpaceNow) * daySeconds})
		add(!now && *d < float64(l.SpaceSoon), status.Alarm{Code: status.AlarmSpace3, Safe: true, Limit: int64(l.SpaceSoon) * daySeconds})
	}
	_, low := why(status.SpaceLow, status.NoRoom)
	add(low, status.Alarm{Code: status.AlarmSpaceLow, Safe: true})
	add(st.Spool.Quarantined > lost, status.Alarm{Code: status.AlarmQuarantine, Red: true, Safe: true, Count: st.Spool.Quarantined - lost})
	held, is := why(status.HeldBack)
	add(is, status.Alarm{Code: status.AlarmHeld, Safe: true, Count: held})
	if !f.shadow {
		out = append(out, l.judgeWay(f)...)
	}
	out = append(out, l.judgeDevices(f)...)
	out = append(out, judgeAudit(f)...)
	return append(out, l.judgeMachine(f)...)
}

const daySeconds = 24 * 60 * 60

func seconds(d time.Duration) int64 { return int64(d / time.Second) }

// judgeWay is about the way to the archive.
func (l Alarms) judgeWay(f alarmFacts) (out []status.Alarm) {
	if slices.ContainsFunc(f.status.Reasons, func(r status.Reason) bool { return r.Code == status.Unenrolled || r.Code == status.CertEnded }) {
		out = append(out, status.Alarm{Code: status.AlarmEnrolment, Red: true, Safe: true})
	}
	if !f.oldest.IsZero() && f.now.Sub(f.oldest) > l.Queue {
		out = append(out, status.Alarm{Code: status.AlarmQueue, Red: true, Safe: true, Limit: seconds(l.Queue), Value: f.oldest.Format("02/01 15:04")})
	}
	if f.urgent > 0 {
		out = append(out, status.Alarm{Code: status.AlarmUrgent, Red: true, Safe: true, Limit: seconds(l.ArchiveUrgent), Count: f.urgent})
	}
	if f.late > 0 {
		out = append(out, status.Alarm{Code: status.AlarmLate, Safe: true, Limit: seconds(l.Archive), Count: f.late})
	}
	return out
}

func (l Alarms) judgeDevices(f alarmFacts) (out []status.Alarm) {
	for _, d := range f.devices {
		if d.refused >= int64(l.Refused) {
			out = append(out, status.Alarm{Code: status.AlarmRefused, Safe: true, Device: d.title, Count: d.refused})
		}
		if !d.known {
			continue
		}
		if l.Silent && d.custom.late {
			out = append(out, status.Alarm{Code: status.AlarmSilent, Safe: true, Device: d.title, Value: minuteOf(d.custom.byMinute)})
		}
		if d.custom.clock && d.custom.ahead > l.Clock {
			out = append(out, status.Alarm{Code: status.AlarmClock, Safe: true, Device: d.title, Count: int64(d.custom.ahead / time.Second)})
		}
		if n := d.custom.today.total(); n >= fewStudies {
			if share := 100 * int64(d.custom.today.Fiscal) / n; share > int64(l.Fiscal) {
				out = append(out, status.Alarm{Code: status.AlarmFiscal, Safe: true, Device: d.title, Count: share})
			}
		}
	}
	return out
}

const (
	repositoryAway = time.Hour
	lostFor        = 24 * time.Hour
)

// judgeAudit is about the messages to the facility's audit repository.
func judgeAudit(f alarmFacts) (out []status.Alarm) {
	if f.lost > 0 {
		out = append(out, status.Alarm{Code: status.AlarmAuditLost, Safe: true, Count: f.lost})
	}
	if since := f.audit.Since; f.audit.Error != "" && !since.IsZero() && f.now.Sub(since) >= repositoryAway {
		out = append(out, status.Alarm{Code: status.AlarmAuditAway, Safe: true, Count: f.audit.Waiting, Value: since.In(f.now.Location()).Format("02/01 15:04")})
	}
	return out
}

func (l Alarms) judgeMachine(f alarmFacts) (out []status.Alarm) {
	for _, c := range f.certificates {
		if c.Until.IsZero() {
			continue
		}
		days := int64(c.Until.Sub(f.now) / (24 * time.Hour))
		switch {
		case days < int64(l.CertificateNow):
			out = append(out, status.Alarm{Code: status.AlarmCertNow, Red: true, Safe: true, Count: max(days, 0), Value: "cert:" + c.ID})
		case days < int64(l.CertificateSoon):
			out = append(out, status.Alarm{Code: status.AlarmCertSoon, Safe: true, Count: days, Value: "cert:" + c.ID})
		}
	}
	if f.clock.Known && !f.clock.Synced {
		out = append(out, status.Alarm{Code: status.AlarmTime, Safe: true})
	}
	if f.heat >= l.Heat {
		out = append(out, status.Alarm{Code: status.AlarmHot, Red: true, Safe: true, Count: int64(f.heat)})
	}
	return out
}
