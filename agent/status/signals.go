package status

import "time"

// Clock is what this machine's kernel says about its own clock.
type Clock struct {
	State         ClockState `json:"state"`
	OffsetSeconds float64    `json:"offset_seconds"` // still to be corrected; 0 where it is not known
	ErrorSeconds  float64    `json:"error_seconds"`  // how far off it may be at most; 0 where it is not known
	Since         time.Time  `json:"since,omitzero"` // when State was first seen; absent: not looked at yet
}

// ClockState says whether the time here is that of others.
type ClockState string

const (
	ClockUnknown ClockState = "unknown" // nobody tells
	ClockSynced  ClockState = "synchronised"
	ClockAlone   ClockState = "not_synchronised" // nothing disciplines it
)

// ClockStates lists all of them.
var ClockStates = []ClockState{ClockUnknown, ClockSynced, ClockAlone}

// Signals are what a monitoring system asks besides Status. Nothing in them is about a
// patient, and no text in them is from the wire: devices are those that are configured.
type Signals struct {
	OldestWaiting time.Time // arrival of the oldest image that is not at the hub; zero: none waits
	StudiesLate   int64     // not archived for longer than alarms.archive after their last image came
	Refused       map[RefusalCode]int64
	Devices       []Device             // configured ones
	Alarms        map[AlarmCode]int64  // open now
	Findings      map[string]int64     // studies here, by cause; the causes are fixed words
	Certificates  map[string]time.Time // ends, by what they are for: dicom, page, syslog
	Clock         Clock
	Audit         AuditMessages
	Logins        Logins
}

// AuditMessages are those to the facility's audit repository.
type AuditMessages struct {
	On      bool
	Waiting int64
	Bytes   int64
	Lost    int64     // since the start
	Failing time.Time // since when none can be sent; zero: they can
}

// Logins are the accounts of the page, since the start.
type Logins struct {
	Good, Failed, Locked int64
}
