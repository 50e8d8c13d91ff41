package dimse

import "context"

// move answers a C-MOVE-RQ.
func (s *Server) move(_ context.Context, a *Association, presentation Context, cmd command) error {
	return a.refuse(presentation, cmd, StatusUnrecognizedOperation) // Gap: not built yet
}

// get answers a C-GET-RQ.
func (s *Server) get(_ context.Context, a *Association, presentation Context, cmd command) error {
	return a.refuse(presentation, cmd, StatusUnrecognizedOperation) // Gap: not built yet
}
