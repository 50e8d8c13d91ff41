package dimse

import (
	"context"
	"fmt"
)

// find answers a C-FIND-RQ (PS3.7 §9.3.2, PS3.4 §C.4.1): a pending response with
// an identifier for each match, then the last one without.
func (s *Server) find(ctx context.Context, a *Association, presentation Context, cmd command) error {
	o, err := begin(ctx, a, presentation, cmd)
	if o == nil {
		return err
	}
	defer o.end(nil)
	answer := s.cfg.Query.Find(o.ctx, a, o.query, o.found)
	answer.DataSet = nil
	return o.finish(answer)
}

// operations says which of the three a class is for (PS3.4 §C.6).
var operations = map[string]uint16{
	PatientRootFind: cFindRQ, StudyRootFind: cFindRQ,
	PatientRootMove: cMoveRQ, StudyRootMove: cMoveRQ,
	PatientRootGet: cGetRQ, StudyRootGet: cGetRQ,
}

// begin reads the identifier of a C-FIND, C-MOVE or C-GET. It returns no
// operation when the request has been refused, or the association is over.
func begin(ctx context.Context, a *Association, presentation Context, cmd command) (*operation, error) {
	class, field := cmd.class(), cmd.uint16(tagCommandField)
	if class == "" {
		class = presentation.AbstractSyntax // dimse/COMPAT.md
	}
	if class != presentation.AbstractSyntax || operations[class] != field {
		return nil, a.refuse(presentation, cmd, StatusSOPClassNotSupported)
	}
	identifier, status, err := a.small(presentation, cmd)
	if err != nil {
		return nil, err
	}
	if status != StatusSuccess {
		return nil, a.reply(presentation.ID, cmd, Answer{Status: unreadable(field, status)})
	}
	o := &operation{a: a, presentation: presentation, rq: cmd}
	o.query = Query{class, cmd.uint16(tagMessageID), Priority(cmd.uint16(tagPriority)), identifier, cmd.text(tagMoveDestination)}
	o.ctx, o.end = context.WithCancelCause(ctx)
	return o, nil
}

// unreadable is what small says, in the statuses of PS3.4 Tables C.4-1 to C.4-3.
func unreadable(field uint16, status Status) Status {
	switch {
	case status != StatusResourceLimitation:
		return StatusDataSetDoesNotMatch
	case field == cFindRQ:
		return StatusOutOfResources
	}
	return StatusCannotCount
}

// found sends a match, unless the peer has cancelled.
func (o *operation) found(match DataSet) error {
	if err := o.look(); err != nil {
		return err
	}
	status, sent, err := o.encode(match)
	if err != nil {
		err = fmt.Errorf("encode a match: %w", err)
		return err
	}
	err = o.respond(Answer{Status: status, DataSet: &sent})
	o.stop(err)
	return err
}

type requestedKey struct{}

func (o *operation) encode(match DataSet) (Status, DataSet, error) {
	return StatusPending, match, nil
}
