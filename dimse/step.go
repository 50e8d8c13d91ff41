package dimse

import "context"

// Modality Performed Procedure Step (PS3.4 §F.7) on the wire: N-CREATE begins
// one, N-SET goes on with it and ends it.

// create answers an N-CREATE-RQ (PS3.7 §10.3.5).
func (s *Server) create(ctx context.Context, a *Association, presentation Context, cmd command) error {
	return s.step(a, presentation, cmd, func(uid string, d DataSet) Answer {
		return s.cfg.Steps.CreateStep(ctx, a, uid, d)
	})
}

// set answers an N-SET-RQ (PS3.7 §10.3.3).
func (s *Server) set(ctx context.Context, a *Association, presentation Context, cmd command) error {
	return s.step(a, presentation, cmd, func(uid string, d DataSet) Answer {
		return s.cfg.Steps.SetStep(ctx, a, uid, d)
	})
}

// step reads the attribute list of either and answers what f says.
func (s *Server) step(a *Association, presentation Context, cmd command, f func(uid string, d DataSet) Answer) error {
	if status := s.checkStep(presentation, cmd); status != StatusSuccess {
		return a.refuse(presentation, cmd, status)
	}
	d, status, err := a.small(presentation, cmd)
	if err != nil {
		return err
	}
	answer := Answer{Status: status}
	switch status {
	case StatusSuccess:
		answer = f(cmd.affectedInstance(), d)
	case StatusMistypedArgument:
		answer.Status = StatusMissingAttribute // there is no attribute list at all
	}
	return a.reply(presentation.ID, cmd, answer)
}

// checkStep looks at the command alone, in the statuses of PS3.7 §10.1.3 and
// §10.1.5. Only an N-CREATE may leave the name of the instance to us.
func (s *Server) checkStep(presentation Context, cmd command) Status {
	class := cmd.class()
	switch {
	case s.cfg.Steps == nil:
		return StatusUnrecognizedOperation
	case presentation.AbstractSyntax != PerformedProcedureStep, class != "" && class != PerformedProcedureStep:
		return StatusNoSuchClass
	case cmd.uint16(tagCommandField) == nSetRQ && cmd.affectedInstance() == "":
		return StatusInvalidInstance
	}
	return StatusSuccess
}

// CreateStep begins a procedure step (N-CREATE). If uid is empty the peer chooses
// one, and Response.InstanceUID says it.
func (c *Client) CreateStep(ctx context.Context, uid string, attributes DataSet) (Response, error) {
	return c.call(ctx, PerformedProcedureStep, func(p Context) (command, *DataSet, error) {
		var rq command
		rq.setUID(tagAffectedClass, PerformedProcedureStep)
		rq.setUint16(tagCommandField, nCreateRQ)
		if uid != "" {
			rq.setUID(tagAffectedInstance, uid)
		}
		d, err := attributes.in(p.TransferSyntax)
		return rq, &d, err
	})
}

// SetStep changes a procedure step (N-SET).
func (c *Client) SetStep(ctx context.Context, uid string, modifications DataSet) (Response, error) {
	return c.call(ctx, PerformedProcedureStep, func(p Context) (command, *DataSet, error) {
		var rq command
		rq.setUID(tagRequestedClass, PerformedProcedureStep)
		rq.setUint16(tagCommandField, nSetRQ)
		rq.setUID(tagRequestedInst, uid)
		d, err := modifications.in(p.TransferSyntax)
		return rq, &d, err
	})
}
