package spool

// Damage counts the objects whose bytes are not what was stored, or whose file was
// set aside or is gone, by whether there is another copy.
type Damage struct {
	HubHasCopy  int64 // the hub, or the archive, has said that it has them, and has not taken it back
	NoOtherCopy int64 // nobody has: to be sent again
	Quarantined int64 // of both, and of those in Stats.Unfinished, how many Stats counts as quarantined
}

// Damage looks at every object in memory, as Ages does.
func (s *Spool) Damage() (d Damage) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.order {
		if e.gone || e.test || !e.damaged {
			continue
		}
		if e.state() == Quarantined {
			d.Quarantined++
		}
		switch {
		case e.torn && e.state() != Archived: // no alarm: see Stats.Unfinished
		case e.hubHasCopy():
			d.HubHasCopy++
		default:
			d.NoOtherCopy++
		}
	}
	return d
}
