package spool

import "time"

// Event is a change of one object's state, or of a group. It is told after the
// change is durable; leases are told too, and they are not durable.
type Event struct {
	Kind     GroupKind // not zero: Group is complete, or has changed; Seq, ID and State say nothing
	Revision uint32    // of the group

	Seq       uint64
	ID        ID
	Group     string
	State     State
	Forgotten bool // it is no longer here; State is its last
	Discarded bool // it was discarded, not confirmed
	Test      bool
	At        time.Time
	Lost      bool // events before this one were lost: look at Objects again
}

// Watcher gets events. It is lossy: whoever reads too slowly finds Lost set on
// the next event that fits, and has then to look at the whole again.
type Watcher struct {
	C    <-chan Event
	c    chan Event
	s    *Spool
	lost bool // guarded by Spool.mu
}

// Watch begins to tell; buffer is how many events may wait. Close it.
func (s *Spool) Watch(buffer int) *Watcher {
	w := &Watcher{c: make(chan Event, max(buffer, 1)), s: s}
	w.C = w.c
	s.mu.Lock()
	s.watchers[w] = struct{}{}
	s.mu.Unlock()
	return w
}

// Close ends it. C is not closed.
func (w *Watcher) Close() {
	w.s.mu.Lock()
	delete(w.s.watchers, w)
	w.s.mu.Unlock()
}

// tell never blocks. Guarded by mu.
func (s *Spool) tell(e *entry, st State) {
	if len(s.watchers) == 0 {
		return
	}
	s.spread(Event{Seq: e.seq, ID: e.id, Group: e.group.name, State: st, Forgotten: e.gone, Discarded: e.discarded, Test: e.test, At: s.cfg.Now()})
}

// tellGroup tells the last event of a group. Guarded by mu.
func (s *Spool) tellGroup(g *group) {
	s.spread(Event{Kind: g.row.kind(), Revision: g.row.revision, Group: g.name, Test: g.row.test, At: s.cfg.Now()})
}

func (s *Spool) spread(ev Event) {
	for w := range s.watchers {
		ev.Lost = w.lost
		select {
		case w.c <- ev:
			w.lost = false
		default:
			w.lost = true
		}
	}
}
