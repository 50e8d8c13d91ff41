package dimse

import (
	"context"
	"errors"
	"fmt"
	"time"

	"edged/dimse/dataset"
)

// Storage Commitment Push Model (PS3.4 Annex J) on the wire: N-ACTION asks,
// N-EVENT-REPORT answers, later, and the other way round.

// Attributes of PS3.4 Tables J.3-1 and J.3-2.
const (
	tagReferencedClass    dataset.Tag = 0x00081150
	tagReferencedInstance dataset.Tag = 0x00081155
	tagTransactionUID     dataset.Tag = 0x00081195
	tagFailureReason      dataset.Tag = 0x00081197
	tagFailedSequence     dataset.Tag = 0x00081198
	tagReferencedSequence dataset.Tag = 0x00081199
)

const (
	actionRequest  = 1 // PS3.4 §J.3.2.1.2
	eventCommitted = 1 // all of it (PS3.4 §J.3.3.1.2)
	eventFailures  = 2 // there are failures
)

// commitmentAction makes the request.
func commitmentAction(presentation Context, r CommitmentRequest) (command, *DataSet, error) {
	var c command
	c.setUID(tagRequestedClass, StorageCommitmentPush)
	c.setUID(tagRequestedInst, StorageCommitmentPushInstance)
	c.setUint16(tagCommandField, nActionRQ)
	c.setUint16(tagActionType, actionRequest)
	var s dataset.Set
	s.Set(tagTransactionUID, "UI", r.TransactionUID)
	s.SetItems(tagReferencedSequence, items(r.References))
	d, err := encode(s, presentation)
	return c, d, err
}

// commitmentEvent makes the report: an empty sequence is left out (PS3.4 Table
// J.3-2).
func commitmentEvent(presentation Context, r CommitmentResult) (command, *DataSet, error) {
	var c command
	c.setUID(tagAffectedClass, StorageCommitmentPush)
	c.setUID(tagAffectedInstance, StorageCommitmentPushInstance)
	c.setUint16(tagCommandField, nEventReportRQ)
	c.setUint16(tagEventType, r.eventType())
	var s dataset.Set
	s.Set(tagTransactionUID, "UI", r.TransactionUID)
	if len(r.Failed) > 0 {
		s.SetItems(tagFailedSequence, failedItems(r.Failed))
	}
	if len(r.Committed) > 0 {
		s.SetItems(tagReferencedSequence, items(r.Committed))
	}
	d, err := encode(s, presentation)
	return c, d, err
}

func (r *CommitmentResult) eventType() uint16 {
	if len(r.Failed) > 0 {
		return eventFailures
	}
	return eventCommitted
}

func encode(s dataset.Set, presentation Context) (*DataSet, error) {
	b, err := s.Append(nil, presentation.TransferSyntax)
	if err == nil && len(b) > MaxSmallDataSet {
		err = fmt.Errorf("a data set of %d bytes: at most %d", len(b), MaxSmallDataSet)
	}
	return &DataSet{presentation.TransferSyntax, b}, err
}

func items(refs []Reference) []dataset.Set {
	out := make([]dataset.Set, len(refs))
	for i, r := range refs {
		out[i].Set(tagReferencedClass, "UI", r.SOPClassUID)
		out[i].Set(tagReferencedInstance, "UI", r.SOPInstanceUID)
	}
	return out
}

func failedItems(refs []FailedReference) []dataset.Set {
	out := make([]dataset.Set, len(refs))
	for i, r := range refs {
		out[i].Set(tagReferencedClass, "UI", r.SOPClassUID)
		out[i].Set(tagReferencedInstance, "UI", r.SOPInstanceUID)
		out[i].SetUint16(tagFailureReason, r.Reason)
	}
	return out
}

var (
	errNoTransaction = errors.New("no Transaction UID")
	errNoReference   = errors.New("no Referenced SOP Sequence")
	errNoInstance    = errors.New("a reference without SOP Instance UID")
)

// parseCommitmentRequest reads the information of an N-ACTION (PS3.4 Table J.3-1).
func parseCommitmentRequest(d DataSet) (r CommitmentRequest, err error) {
	s, err := dataset.Parse(d.Bytes, d.TransferSyntaxUID)
	if err != nil {
		return r, err
	}
	r.TransactionUID = s.UID(tagTransactionUID)
	r.References, err = references(s.Items(tagReferencedSequence))
	switch {
	case r.TransactionUID == "":
		err = errNoTransaction
	case err == nil && len(r.References) == 0:
		err = errNoReference
	}
	return r, err
}

// parseCommitmentResult reads the information of an N-EVENT-REPORT (PS3.4 Table
// J.3-2). What the sequences say counts, whatever the event type is; a failure
// without reason is a processing failure.
func parseCommitmentResult(d DataSet) (r CommitmentResult, err error) {
	s, err := dataset.Parse(d.Bytes, d.TransferSyntaxUID)
	if err != nil {
		return r, err
	}
	if r.TransactionUID = s.UID(tagTransactionUID); r.TransactionUID == "" {
		return r, errNoTransaction
	}
	if r.Committed, err = references(s.Items(tagReferencedSequence)); err != nil {
		return r, err
	}
	failed := s.Items(tagFailedSequence)
	refs, err := references(failed)
	for i, ref := range refs {
		r.Failed = append(r.Failed, FailedReference{ref, reasonOf(failed[i])})
	}
	return r, err
}

func references(sets []dataset.Set) ([]Reference, error) {
	out := make([]Reference, 0, len(sets)) // as many as were parsed
	for _, s := range sets {
		r := Reference{s.UID(tagReferencedClass), s.UID(tagReferencedInstance)}
		if r.SOPInstanceUID == "" {
			return nil, errNoInstance
		}
		out = append(out, r)
	}
	return out, nil
}

func reasonOf(s dataset.Set) uint16 {
	if e, ok := s.Find(tagFailureReason); ok && len(e.Value) >= 2 {
		return uint16(e.Value[0]) | uint16(e.Value[1])<<8
	}
	return FailureProcessing
}

// action answers an N-ACTION-RQ (PS3.7 §10.3.4). Success means that the request
// is durable, nothing else (PS3.4 §J.3.2.1.3).
func (s *Server) action(ctx context.Context, a *Association, presentation Context, cmd command) error {
	if status := s.checkAction(presentation, cmd); status != StatusSuccess {
		return a.refuse(presentation, cmd, status)
	}
	d, status, err := a.small(presentation, cmd)
	if err != nil {
		return err
	}
	answer := Answer{Status: status}
	if status == StatusSuccess {
		answer = s.requestCommitment(ctx, a, d)
	}
	return a.reply(presentation.ID, cmd, answer)
}

func (s *Server) requestCommitment(ctx context.Context, a *Association, d DataSet) Answer {
	rq, err := parseCommitmentRequest(d)
	if err != nil {
		return Answer{Status: StatusInvalidArgument, Comment: err.Error()}
	}
	if !canAnswer(rq) {
		return Answer{Status: StatusResourceLimitation, Comment: "too many instances for one report"}
	}
	return s.cfg.Commitment.RequestCommitment(ctx, a, rq)
}

// canAnswer reports whether the longest report that a request can get, all of it
// failed, is one that can be sent; else its result would never be heard. One
// reference more makes up for what a second sequence takes.
func canAnswer(rq CommitmentRequest) bool {
	worst := CommitmentResult{TransactionUID: rq.TransactionUID}
	for _, r := range append(rq.References, rq.References[0]) {
		worst.Failed = append(worst.Failed, FailedReference{r, FailureProcessing})
	}
	_, _, err := commitmentEvent(Context{TransferSyntax: ExplicitVRLE}, worst)
	return err == nil
}

// checkAction looks at the command alone, in the statuses of PS3.7 §10.1.4.
func (s *Server) checkAction(presentation Context, cmd command) Status {
	switch instance := cmd.affectedInstance(); {
	case s.cfg.Commitment == nil:
		return StatusUnrecognizedOperation
	case !isCommitment(presentation, cmd):
		return StatusNoSuchClass
	case instance != "" && instance != StorageCommitmentPushInstance:
		return StatusNoSuchInstance // there is one, well-known (PS3.4 §J.3.5)
	case cmd.uint16(tagActionType) != actionRequest:
		return StatusNoSuchAction
	}
	return StatusSuccess
}

func isCommitment(presentation Context, cmd command) bool {
	return presentation.AbstractSyntax == StorageCommitmentPush && (cmd.class() == "" || cmd.class() == StorageCommitmentPush)
}

// event answers an N-EVENT-REPORT-RQ on a server's association: the peer opened
// it to tell us (PS3.4 §J.3.3).
func (s *Server) event(ctx context.Context, a *Association, presentation Context, cmd command) error {
	if s.cfg.CommitmentSCU == nil {
		return a.refuse(presentation, cmd, StatusUnrecognizedOperation)
	}
	r, err := a.readReport(presentation, cmd)
	if err != nil {
		return err
	}
	_, err = a.answerReport(ctx, r, s.cfg.CommitmentSCU)
	return err
}

// report is an N-EVENT-REPORT-RQ that has been read and not been answered.
type report struct {
	presentation Context
	cmd          command
	data         DataSet
	status       Status // success: data is there
}

// readReport reads a report; what is wrong with its command will be its answer.
func (a *Association) readReport(presentation Context, cmd command) (r report, err error) {
	r = report{presentation: presentation, cmd: cmd.clone(), status: checkEvent(presentation, cmd)}
	if r.status != StatusSuccess {
		return r, a.skipData(cmd)
	}
	r.data, r.status, err = a.small(presentation, cmd)
	return r, err
}

// answerReport hands a report over and answers it, always (PS3.4 §J.3.3.1.3): who
// hears nothing reports again for days. It returns the transaction that is
// settled by it.
func (a *Association) answerReport(ctx context.Context, r report, scu CommitmentSCU) (settled string, err error) {
	answer := Answer{Status: r.status}
	if r.status == StatusSuccess {
		settled, answer = a.handReport(ctx, r.data, scu)
	}
	if answer.Status.IsFailure() {
		settled = ""
	}
	return settled, a.reply(r.presentation.ID, r.cmd, answer)
}

func (a *Association) handReport(ctx context.Context, d DataSet, scu CommitmentSCU) (string, Answer) {
	r, err := parseCommitmentResult(d)
	if err != nil {
		return "", Answer{Status: StatusInvalidArgument, Comment: err.Error()}
	}
	return r.TransactionUID, scu.CommitmentReported(ctx, a, r)
}

// checkEvent: the instance is not looked at, there is only one (dimse/COMPAT.md).
func checkEvent(presentation Context, cmd command) Status {
	switch event := cmd.uint16(tagEventType); {
	case !isCommitment(presentation, cmd):
		return StatusNoSuchClass
	case event != eventCommitted && event != eventFailures:
		return StatusNoSuchEvent
	}
	return StatusSuccess
}

// ReportCommitment tells the peer what became of its request, on the association
// on which it asked (N-EVENT-REPORT, PS3.4 §J.3.3). It may be called from any
// goroutine but the association's own, that is, not by a handler. It goes out
// between two messages; requests of the peer are served meanwhile. An error, also
// that of a peer that left or did not answer before ctx ended, means that the
// result has to be reported again on another association. A response without
// Event Type ID is fine.
func (a *Association) ReportCommitment(ctx context.Context, r CommitmentResult) (Response, error) {
	if _, ok := ctx.Deadline(); !ok {
		limited, cancel := context.WithTimeout(ctx, maxReport)
		defer cancel()
		ctx = limited
	}
	return a.invoke(ctx, &errand{class: StorageCommitmentPush, done: make(chan outcome, 1), begin: func(p Context) (command, *DataSet, error) {
		return commitmentEvent(p, r)
	}})
}

// maxReport bounds the wait for the answer to a report on the association of a
// peer that may not be listening for any, if the caller has set no bound.
const maxReport = time.Minute
