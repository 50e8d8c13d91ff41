package main

import (
	"sync"
	"time"

	"edged/spool"
)

// lateStudies counts the studies of which something is not archived too long after the
// last of it came. What is held or set aside has alarms of its own; back-filling and test
// objects are nobody's business, and without a hub nothing is archived at all.
type lateStudies struct {
	late, urgent int64 // by the alarms' limits
	over         int64 // by alarms.archive, urgent ones too
}

// lateLook remembers what the last look said. mu is held while the spool is walked, so
// nobody takes it who stores an instance.
type lateLook struct {
	mu   sync.Mutex
	at   time.Time
	said lateStudies
}

// lateEvery: the spool is not walked more often.
const lateEvery = alarmEvery

// lateStudies are those of now, nearly.
func (a *appliance) lateStudies(now time.Time) lateStudies {
	s, err := a.keeper.get()
	if len(a.cfg.Uplink.Hubs) == 0 || err != nil {
		return lateStudies{}
	}
	l := &a.tallied.late
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.at.IsZero() || now.Sub(l.at).Abs() >= lateEvery {
		l.at, l.said = now, a.cfg.Alarms.lateIn(s, now)
	}
	return l.said
}

// waitingStudy is when the last came of what waits, and whether that is urgent.
type waitingStudy struct {
	last   time.Time
	urgent bool
}

func (l Alarms) lateIn(s *spool.Spool, now time.Time) (out lateStudies) {
	for group, w := range waitingIn(s) {
		if now.Sub(w.last) < min(l.Archive, l.ArchiveUrgent) {
			continue
		}
		if g, here := s.Group(group); here && g.LastReceived.After(w.last) {
			w.last = g.LastReceived // more of it came, and is done with
		}
		age := now.Sub(w.last)
		if age >= l.Archive {
			out.over++
		}
		switch {
		case w.urgent && age >= l.ArchiveUrgent:
			out.urgent++
		case age >= l.Archive:
			out.late++
		}
	}
	return out
}

// waitingIn walks the spool without reading anything, in pieces: images need its lock.
func waitingIn(s *spool.Spool) map[string]waitingStudy {
	waiting := make(map[string]waitingStudy)
	states := s.Stats().ByState
	if states[spool.Received]+states[spool.Sending]+states[spool.AtHub] == 0 {
		return waiting
	}
	for after := uint64(0); ; {
		page := s.Outline(after, 1024)
		if len(page) == 0 {
			return waiting
		}
		for _, o := range page {
			after = o.Seq
			if o.Test || o.Held || o.Priority == spool.Backfill || o.State != spool.Received && o.State != spool.Sending && o.State != spool.AtHub {
				continue
			}
			w := waiting[o.Group]
			waiting[o.Group] = waitingStudy{later(w.last, o.Received), w.urgent || o.Priority == spool.Urgent}
		}
	}
}
