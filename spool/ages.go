package spool

import (
	"math"
	"time"
)

// Ages are the times that people ask about. A zero time: there is none.
type Ages struct {
	OldestBacklog time.Time // arrival of the oldest object that is not at the hub
	OldestAtHub   time.Time // arrival of the oldest one there that is neither archived nor held
	LastReceived  time.Time
	LastArchived  time.Time // among those that are still here
}

// Ages looks at every object in memory, in the order of arrival: for a person or
// a metric once a second, not for a loop.
func (s *Spool) Ages() (a Ages) {
	s.walk(0, math.MaxUint64, func(e *entry) bool {
		if !e.gone && !e.test && e.fate == inPlace {
			a.see(e)
		}
		return true
	})
	return a
}

func (a *Ages) see(e *entry) {
	at := time.Unix(0, e.received)
	a.LastReceived = at
	switch e.state() {
	case Received, Sending:
		if a.OldestBacklog.IsZero() {
			a.OldestBacklog = at
		}
	case AtHub:
		if a.OldestAtHub.IsZero() {
			a.OldestAtHub = at
		}
	case Archived:
		if t := time.Unix(0, e.archivedAt); t.After(a.LastArchived) {
			a.LastArchived = t
		}
	}
}
