package dimse

import (
	"context"

	"edged/dimse/dataset"
)

// move answers a C-MOVE-RQ.
func (s *Server) move(_ context.Context, a *Association, presentation Context, cmd command) error {
	return a.refuse(presentation, cmd, StatusUnrecognizedOperation) // Gap: not built yet
}

// get answers a C-GET-RQ.
func (s *Server) get(_ context.Context, a *Association, presentation Context, cmd command) error {
	return a.refuse(presentation, cmd, StatusUnrecognizedOperation) // Gap: not built yet
}

const failedUIDList dataset.Tag = 0x00080058 // Failed SOP Instance UID List
