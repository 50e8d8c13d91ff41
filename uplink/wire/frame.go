package wire

import (
	"edged/internal/dicom"
)

// ALPN is the protocol's name in the TLS handshake (RFC 7301), the same on
// every carrier.
const ALPN = "edged/1"

// Version is the only version of the frames so far.
const Version = 1

// The bounds of a frame. A reader refuses what exceeds them.
const (
	MaxHeader = 4 << 10   // bytes of CBOR header
	MaxBody   = 256 << 10 // bytes of body
	MaxItems  = 4096      // items of a list in one body
)

// Priorities of an object.
const (
	Urgent   uint8 = 0
	Routine  uint8 = 1
	Backfill uint8 = 2
	Classes        = 3
)

// Type says what a frame is.
type Type uint16

// The types. Numbers are never given to another meaning.
const (
	TypeHello       Type = 1
	TypeWelcome     Type = 2
	TypeOffer       Type = 3
	TypeHave        Type = 4
	TypePut         Type = 5
	TypeReceipt     Type = 6
	TypeArchived    Type = 7
	TypeArchivedAck Type = 8
	TypeStudy       Type = 9
	TypeFindings    Type = 10
	TypeTrouble     Type = 11
	TypeRelease     Type = 12
	TypeAgain       Type = 13
	TypeBye         Type = 14
	TypeProbe       Type = 15
	TypeEcho        Type = 16
	TypeStudyAck    Type = 17
)

// Frame is one of the frames below, always by pointer.
type Frame interface{ Type() Type }

// ID is an object's ID as it stands on the wire: exactly 32 bytes. It converts
// from and to dicom.ID.
type ID dicom.ID

// String is the ID in hexadecimal.
func (id ID) String() string { return dicom.ID(id).String() }

// Hello is the appliance's first frame on the control stream.
type Hello struct {
	Versions []uint16 `cbor:"1,keyasint"`
	Boot     []byte   `cbor:"2,keyasint"` // changes with each start of the appliance, at most 64 bytes
	DataDir  []byte   `cbor:"3,keyasint"` // stays with the data directory: two of them behind one certificate are a clone; at most 64 bytes
	Software string   `cbor:"4,keyasint,omitempty"`
}

// Welcome is the hub's first frame. Before it nothing is offered.
type Welcome struct {
	Version    uint16 `cbor:"1,keyasint"`
	Ledger     string `cbor:"2,keyasint"` // which ledger issued receipts, at most 64 bytes
	Generation uint64 `cbor:"3,keyasint"` // rises when the ledger was restored: offer everything not archived again
	MaxObjects uint32 `cbor:"4,keyasint"` // offers without an end that the hub accepts on this connection, for each priority
	MaxBytes   int64  `cbor:"5,keyasint"` // and their bytes; one object is always welcome
	Software   string `cbor:"6,keyasint,omitempty"`
}

// Offer announces objects. It may be paged and repeated.
type Offer struct{ Objects []Object }

// Object is one offered instance.
type Object struct {
	Number         uint64 `cbor:"1,keyasint"` // of this offer, never used twice on a connection
	ID             ID     `cbor:"2,keyasint"`
	TransferSyntax string `cbor:"3,keyasint"`
	SOPClass       string `cbor:"4,keyasint"`
	SOPInstance    string `cbor:"5,keyasint"`
	Length         int64  `cbor:"6,keyasint"` // data set bytes
	Study          string `cbor:"7,keyasint,omitempty"`
	Calling        string `cbor:"8,keyasint,omitempty"`
	Priority       uint8  `cbor:"9,keyasint,omitempty"`
	Flags          uint32 `cbor:"10,keyasint,omitempty"`
	Modality       string `cbor:"11,keyasint,omitempty"` // (0008,0060)
}

// Names are the object's three UIDs.
func (o Object) Names() dicom.Names {
	return dicom.Names{TransferSyntax: o.TransferSyntax, SOPClass: o.SOPClass, SOPInstance: o.SOPInstance}
}

// Have answers offers.
type Have struct{ Answers []Answer }

// Answer says from which data set byte the hub wants the object, or that it
// needs no bytes because a receipt exists or is on its way.
type Answer struct {
	Number uint64 `cbor:"1,keyasint"`
	ID     ID     `cbor:"2,keyasint"`
	Offset int64  `cbor:"3,keyasint,omitempty"`
	All    bool   `cbor:"4,keyasint,omitempty"`
}

// Put carries data set bytes of an offered object.
type Put struct {
	Number uint64 `cbor:"1,keyasint"`
	Offset int64  `cbor:"2,keyasint,omitempty"`
	Body   []byte `cbor:"-"`
}

// Receipt says that objects are durable at the hub.
type Receipt struct{ Receipts []Received }

// Received names one durable object.
type Received struct {
	ID     ID    `cbor:"1,keyasint"`
	Length int64 `cbor:"2,keyasint"`
}

// Archived says that every required destination has confirmed objects. It is
// repeated, on this connection or another, until acknowledged.
type Archived struct{ Confirmations []Confirmed }

// Confirmed names one archived object.
type Confirmed struct {
	Seq    uint64 `cbor:"1,keyasint"` // the hub's number of this confirmation
	ID     ID     `cbor:"2,keyasint"`
	Length int64  `cbor:"3,keyasint"`
	At     int64  `cbor:"4,keyasint"` // milliseconds since 1970, for people only
}

// ArchivedAck says that what the sequence numbers name is durable at the
// appliance.
type ArchivedAck struct {
	Of   uint8 // AckArchived or AckTrouble
	Seqs []uint64
}

// What an ArchivedAck acknowledges.
const (
	AckArchived uint8 = 0
	AckTrouble  uint8 = 1
)

// Study tells the hub about a study as the appliance sees it.
type Study struct {
	UID   string
	State uint8 // StudyOpen, StudyComplete, StudyChanged
	Count uint32
	IDs   []ID // may be paged: Count is the whole

	Revision uint32 // 1, 2, ... in the life of the study at the appliance; 0: not to be acknowledged
	Found    string // what is wrong with its data, in codes; see package uplink
}

// StudyAck says that what a Study said is durable at the hub.
type StudyAck struct {
	UID      string `cbor:"1,keyasint"`
	Revision uint32 `cbor:"2,keyasint"`
}

// States of a Study.
const (
	StudyOpen     uint8 = 0
	StudyComplete uint8 = 1
	StudyChanged  uint8 = 2
)

// Findings tells what the appliance noticed in objects that it offers or has offered.
type Findings struct{ Findings []Finding }

// Finding is one of them.
type Finding struct {
	ID    ID     `cbor:"1,keyasint"`
	Flags uint32 `cbor:"2,keyasint"`
	Words string `cbor:"3,keyasint,omitempty"`
}

// Trouble names objects that do not go on, in both directions.
type Trouble struct{ Problems []Problem }

// Problem is one object's trouble.
type Problem struct {
	Seq         uint64 `cbor:"1,keyasint,omitempty"` // of the hub's outbox, to be acknowledged; 0: not from there
	ID          ID     `cbor:"2,keyasint"`
	Kind        uint8  `cbor:"3,keyasint"` // ProblemDestination and so on
	Destination string `cbor:"4,keyasint,omitempty"`
	Permanent   bool   `cbor:"5,keyasint,omitempty"`
	Words       string `cbor:"6,keyasint,omitempty"` // the archive's own
}

// Kinds of Problem.
const (
	ProblemDestination uint8 = 0 // a destination refuses the object (hub to appliance)
	ProblemDigest      uint8 = 1 // the bytes that arrived do not have the ID (hub to appliance)
	ProblemCopy        uint8 = 2 // the appliance's own copy is damaged, its offer ends (appliance to hub)
	ProblemOffer       uint8 = 3 // the offer cannot be accepted as it is (hub to appliance)
	ProblemLost        uint8 = 4 // the hub lost what it had a receipt for: offer it again (hub to appliance)
	ProblemWithdrawn   uint8 = 5 // the appliance cannot read its copy now, its offer ends; what is at the hub stays (appliance to hub)
)

// Release ends the hold of objects before the archive (P5).
type Release struct {
	Reason string
	IDs    []ID
}

// Again ends offers without a receipt: the hub asks to be offered the objects
// once more, after a while. No IDs, and lost: everything not archived. No IDs, and
// busy: nothing but what is urgent before that.
type Again struct {
	Reason      uint8 // AgainBusy, AgainLost, AgainShort
	AfterMillis uint32
	IDs         []ID
}

// Bye is the last frame before a connection over TCP is closed; over QUIC the same
// code travels in the carrier's own CONNECTION_CLOSE (RFC 9000 §19.19).
type Bye struct {
	Code   uint64 `cbor:"1,keyasint"`
	Reason string `cbor:"2,keyasint,omitempty"`
}

// Codes of a Bye and of a QUIC application error.
const (
	ByeDone        uint64 = 0
	ByeProtocol    uint64 = 1 // a frame broke the protocol
	ByeBusy        uint64 = 2 // not now, or not admitted
	ByeInternal    uint64 = 3
	ByeReplaced    uint64 = 4 // by a newer connection
	ByeNotBelieved uint64 = 5
	ByeLeaving     uint64 = 6 // this node of the hub ends or has lost the rows: go to another one now
)

// Probe is padding whose arrival is answered with an Echo (line test).
type Probe struct {
	Number uint64 `cbor:"1,keyasint"`
	Body   []byte `cbor:"-"`
}

// Echo says how far the Probes of this connection have come.
type Echo struct {
	Number uint64 `cbor:"1,keyasint"` // of the last Probe that came
	Bytes  int64  `cbor:"2,keyasint"` // of the bodies of all Probes so far
}

// Reasons of an Again.
const (
	AgainBusy uint8 = 0 // no space or too much at once
	AgainLost uint8 = 1 // the hub lost what it had

	// AgainShort is with IDs: all appliances together have offered more than there is
	// room for. Nothing is wrong with these. Who does not know it takes it for busy.
	AgainShort uint8 = 2
)

// Type implements Frame.
func (*Hello) Type() Type       { return TypeHello }
func (*Welcome) Type() Type     { return TypeWelcome }
func (*Offer) Type() Type       { return TypeOffer }
func (*Have) Type() Type        { return TypeHave }
func (*Put) Type() Type         { return TypePut }
func (*Receipt) Type() Type     { return TypeReceipt }
func (*Archived) Type() Type    { return TypeArchived }
func (*ArchivedAck) Type() Type { return TypeArchivedAck }
func (*Study) Type() Type       { return TypeStudy }
func (*Findings) Type() Type    { return TypeFindings }
func (*Trouble) Type() Type     { return TypeTrouble }
func (*Release) Type() Type     { return TypeRelease }
func (*Again) Type() Type       { return TypeAgain }

// Type implements Frame.
func (*Bye) Type() Type   { return TypeBye }
func (*Probe) Type() Type { return TypeProbe }
func (*Echo) Type() Type  { return TypeEcho }

// Type implements Frame.
func (*StudyAck) Type() Type { return TypeStudyAck }
