package dimse

import (
	"context"
	"fmt"
	"time"

	"edged/dimse/dataset"
)

// find answers a C-FIND-RQ (PS3.7 §9.3.2, PS3.4 §C.4.1): a pending response with
// an identifier for each match, then the last one without.
func (s *Server) find(ctx context.Context, a *Association, presentation Context, cmd command) error {
	o, err := begin(ctx, a, presentation, cmd)
	if o == nil {
		return err
	}
	defer o.end(nil)
	o.keys = keysOf(o.query.Identifier)
	answer := s.cfg.Query.Find(o.ctx, a, o.query, o.found)
	if o.failed != nil {
		s.cfg.Log.Error("a match cannot be sent", "association", a.id, "err", o.failed)
		answer = Answer{Status: StatusCannotUnderstand, Comment: "a match cannot be sent"}
	}
	answer.DataSet = nil
	return o.finish(answer)
}

// operations says which of the three a class is for (PS3.4 §C.6). Gap: their
// extended negotiation (PS3.4 §C.5.1.1: relational queries, fuzzy matching) is
// not answered, which means the baseline: hierarchical, exact.
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
	o := &operation{a: a, presentation: presentation, rq: cmd, looked: time.Now()}
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
	status, match, err := o.pending(match)
	if err != nil {
		o.failed = fmt.Errorf("encode a match: %w", err)
		return o.failed
	}
	err = o.respond(Answer{Status: status, DataSet: &match})
	o.stop(err)
	return err
}

// pending puts a match into the transfer syntax of the context, and says with
// which status it goes out: FF01 when a key that was asked for is not in it. An
// optional key that is not supported is not returned (PS3.4 §C.2.2.1.3,
// §C.4.1.1.4). Gap: a key that is returned but was not matched is not told by
// FF01; a QuerySCP that does not match a key leaves it out.
func (o *operation) pending(match DataSet) (Status, DataSet, error) {
	if len(match.Bytes) > MaxSmallDataSet {
		return 0, match, fmt.Errorf("%d bytes", len(match.Bytes))
	}
	set, err := dataset.Parse(match.Bytes, match.TransferSyntaxUID)
	if err != nil {
		return 0, match, err
	}
	status := StatusPending
	if !has(set, o.keys) {
		status = StatusPendingWarning
	}
	if match.TransferSyntaxUID == o.presentation.TransferSyntax {
		return status, match, nil
	}
	b, err := set.Append(nil, o.presentation.TransferSyntax)
	return status, DataSet{o.presentation.TransferSyntax, b}, err
}

// Attributes of an identifier that are not keys (PS3.4 §C.4.1.1.3).
const (
	specificCharacterSet dataset.Tag = 0x00080005
	queryRetrieveLevel   dataset.Tag = 0x00080052
	queryRetrieveView    dataset.Tag = 0x00080053
	timezoneOffset       dataset.Tag = 0x00080201
)

// keysOf lists the keys of an identifier. One that cannot be read has none here;
// what to answer to it is up to the QuerySCP.
func keysOf(identifier DataSet) (keys []dataset.Tag) {
	set, err := dataset.Parse(identifier.Bytes, identifier.TransferSyntaxUID)
	if err != nil {
		return nil
	}
	for _, e := range set {
		switch e.Tag {
		case specificCharacterSet, queryRetrieveLevel, queryRetrieveView, timezoneOffset:
		default:
			keys = append(keys, e.Tag)
		}
	}
	return keys
}

func has(set dataset.Set, keys []dataset.Tag) bool {
	for _, tag := range keys {
		if _, ok := set.Find(tag); !ok {
			return false
		}
	}
	return true
}
