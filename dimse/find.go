package dimse

import "context"

// find answers a C-FIND-RQ.
func (s *Server) find(_ context.Context, a *Association, presentation Context, cmd command) error {
	return a.refuse(presentation, cmd, StatusUnrecognizedOperation) // Gap: not built yet
}
