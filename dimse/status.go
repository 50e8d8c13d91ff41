package dimse

import "fmt"

// Status is the outcome of a DIMSE operation as it stands in (0000,0900).
type Status uint16

// The statuses of the Storage and Verification services (PS3.4 §B.2.3, PS3.7
// Annex C) that this package or its users answer with.
const (
	StatusSuccess                 Status = 0x0000
	StatusInvalidValue            Status = 0x0106 // of an attribute
	StatusProcessingFailure       Status = 0x0110 // what went wrong fits nothing else
	StatusDuplicateInstance       Status = 0x0111
	StatusNoSuchInstance          Status = 0x0112
	StatusNoSuchEvent             Status = 0x0113
	StatusInvalidArgument         Status = 0x0115 // of an action or event
	StatusInvalidInstance         Status = 0x0117 // the SOP Instance UID is missing or not acceptable
	StatusNoSuchClass             Status = 0x0118
	StatusMissingAttribute        Status = 0x0120
	StatusMissingValue            Status = 0x0121 // of an attribute that must have one
	StatusSOPClassNotSupported    Status = 0x0122
	StatusNoSuchAction            Status = 0x0123
	StatusNotAuthorized           Status = 0x0124
	StatusDuplicateTransaction    Status = 0x0131 // of a commitment, with other instances
	StatusDuplicateInvocation     Status = 0x0210 // of a request that comes while the C-GET of the same message ID is under way
	StatusUnrecognizedOperation   Status = 0x0211
	StatusMistypedArgument        Status = 0x0212
	StatusResourceLimitation      Status = 0x0213
	StatusOutOfResources          Status = 0xA700 // transient: the peer may send the instance again later
	StatusCannotCount             Status = 0xA701 // retrieve: the number of matches cannot be told
	StatusCannotMove              Status = 0xA702 // retrieve: the sub-operations cannot be performed
	StatusUnknownDestination      Status = 0xA801 // C-MOVE: no such move destination
	StatusDataSetDoesNotMatch     Status = 0xA900 // data set does not match SOP class, refused
	StatusCoercion                Status = 0xB000 // warning: stored, elements were changed
	StatusElementsDiscarded       Status = 0xB006 // warning: stored, elements were left out
	StatusDataSetDoesNotMatchWarn Status = 0xB007 // warning: stored, data set does not match SOP class
	StatusCannotUnderstand        Status = 0xC000
	StatusCancel                  Status = 0xFE00
	StatusPending                 Status = 0xFF00
	StatusPendingWarning          Status = 0xFF01
)

// IsSuccess reports whether the operation was done without reservation.
func (s Status) IsSuccess() bool { return s == StatusSuccess }

// IsWarning reports whether the operation was done, with a reservation (PS3.7 §C.3).
func (s Status) IsWarning() bool {
	return s == 0x0001 || s>>12 == 0xB || s == 0x0107 || s == 0x0116
}

// IsPending reports whether more responses follow (PS3.7 §C.1.3).
func (s Status) IsPending() bool { return s == StatusPending || s == StatusPendingWarning }

// IsCancel reports whether the operation ended because it was cancelled.
func (s Status) IsCancel() bool { return s == StatusCancel }

// IsFailure reports whether the operation was not done.
func (s Status) IsFailure() bool {
	return !s.IsSuccess() && !s.IsWarning() && !s.IsPending() && !s.IsCancel()
}

// IsTransient reports whether the same request may succeed later: the A7xx
// range, out of resources (PS3.4 §B.2.3), and 0213 of the N-services.
func (s Status) IsTransient() bool { return s>>8 == 0xA7 || s == StatusResourceLimitation }

var statusWords = map[Status]string{
	StatusSuccess:                 "success",
	StatusInvalidValue:            "invalid attribute value",
	StatusProcessingFailure:       "processing failure",
	StatusNoSuchInstance:          "no such SOP instance",
	StatusNoSuchEvent:             "no such event type",
	StatusInvalidArgument:         "invalid argument value",
	StatusNoSuchClass:             "no such SOP class",
	StatusMissingAttribute:        "missing attribute",
	StatusMissingValue:            "missing attribute value",
	StatusNoSuchAction:            "no such action",
	StatusDuplicateTransaction:    "duplicate transaction UID",
	StatusDuplicateInstance:       "duplicate SOP instance",
	StatusInvalidInstance:         "invalid SOP instance UID",
	StatusSOPClassNotSupported:    "SOP class not supported",
	StatusNotAuthorized:           "not authorized",
	StatusDuplicateInvocation:     "duplicate invocation",
	StatusUnrecognizedOperation:   "unrecognized operation",
	StatusMistypedArgument:        "mistyped argument",
	StatusResourceLimitation:      "resource limitation",
	StatusOutOfResources:          "out of resources",
	StatusCannotCount:             "out of resources: cannot count matches",
	StatusCannotMove:              "out of resources: cannot perform sub-operations",
	StatusUnknownDestination:      "move destination unknown",
	StatusDataSetDoesNotMatch:     "data set does not match SOP class",
	StatusCoercion:                "coercion of data elements",
	StatusElementsDiscarded:       "elements discarded",
	StatusDataSetDoesNotMatchWarn: "data set does not match SOP class (stored)",
	StatusCannotUnderstand:        "cannot understand",
	StatusCancel:                  "cancelled",
	StatusPending:                 "pending",
	StatusPendingWarning:          "pending, with a warning",
}

// String is the four digits of the standard and its words, as "A700 out of resources".
func (s Status) String() string {
	words, ok := statusWords[s]
	if !ok {
		words = s.kind()
	}
	return fmt.Sprintf("%04X %s", uint16(s), words)
}

func (s Status) kind() string {
	switch {
	case s.IsWarning():
		return "warning"
	case s.IsTransient():
		return "out of resources"
	case s>>8 == 0xA9:
		return "data set does not match SOP class"
	case s>>12 == 0xC:
		return "cannot understand"
	}
	return "failure"
}
