package status

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"time"
)

// Hop is where an instance is on its way; see DESIGN, life of an object.
type Hop string

const (
	Receiving    Hop = "receiving"
	Received     Hop = "received" // safe here
	Sending      Hop = "sending"
	AtHub        Hop = "at_hub"
	Archived     Hop = "archived"
	Held         Hop = "held" // at the hub, before the archive
	InQuarantine Hop = "quarantined"
)

// AllHops lists them in the order of the way, the two by-ways last.
var AllHops = []Hop{Receiving, Received, Sending, AtHub, Archived, Held, InQuarantine}

// Study is one line of /api/v1/studies: a group of instances and how far they
// are. It has no name, no number of a person and no UID (P10, P11).
type Study struct {
	Key       string `json:"key"`      // see StudyKey
	Modality  string `json:"modality"` // CT, MR, ...; "" when the header could not be read
	Device    string `json:"device"`   // calling AE title
	Instances int64  `json:"instances"`
	Bytes     int64  `json:"bytes"`

	FirstReceived time.Time `json:"first_received"`
	LastReceived  time.Time `json:"last_received"`
	AtHubAt       time.Time `json:"at_hub_at,omitzero"`   // when the last instance arrived there
	ArchivedAt    time.Time `json:"archived_at,omitzero"` // when the last instance was confirmed

	Complete bool   `json:"complete"`           // nothing more is expected: see the reasons in spool
	Revision uint32 `json:"revision"`           // how often it was complete; above 1: images came, or were discarded, afterwards
	Expected int64  `json:"expected,omitempty"` // instances that the modality announced; absent: it did not

	Progress *Progress `json:"progress,omitempty"` // only while something of it is still to be sent

	Hops  Hops `json:"hops"`
	State Hop  `json:"state"` // see Hops.State
	Test  bool `json:"test,omitempty"`
}

// Hops counts a study's instances, each once, at the furthest hop it has reached.
type Hops struct {
	Receiving   int64 `json:"receiving"`
	Received    int64 `json:"received"`
	Sending     int64 `json:"sending"`
	AtHub       int64 `json:"at_hub"`
	Archived    int64 `json:"archived"`
	Held        int64 `json:"held"`
	Quarantined int64 `json:"quarantined"`
}

// Total is the number of instances known.
func (h Hops) Total() int64 {
	return h.Receiving + h.Received + h.Sending + h.AtHub + h.Archived + h.Held + h.Quarantined
}

// Reached counts the instances that are at hop or beyond it on the straight
// way. What is held is at the hub and not archived; what is quarantined is
// received, and nothing more is claimed for it.
func (h Hops) Reached(hop Hop) int64 {
	switch hop {
	case Receiving:
		return h.Total()
	case Received:
		return h.Total() - h.Receiving
	case Sending:
		return h.Sending + h.AtHub + h.Archived + h.Held
	case AtHub:
		return h.AtHub + h.Archived + h.Held
	case Archived:
		return h.Archived
	case Held:
		return h.Held
	case InQuarantine:
		return h.Quarantined
	}
	return 0
}

// State of a study: what needs somebody comes first, then the instance that is
// furthest behind decides. One instance that has not been confirmed keeps a
// study of a thousand from being called archived.
func (h Hops) State() Hop {
	switch {
	case h.Quarantined > 0:
		return InQuarantine
	case h.Held > 0:
		return Held
	case h.Receiving > 0:
		return Receiving
	case h.Sending > 0, h.Received > 0 && h.AtHub+h.Archived > 0:
		return Sending
	case h.Received > 0:
		return Received
	case h.AtHub > 0:
		return AtHub
	case h.Archived > 0:
		return Archived
	}
	return Receiving
}

// StudyKey makes the opaque key of a study: the same study has the same key on
// the same appliance, and whoever does not have the appliance's secret cannot
// tell whether a UID that he knows is among those shown.
func StudyKey(secret []byte, studyUID string) string {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(studyUID)) // a hash never returns an error
	return hex.EncodeToString(mac.Sum(nil)[:8])
}
