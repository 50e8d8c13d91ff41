package status

import (
	"slices"
	"time"
)

// AlarmCode names what an alarm is about; the page has its words: alarm.CODE (what),
// alarm.CODE.step1 to step3 (what to do).
type AlarmCode string

const (
	AlarmSpool      AlarmCode = "spool"       // red: nothing is received: the disk fails, is full, or its key is gone
	AlarmDamage     AlarmCode = "damage"      // red: Count images are damaged here, and no other copy is known
	AlarmSpace1     AlarmCode = "space_1"     // red: the disk is full in less than Limit (a day) at the present rate
	AlarmSpace3     AlarmCode = "space_3"     // in less than Limit (three days)
	AlarmSpaceLow   AlarmCode = "space_low"   // the disk has little room left, or an image was refused for want of it
	AlarmQueue      AlarmCode = "queue"       // red: the oldest image waits here for more than Limit (an hour); Value: since when
	AlarmLate       AlarmCode = "late"        // Count studies were not archived within Limit (half an hour)
	AlarmUrgent     AlarmCode = "urgent"      // red: Count urgent studies were not archived within Limit (a minute)
	AlarmSilent     AlarmCode = "silent"      // Device has sent nothing today, and always had by this time; Value: by when
	AlarmRefused    AlarmCode = "refused"     // Device was refused Count times within the hour
	AlarmClock      AlarmCode = "clock"       // Device's clock is ahead by Count seconds
	AlarmFiscal     AlarmCode = "fiscal"      // of Device's studies today, Count per cent have no valid codice fiscale
	AlarmCertSoon   AlarmCode = "cert_30"     // the certificate Value ends in Count days
	AlarmCertNow    AlarmCode = "cert_7"      // red: the same, within a week
	AlarmTime       AlarmCode = "time"        // this appliance's clock is not synchronised
	AlarmEnrolment  AlarmCode = "enrolment"   // red: no certificate, so nothing can be sent
	AlarmHeld       AlarmCode = "held"        // Count images are held back before the archive
	AlarmQuarantine AlarmCode = "quarantined" // red: Count images wait for somebody's decision
	AlarmHot        AlarmCode = "hot"         // red: the hottest part of the machine has Count degrees
	AlarmAuditAway  AlarmCode = "audit_away"  // the facility's audit repository has taken nothing for an hour; Count messages wait; Value: since when
	AlarmAuditLost  AlarmCode = "audit_lost"  // Count messages to it are lost, the last of them within a day
)

// AlarmCodes lists all of them, what is worst first.
var AlarmCodes = []AlarmCode{AlarmSpool, AlarmDamage, AlarmSpace1, AlarmQueue, AlarmUrgent, AlarmQuarantine, AlarmEnrolment, AlarmCertNow, AlarmHot,
	AlarmLate, AlarmSilent, AlarmRefused, AlarmSpace3, AlarmSpaceLow, AlarmHeld, AlarmFiscal, AlarmClock, AlarmTime, AlarmAuditLost, AlarmAuditAway, AlarmCertSoon}

// Alarm is something that somebody should or must do something about. It clears itself
// when it is over.
type Alarm struct {
	ID      string    `json:"id"`
	Code    AlarmCode `json:"code"`
	Device  string    `json:"device,omitempty"` // AE title of the device that it is about
	Count   int64     `json:"count,omitempty"`
	Value   string    `json:"value,omitempty"` // a figure for the sentence, never about a person
	Limit   int64     `json:"limit,omitempty"` // seconds: from where the configuration has an alarm, for those about a time
	Red     bool      `json:"red"`             // somebody must act; otherwise should
	Safe    bool      `json:"safe"`            // the images here are safe all the same
	Since   time.Time `json:"since"`
	Until   time.Time `json:"until,omitzero"` // when it was over; zero: it is open
	AckedAt time.Time `json:"acked_at,omitzero"`
	AckedBy string    `json:"acked_by,omitempty"` // account
}

// toldBy are the reasons of the state that say what an alarm says. An alarm without any
// has none of its own.
var toldBy = map[AlarmCode][]ReasonCode{
	AlarmSpool:      {SpoolFailed, SpoolFull, KeyMissing},
	AlarmDamage:     {Lost},
	AlarmSpace1:     {SpoolFull, SpaceLow, NoRoom},
	AlarmSpace3:     {SpoolFull, SpaceLow, NoRoom},
	AlarmSpaceLow:   {SpoolFull, SpaceLow, NoRoom},
	AlarmQueue:      {LinkDown, Unenrolled, CertEnded, BacklogStuck, Paused},
	AlarmUrgent:     {LinkDown, Unenrolled, CertEnded, BacklogStuck, Paused, ArchiveLate},
	AlarmLate:       {LinkDown, Unenrolled, CertEnded, BacklogStuck, Paused, ArchiveLate},
	AlarmRefused:    {UnknownCallers},
	AlarmFiscal:     {ToFix},
	AlarmEnrolment:  {Unenrolled, CertEnded},
	AlarmHeld:       {HeldBack},
	AlarmQuarantine: {Quarantined},
}

// untold counts the open alarms that nobody has seen and no reason tells.
func untold(open []Alarm, reasons []Reason) (n int64) {
	for _, a := range open {
		by := toldBy[a.Code]
		if a.Value == "cert:uplink" {
			by = []ReasonCode{CertEnds, CertEnded, Unenrolled}
		}
		if a.Fresh() && !slices.ContainsFunc(reasons, func(r Reason) bool { return slices.Contains(by, r.Code) }) {
			n++
		}
	}
	return n
}

// Fresh says that it is open, and that nobody has taken it in charge.
func (a Alarm) Fresh() bool { return a.Until.IsZero() && a.AckedAt.IsZero() }
