package hub

import (
	"time"

	"edged/internal/dicom"
)

// ID is the content address of an instance; see internal/dicom.
type ID = dicom.ID

// Object is what the hub knows of an instance that an appliance offered.
type Object struct {
	ID       ID
	Names    dicom.Names
	Length   int64  // data set bytes, without File Meta
	Study    string // Study Instance UID as the appliance read it, "" when it could not
	Priority uint8  // 0 urgent, 1 routine, 2 backfill
	Device   string // appliance id from its certificate; set by the hub, never by the peer
	Flags    uint32 // findings of the appliance, bit set; see the Flag constants
	Calling  string // AE title of the modality that sent it, may be empty
	Modality string // (0008,0060) as the appliance read it, "" when it could not
}

// Flags of an Object.
const (
	FlagUnreadable uint32 = 1 << iota // the header could not be read: kept and forwarded all the same
	FlagMismatch                      // SOP class or instance in the data set differ from the command
	FlagBadUID                        // a UID is not legal by PS3.5 §9.1
	FlagTest                          // a self-test object: never counted, never archived
	FlagHold                          // a data finding: it waits at the hub until released
)

// Finding is what an appliance noticed in an object that it sends or has sent.
type Finding struct {
	ID    ID
	Flags uint32 // the Flag constants; with FlagHold the object waits until it is released
	Words string
}

// Confirmation says that all required destinations hold the object.
type Confirmation struct {
	ID     ID
	Length int64
	At     time.Time
}
