package dimse

import (
	"context"
	"errors"
	"io"
)

// Reference names one instance (PS3.3 Table C.14-1, the Referenced SOP Sequence).
type Reference struct{ SOPClassUID, SOPInstanceUID string }

// DataSet is a small data set, an identifier or an attribute list, as it stands
// on the wire: at most MaxSmallDataSet bytes in the transfer syntax named. The
// subpackage dataset reads and writes it.
type DataSet struct {
	TransferSyntaxUID string
	Bytes             []byte
}

// MaxSmallDataSet bounds every data set that is not an instance: an identifier, an
// attribute list, the information of an action or event (P9). A commitment request
// of 10,000 instances has 1.3 MB.
const MaxSmallDataSet = 4 << 20

// Answer is a status and what may stand beside it in a response.
type Answer struct {
	Status      Status
	Comment     string // (0000,0902), at most 64 bytes; longer ones are cut
	ErrorID     uint16 // (0000,0903); zero: absent
	InstanceUID string // of an N-CREATE without one: what was chosen
	DataSet     *DataSet
}

// CommitmentSCP is the Storage Commitment Push Model as its SCP (PS3.4 §J.3.2).
// Called on the association's goroutine.
type CommitmentSCP interface {
	// RequestCommitment takes an N-ACTION. Success means that the request is
	// durable here and will be answered by an N-EVENT-REPORT; it says nothing
	// about the instances. The same transaction UID may come again.
	RequestCommitment(ctx context.Context, a *Association, rq CommitmentRequest) Answer
}

// CommitmentSCU takes the N-EVENT-REPORTs that answer our requests, on an
// association that the peer opened or on our own (PS3.4 §J.3.3). Called on the
// association's goroutine. Success means that the result is durable here.
type CommitmentSCU interface {
	CommitmentReported(ctx context.Context, a *Association, r CommitmentResult) Answer
}

// CommitmentRequest asks for the safekeeping of instances.
type CommitmentRequest struct {
	TransactionUID string
	References     []Reference // in the order of the request, duplicates as sent
}

// CommitmentResult is what became of a request: Committed and Failed partition it.
type CommitmentResult struct {
	TransactionUID string
	Committed      []Reference
	Failed         []FailedReference
}

// FailedReference is an instance that is not committed, and why (PS3.3 §C.14.1.1):
// 0110, 0112, 0119, 0122, 0131 or 0213.
type FailedReference struct {
	Reference
	Reason uint16
}

// The failure reasons of PS3.3 §C.14.1.1.
const (
	FailureProcessing           uint16 = 0x0110
	FailureNoSuchInstance       uint16 = 0x0112
	FailureClassConflict        uint16 = 0x0119 // the class of the instance is another
	FailureClassNotSupported    uint16 = 0x0122
	FailureDuplicateTransaction uint16 = 0x0131
	FailureResourceLimitation   uint16 = 0x0213
)

// StepSCP is Modality Performed Procedure Step as its SCP (PS3.4 §F.7). Called on
// the association's goroutine. What is answered with success is durable.
type StepSCP interface {
	// CreateStep takes an N-CREATE; uid is empty when the SCU leaves the choice
	// to us, then Answer.InstanceUID says it.
	CreateStep(ctx context.Context, a *Association, uid string, attributes DataSet) Answer
	// SetStep takes an N-SET.
	SetStep(ctx context.Context, a *Association, uid string, modifications DataSet) Answer
}

// Query is a C-FIND, C-MOVE or C-GET request (PS3.4 §C.4).
type Query struct {
	SOPClassUID string // the information model, as StudyRootFind
	MessageID   uint16 // set by the sender; a Client chooses its own
	Priority    Priority
	Identifier  DataSet // of a Client: in any syntax; it is sent as it is in a context that has it
	Destination string  // of a C-MOVE: AE title
}

// QuerySCP answers queries and retrieves. Called on the association's goroutine;
// ctx ends when the peer cancels, which found and the sub-operations find out.
type QuerySCP interface {
	// Find calls found for each match; when that returns an error Find is to end.
	// Its status is the last one: success, or a failure.
	Find(ctx context.Context, a *Association, q Query, found func(DataSet) error) Answer
	// Select lists the instances that a C-MOVE or C-GET means.
	Select(ctx context.Context, a *Association, q Query) ([]Instance, Answer)
	// Destination says how to reach the AE title of a C-MOVE; failure A801 for one
	// that is unknown or not allowed for this peer. Contexts are filled in by us.
	Destination(ctx context.Context, a *Association, title string) (ClientConfig, Answer)
}

// Instance is one that can be sent.
type Instance struct {
	SOPClassUID, SOPInstanceUID, TransferSyntaxUID string
	Open                                           func(ctx context.Context) (io.ReadCloser, error) // the data set
}

// SubOperations counts the C-STOREs of a C-MOVE or C-GET (PS3.7 §9.1.3.1.6).
type SubOperations struct{ Remaining, Completed, Failed, Warning int }

// Retrieved is the last response to a C-MOVE or C-GET.
type Retrieved struct {
	Response
	SubOperations
	FailedUIDs []string // (0008,0058) of the identifier, if there was one
}

// ErrStop, returned by the function that takes matches or progress, cancels the
// operation (C-CANCEL, PS3.7 §9.3.2.3) without being an error.
var ErrStop = errors.New("enough")

// SOP classes of the services (PS3.6 Table A-1).
const (
	StorageCommitmentPush         = "1.2.840.10008.1.20.1"
	StorageCommitmentPushInstance = "1.2.840.10008.1.20.1.1" // the well-known SOP instance
	PerformedProcedureStep        = "1.2.840.10008.3.1.2.3.3"
	PatientRootFind               = "1.2.840.10008.5.1.4.1.2.1.1"
	PatientRootMove               = "1.2.840.10008.5.1.4.1.2.1.2"
	PatientRootGet                = "1.2.840.10008.5.1.4.1.2.1.3"
	StudyRootFind                 = "1.2.840.10008.5.1.4.1.2.2.1"
	StudyRootMove                 = "1.2.840.10008.5.1.4.1.2.2.2"
	StudyRootGet                  = "1.2.840.10008.5.1.4.1.2.2.3"
)
