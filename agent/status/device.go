package status

import "time"

// Device is one line of /api/v1/devices: a configured modality, or a caller
// that was met and refused.
type Device struct {
	AETitle     string    `json:"ae_title"` // as it calls itself: hostile text when not known, "" when it never said
	Address     string    `json:"address"`  // without port
	Name        string    `json:"name"`     // given by people, may be empty
	Known       bool      `json:"known"`    // configured here
	LastSeen    time.Time `json:"last_seen,omitzero"`
	Stored      int64     `json:"stored"`  // instances
	Refused     int64     `json:"refused"` // associations and instances
	LastRefusal *Refusal  `json:"last_refusal,omitempty"`

	Implementation *Implementation `json:"implementation,omitempty"` // what it says it is; absent when nothing is known
	Negotiation    *Negotiation    `json:"negotiation,omitempty"`    // of its last association, also of one that was refused
}

// RefusalCode says why a device was refused.
type RefusalCode string

const (
	UnknownCalling  RefusalCode = "unknown_calling"   // A-ASSOCIATE-RJ 1/1/3
	WrongCalled     RefusalCode = "wrong_called"      // A-ASSOCIATE-RJ 1/1/7; Detail is what it called
	WrongAddress    RefusalCode = "wrong_address"     // known AE title from another address
	NeedsTLS        RefusalCode = "needs_tls"         // it came without TLS and has to come with it
	NoCertificate   RefusalCode = "no_certificate"    // it came by TLS and showed no certificate
	TLSFailed       RefusalCode = "tls_failed"        // no agreement on TLS: too old a version, or a certificate of somebody else
	TooMany         RefusalCode = "too_many"          // A-ASSOCIATE-RJ 2/3/2
	NoSpace         RefusalCode = "no_space"          // A-ASSOCIATE-RJ 2/3/1 or status A700 (P7)
	NotReady        RefusalCode = "not_ready"         // the spool is stopped (P8)
	NothingInCommon RefusalCode = "nothing_in_common" // no presentation context could be accepted
	NotOffered      RefusalCode = "not_offered"       // an instance, status 0124: the device has no service store
	NotDICOM        RefusalCode = "not_dicom"         // it spoke something else on the DICOM port
	BadData         RefusalCode = "bad_data"          // the protocol was broken in mid-association
)

// RefusalCodes lists all of them.
var RefusalCodes = []RefusalCode{
	UnknownCalling, WrongCalled, WrongAddress, NeedsTLS, NoCertificate, TLSFailed, TooMany, NoSpace, NotReady, NothingInCommon, NotOffered, NotDICOM, BadData,
}

// Refusal is the last one of a device.
type Refusal struct {
	Code   RefusalCode `json:"code"`
	Detail string      `json:"detail,omitempty"` // a value from the wire: hostile text
	At     time.Time   `json:"at"`
}

// EventKind names what has changed.
type EventKind string

const (
	StatusChanged  EventKind = "status"
	StudiesChanged EventKind = "studies"
	DevicesChanged EventKind = "devices"
)

// Event says that something changed, not what: who cares asks again, so a lost
// event costs a refresh and never a wrong number.
type Event struct {
	ID   uint64    `json:"id"` // rising; 0 is allowed
	Kind EventKind `json:"kind"`
	At   time.Time `json:"at"`
}
