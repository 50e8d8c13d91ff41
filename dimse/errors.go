package dimse

import (
	"errors"
	"fmt"
)

// What a caller decides on. All but ErrNoContext and ErrNoRole mean that the association is
// over; what was answered before stays answered.
var (
	// ErrAborted is what every *AbortError is.
	ErrAborted = errors.New("association aborted")
	// ErrReleased means that the peer released the association.
	ErrReleased = errors.New("association released by the peer")
	// ErrLost means that the transport ended without release or abort.
	ErrLost = errors.New("connection lost")
	// ErrTimeout means that the peer made no progress for too long.
	ErrTimeout = errors.New("no progress from the peer")
	// ErrServerClosed is what Serve returns after Shutdown or Close.
	ErrServerClosed = errors.New("server closed")
	// ErrNoContext means that the peer accepted no presentation context for the
	// SOP class in the transfer syntax of the instance. The association lives.
	ErrNoContext = errors.New("no presentation context accepted")
	// ErrNoRole means that the peer refused the role that the operation needs
	// (PS3.7 §D.3.3.4). The association lives.
	ErrNoRole = errors.New("role not accepted")
)

// AbortError says who aborted an association and why.
type AbortError struct {
	ByPeer bool
	Source byte // 0: service user, 2: service provider (PS3.8 §9.3.8)
	Reason byte
	Detail string // what was wrong, when we aborted
}

// The reasons of PS3.8 Table 9-26, with source 2.
const (
	abortNoReason         = 0
	abortUnrecognizedPDU  = 1
	abortUnexpectedPDU    = 2
	abortUnexpectedParam  = 5
	abortInvalidParameter = 6
)

const (
	sourceUser     = 0
	sourceProvider = 2
)

func (e *AbortError) Error() string {
	who := "by us"
	if e.ByPeer {
		who = "by the peer"
	}
	s := fmt.Sprintf("association aborted %s (source %d, reason %d)", who, e.Source, e.Reason)
	if e.Detail != "" {
		s += ": " + e.Detail
	}
	return s
}

// Is makes errors.Is(err, ErrAborted) true.
func (e *AbortError) Is(target error) bool { return target == ErrAborted }

// Reject is an A-ASSOCIATE-RJ: what Admit answers, what Dial returns. The
// meaning of Reason depends on Source (PS3.8 Table 9-21).
type Reject struct {
	Result byte // 1: permanent, 2: transient
	Source byte // 1: service user, 2: provider (ACSE), 3: provider (presentation)
	Reason byte
}

// The rejections that are used.
var (
	RejectNoReason        = Reject{1, 1, 1}
	RejectApplicationName = Reject{1, 1, 2} // application context name not supported
	RejectCalling         = Reject{1, 1, 3} // calling AE title not recognized
	RejectCalled          = Reject{1, 1, 7} // called AE title not recognized
	RejectProtocolVersion = Reject{1, 2, 2}
	RejectCongestion      = Reject{2, 3, 1} // temporary congestion: disk full, overload
	RejectLocalLimit      = Reject{2, 3, 2} // too many associations
)

// pointer returns a copy, so that nobody changes what the names above mean.
func (r Reject) pointer() *Reject { return &r }

// Transient reports whether the peer may try again later.
func (r Reject) Transient() bool { return r.Result == 2 }

// Error makes a Reject the error that Dial returns.
func (r Reject) Error() string {
	kind := "permanently"
	if r.Transient() {
		kind = "for now"
	}
	return fmt.Sprintf("association rejected %s (%d/%d/%d): %s", kind, r.Result, r.Source, r.Reason, r.words())
}

func (r Reject) words() string {
	switch [2]byte{r.Source, r.Reason} {
	case [2]byte{1, 2}:
		return "application context name not supported"
	case [2]byte{1, 3}:
		return "calling AE title not recognized"
	case [2]byte{1, 7}:
		return "called AE title not recognized"
	case [2]byte{2, 2}:
		return "protocol version not supported"
	case [2]byte{3, 1}:
		return "temporary congestion"
	case [2]byte{3, 2}:
		return "local limit exceeded"
	}
	return "no reason given"
}
