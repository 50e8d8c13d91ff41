package uplink

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"edged/internal/dicom"
	"edged/uplink/wire"
)

// Object is what the uplink needs to know of an instance.
type Object struct {
	ID       dicom.ID
	Names    dicom.Names
	Length   int64  // data set bytes
	Study    string // Study Instance UID, "" when unknown
	Calling  string // AE title of the modality
	Modality string // (0008,0060), "" when unknown
	Priority uint8  // wire.Urgent, wire.Routine, wire.Backfill
	Flags    uint32 // findings, see hub.Object
	Found    string // why it is to wait at the hub, see doc.go; "": nothing is said. No value that names a person
}

// Source lends objects. Its methods are called from several goroutines.
type Source interface {
	// Lease blocks until there is an object whose Priority is at most worst
	// (at least that urgent), most urgent first, and lends it. The lease ends
	// with Return, Keeper.AtHub or Keeper.Archived. When ctx ends nothing is lent.
	// worst is wire.Backfill while there is room for anything, wire.Urgent
	// while the window is full of less urgent ones.
	Lease(ctx context.Context, worst uint8) (Object, error)

	// Open reads the data set from offset to its end. The reader returns an
	// error that wraps ErrCorrupt instead of io.EOF (or earlier) when what is on disk does
	// not have the object's digest (P14); the last chunk is not sent before
	// io.EOF was seen. At offset 0 it reads everything.
	Open(ctx context.Context, o Object, offset int64) (io.ReadCloser, error)

	// Return gives a lease back, why says for what reason: the connection was
	// lost (ErrLost), the hub is busy (ErrBusy, Retry tells when), the copy is damaged
	// (ErrCorrupt: the object is to be quarantined). A *RestError tells for how long the
	// object is to rest and why, and accuses nobody: it stays one of those to be sent.
	// It does not block long.
	Return(o Object, why error)
}

// Keeper keeps what the hub said. What it is told is durable when a method
// returns nil; after an error the connection is closed and the hub says it
// again. AtHub and Archived are called from one goroutine for each connection,
// in the order in which the hub spoke, and may repeat what is known already.
type Keeper interface {
	// Meet is called once for each connection, before anything is leased. When
	// l differs from what Meet or never heard before, or asked is true (the hub
	// asked for it), everything not archived is to be leased again.
	Meet(ctx context.Context, l Ledger, asked bool) error

	// AtHub: the hub holds these objects durably. All of them were leased here.
	AtHub(ctx context.Context, receipts []Receipt) error

	// Archived: every required destination holds these. On one connection the
	// receipt comes first; on another lane it may still be on its way. An object
	// that no receipt of the same ledger was kept for is not archived by this: its ID is
	// returned in an *EarlyError, and the hub says it again after a while. What is not known with
	// this ID and length changes nothing and is no error.
	Archived(ctx context.Context, confirmations []Confirmation) error

	// Trouble: destinations refuse these.
	Trouble(ctx context.Context, troubles []Trouble) error

	// Lost: the hub no longer has these, though it gave receipts. What is here
	// and not archived is to be leased again; all else changes nothing and is no
	// error.
	Lost(ctx context.Context, ids []dicom.ID) error
}

// Ledger names the rows at the hub that remember receipts.
type Ledger struct {
	ID         string
	Generation uint64
}

// Receipt names an object that is durable at the hub.
type Receipt struct {
	ID     dicom.ID
	Length int64
	Ledger string // ID of the one in which it is
}

// Confirmation names an object that is archived.
type Confirmation struct {
	ID     dicom.ID
	Length int64
	At     time.Time // by the hub's clock, for people only
	Ledger string    // ID of the one that says so
}

// Trouble is what a destination says about an object that it refuses.
type Trouble struct {
	ID          dicom.ID
	Destination string
	Permanent   bool
	Words       string
}

// Reasons given to Source.Return, and by Source.Open's reader.
var (
	ErrCorrupt  = errors.New("the copy on this disk does not have its digest")
	ErrBusy     = errors.New("the hub is busy")
	ErrRefused  = errors.New("the hub refuses the offer")
	ErrMismatch = errors.New("what arrived at the hub did not have the digest, though the copy here is good")
	ErrLost     = errors.New("the connection to the hub ended")
)

// EarlyError names objects whose confirmation cannot be believed yet; all others
// of the call are kept.
type EarlyError struct{ IDs []dicom.ID }

// Error implements error.
func (e *EarlyError) Error() string {
	return fmt.Sprintf("%d objects are said to be archived that have no receipt yet", len(e.IDs))
}

// BusyError is an ErrBusy with the pause that the hub asks for.
type BusyError struct{ Retry time.Duration }

// Error implements error.
func (e *BusyError) Error() string {
	return ErrBusy.Error() + ", asks for a pause of " + e.Retry.String()
}

// Is makes a BusyError an ErrBusy.
func (e *BusyError) Is(target error) bool { return target == ErrBusy }

// WhyCode says why a carrier was chosen. Figures that belong to it are in Carriers.
type WhyCode string

// The reasons.
const (
	WhyConfigured WhyCode = "configured"  // transport names it
	WhyFirst      WhyCode = "first"       // it answered first, and nothing was compared yet
	WhyFaster     WhyCode = "faster"      // it carried clearly more
	WhyClose      WhyCode = "close"       // both carry about the same: QUIC is preferred
	WhyUDPBlocked WhyCode = "udp_blocked" // only TCP gets through
	WhyTCPBlocked WhyCode = "tcp_blocked" // only UDP gets through
	WhyProxy      WhyCode = "proxy"       // only a proxy leads out, and it carries TCP
)

// CarrierStatus is how a carrier does on this line.
type CarrierStatus struct {
	Name                 string // "quic" or "tcp"
	Lanes                int    // connected now
	GoodputBitsPerSecond int64  // data set bits when it last was measured under load; zero: never
	MeasuredAt           time.Time
	RTT                  time.Duration
	Sent, Lost           uint64 // packets of the connected lanes
	MTU                  int
	Congestion           string
	LastError            string // why its last connection ended or could not be made
}

// Status is a snapshot for people and metrics.
type Status struct {
	Connected         bool
	Transport         string    // "quic", "tcp" or "none"
	Hub               string    // address of the node in use or last tried
	Since             time.Time // of Connected or of its loss; zero: never
	RTT               time.Duration
	RateBitsPerSecond int64     // data set bits sent, over the last seconds
	BytesSent         int64     // data set bytes since the start
	WireBytes         int64     // the same with what carries them, as the cap counts it; what was lost and repeated is not in
	CapBitsPerSecond  int64     // in force now; zero: unlimited
	CapUntil          time.Time // when the schedule brings another; zero: not within a week
	CapBackfill       int64     // of these for backfill, in force now; zero: no cap of its own
	PausedUntil       time.Time // zero: objects are sent

	RatePerClass [wire.Classes]int64 // of RateBitsPerSecond: urgent, routine, backfill

	AtHub       int64   // receipts believed since the start
	InFlight    int     // offers without an end
	NotBelieved int64   // statements of a hub that were not believed: either it is broken or you are under attack
	Lanes       int     // connected ones
	Why         string  // this carrier, in a sentence
	WhyCode     WhyCode // the same, to be said in another language
	Carriers    []CarrierStatus
	UDPOpen     *bool     // nil: not known yet
	Switches    int64     // changes of carrier since the start
	Connects    int64     // connections made since the start
	LastError   string    // why the last connection ended or could not be made
	SetAside    []string  // nodes left alone now: not believed, or nothing could be left with them
	DoubtedAt   time.Time // when a node was last set aside, or left for another one because of what it said; zero: never
}
