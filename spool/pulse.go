package spool

// Pulse goes by what every commit and every receipt goes by, and returns when it has
// come through: the locks that flushes of object directories are made under, then a
// record of the journal that says only how things stand, and its flush. Who waits for a
// disk, or for somebody who does not come back, waits here too.
//
// ErrFull is no sign of a standstill: the disk has answered. So is no other error.
func (s *Spool) Pulse() error {
	s.shards.lead.Lock()
	//lint:ignore SA2001 whoever held it came back
	s.shards.lead.Unlock()
	s.dirMu.Lock()
	//lint:ignore SA2001 the same
	s.dirMu.Unlock()
	return s.writeStanding()
}
