package status

import "time"

// State is the answer to the only question that everybody asks. There are
// exactly four; a page without contact to the appliance shows none of them.
type State string

const (
	OK         State = "ok"          // images arrive and leave; without a hub (Shadow) they arrive and are kept
	CatchingUp State = "catching_up" // what is not as it should be passes without anybody's help
	Attention  State = "attention"   // somebody should look; images are still received
	Stopped    State = "stopped"     // images do not leave, or cannot be received
)

// States lists all four, best first.
var States = []State{OK, CatchingUp, Attention, Stopped}

// Status is the body of /api/v1/status.
type Status struct {
	State   State    `json:"state"`
	Reasons []Reason `json:"reasons"` // why, most important first; empty when all is well

	Counters Counters `json:"counters"`
	Findings Findings `json:"findings"`
	Spool    Spool    `json:"spool"`
	Uplink   Uplink   `json:"uplink"`
	DICOM    DICOM    `json:"dicom"`

	// SpoolUnknown: the spool is not open, because it is being read after a start, has failed, or
	// its key is missing. Then nobody knows Counters, Findings, Spool, the backlog and when the
	// last instance came or was archived: they are zero here and mean nothing.
	SpoolUnknown bool        `json:"spool_unknown,omitempty"`
	Recovering   *Recovering `json:"recovering,omitempty"` // only while the spool is being read after a start

	Facility  Facility  `json:"facility"`
	AETitle   string    `json:"ae_title"` // what modalities call
	Version   string    `json:"version"`
	StartedAt time.Time `json:"started_at"`
	At        time.Time `json:"at"` // when these values were gathered

	Warnings       []Warning `json:"warnings"`
	LastReceivedAt time.Time `json:"last_received_at,omitzero"`
	LastArchivedAt time.Time `json:"last_archived_at,omitzero"`

	CertificateUntil time.Time `json:"certificate_until,omitzero"` // end of the certificate that hubs are called with; absent: there is none

	Clock Clock `json:"clock"`
}

// Counters are for the life of the data directory, not of the process. Objects
// of self-tests are not counted.
type Counters struct {
	Received    int64 `json:"received"`
	AtHub       int64 `json:"at_hub"`
	Archived    int64 `json:"archived"`
	Refused     int64 `json:"refused"`     // instances answered with a failure, and refused associations
	Quarantined int64 `json:"quarantined"` // ever; Spool.Quarantined says how many are there now
	Discarded   int64 `json:"discarded"`   // deleted here by somebody with a name and a reason (P2)
}

// Findings count what was noticed about instances that were received and sent on
// as they are, for the life of the data directory.
type Findings struct {
	Unreadable int64 `json:"unreadable"` // the header could not be read
	Conflicts  int64 `json:"conflicts"`  // here now, with a SOP Instance UID that another one with other contents has too (P5)
}

// Spool is what is on this appliance's disk now.
type Spool struct {
	Objects   int64 `json:"objects"`
	Bytes     int64 `json:"bytes"`
	FreeBytes int64 `json:"free_bytes"` // what the spool may still take, reserve excluded

	DaysLeft    *float64 `json:"days_left"`   // until it is full, if images come as in the last 24 hours of running and none leave; null: not known
	Quarantined int64    `json:"quarantined"` // set aside and waiting for a decision, now; Counters.Quarantined says how many ever

	Unfinished int64  `json:"unfinished"` // files that a power cut left half written; never acknowledged unless the disk lies
	Damage     Damage `json:"damage"`
	Scrub      Scrub  `json:"scrub"`
}

// Damage counts the images whose bytes here are not what was stored, or gone (P14).
type Damage struct {
	HubHasCopy  int64 `json:"hub_has_copy"`  // the hub, or the archive, has said that it has them
	NoOtherCopy int64 `json:"no_other_copy"` // nobody has: to be sent again from the modality
}

// Scrub is how far the spool has got with reading all its images again.
type Scrub struct {
	Position uint64    `json:"position"` // the last one read, by its number in the order of arrival
	Objects  int64     `json:"objects"`  // read since the start
	Bytes    int64     `json:"bytes"`
	Damaged  int64     `json:"damaged"`            // found since the start
	PassedAt time.Time `json:"passed_at,omitzero"` // when it last had read all of them; absent: not yet
}

// Recovering is how much of the spool has been read after a start.
type Recovering struct {
	Done  int64 `json:"done"`
	Total int64 `json:"total"`
}

// DICOM is the receiving side.
type DICOM struct {
	Associations int64  `json:"associations"`        // open now
	Ready        bool   `json:"ready"`               // a C-STORE sent now would be accepted
	NotReady     string `json:"not_ready,omitempty"` // one line, why not

	Commitments Commitments `json:"commitments"`
}

// Commitments are storage commitment requests that have not been answered yet.
type Commitments struct {
	Requests  int64 `json:"requests"`
	Instances int64 `json:"instances"` // that they ask for
	Unreached int64 `json:"unreached"` // requests whose result the device could not be told when that was tried last, or cannot be told at all
}

// Facility is where the appliance stands.
type Facility struct {
	Code string `json:"code"`
	Name string `json:"name"`
}

// ReasonCode says why a state is what it is.
type ReasonCode string

const (
	SpoolFailed    ReasonCode = "spool_failed"      // stopped: the disk refused a write or a flush (P8)
	KeyMissing     ReasonCode = "key_missing"       // stopped: nothing here opens what is on the disk: its key is gone, or another one
	SpoolFull      ReasonCode = "spool_full"        // stopped: new images are refused (P7)
	LinkDown       ReasonCode = "link_down"         // stopped with a backlog, attention without
	BacklogStuck   ReasonCode = "backlog_stuck"     // attention: connected, but nothing moves
	Unenrolled     ReasonCode = "not_enrolled"      // attention at once, stopped when images wait for long: no certificate
	CertEnded      ReasonCode = "certificate_ended" // attention at once, stopped when images wait for long
	CertEnds       ReasonCode = "certificate_ends"  // attention: in Count days, and it was not renewed
	Lost           ReasonCode = "lost"              // attention: Count received images are damaged or gone here, and no other copy is known (P14)
	Damaged        ReasonCode = "damaged"           // attention: Count images are damaged or gone here; the hub has a good copy (P14)
	HeldBack       ReasonCode = "held"              // attention: Count images were refused, or kept back, before the archive (P5)
	Quarantined    ReasonCode = "quarantined"       // attention: Count images need somebody
	Mismatched     ReasonCode = "mismatched"        // attention: Count images are good here and arrive damaged at the hub again and again
	Unread         ReasonCode = "unread"            // attention: the disk does not give Count images now, which is no damage
	RefusedByHub   ReasonCode = "refused_by_hub"    // attention: the hub refuses Count images as they are
	HubDoubted     ReasonCode = "hub_doubted"       // attention: a node of the hub is, or lately was, left alone: not believed, or it took no images
	Paused         ReasonCode = "paused"            // attention: somebody paused sending; it goes on by itself at Uplink.PausedUntil
	UnknownCallers ReasonCode = "unknown_callers"   // attention: Count devices were refused lately
	ToFix          ReasonCode = "to_fix"            // attention: Count studies of the last seven days have data to be corrected, and nobody has seen to them
	ArchiveLate    ReasonCode = "archive_late"      // attention: at the hub, not confirmed for long
	DevicesUnread  ReasonCode = "devices_unread"    // attention: the list of devices admitted on the page could not be read whole; some may be refused
	SpaceLow       ReasonCode = "space_low"         // attention: the spool is nearly full
	NoRoom         ReasonCode = "no_room"           // attention: an image was refused lately because it did not fit, and stays on its device
	Alarms         ReasonCode = "alarms"            // attention: Count alarms are open that nobody has seen yet and no other reason tells
	Starting       ReasonCode = "starting"          // catching up: the spool is being read after a start; nothing is received yet
	LinkAway       ReasonCode = "link_away"         // catching up: the line went a short time ago
	Backlog        ReasonCode = "backlog"           // catching up: Count images wait and move
	Shadow         ReasonCode = "shadow"            // no hub is configured: receives and keeps only
)

// ReasonCodes lists all of them.
var ReasonCodes = []ReasonCode{
	SpoolFailed, KeyMissing, SpoolFull, LinkDown, Unenrolled, CertEnded, BacklogStuck, Lost, Damaged, HeldBack, Quarantined,
	Mismatched, Unread, RefusedByHub, HubDoubted,
	Paused, UnknownCallers, ToFix, CertEnds, ArchiveLate, NoRoom, DevicesUnread, SpaceLow, Alarms, Starting, LinkAway, Backlog, Shadow,
}

// Reason is a code and, where there is something to count, how many.
type Reason struct {
	Code  ReasonCode `json:"code"`
	Count int64      `json:"count,omitempty"`
}

// Warning is a setting or condition that stays true until somebody changes it.
// A warning is always shown and never changes the state: a colour that cannot
// be made to go away is soon not seen any more.
type Warning string

const (
	KeepHub          Warning = "keep_hub"          // images are forgotten when the hub has them (P2)
	UnsafeFilesystem Warning = "unsafe_filesystem" // allow_unsafe_filesystem: P1 is not proved on this disk
	ConfirmSuccess   Warning = "confirm_success"   // the hub takes a C-STORE Success for archived
	AcceptUnknown    Warning = "accept_unknown"    // any calling AE title may store
	NotEnrolled      Warning = "not_enrolled"      // no certificate: nothing can be sent
	ShadowMode       Warning = "shadow_mode"       // no hub configured: receive and keep only
	Unencrypted      Warning = "unencrypted"       // the spool is not encrypted
	NotRecoverable   Warning = "not_recoverable"   // no recovery key is known: when this appliance's keys are lost, so are its images
)

// Warnings lists all of them.
var Warnings = []Warning{
	KeepHub, UnsafeFilesystem, ConfirmSuccess, AcceptUnknown, NotEnrolled, ShadowMode, Unencrypted, NotRecoverable,
}
