package spool

import "math"

// provedWhole ends damage that is none: a loose cable passes, and the bytes alone say
// whether they are what was stored. Whoever calls it has just read all of them from
// the disk. It is not written to the journal, and need not be: the next start reads
// what the journal takes for damaged, and comes to the same end or to a true one.
// While a good copy is on its way, or here, that one takes over (Healing).
//
// wrong is e.wrong before the reading began: what somebody else found wrong meanwhile
// is newer than these bytes.
func (s *Spool) provedWhole(id ID, seq uint64, wrong int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.atSeq(seq)
	if e == nil || int(e.wrong) != wrong || e != s.byID[id] || s.pending[id] != nil || !e.damaged || e.fate != inPlace {
		return
	}
	s.change(e, func() { e.facts = e.facts.healed() })
	s.cfg.Logger.Info("object that was taken for damaged is whole", "seq", seq, "id", id)
}

// Damage counts the objects whose bytes are not what was stored, or whose file was
// set aside or is gone, by whether there is another copy.
type Damage struct {
	HubHasCopy  int64 // the hub, or the archive, has said that it has them, and has not taken it back
	NoOtherCopy int64 // nobody has: to be sent again
	Quarantined int64 // of both, and of those in Stats.Unfinished, how many Stats counts as quarantined
}

// Damage looks at every object in memory, as Ages does.
func (s *Spool) Damage() (d Damage) {
	s.walk(0, math.MaxUint64, func(e *entry) bool {
		if !e.gone && !e.test && e.damaged {
			d.see(e)
		}
		return true
	})
	return d
}

func (d *Damage) see(e *entry) {
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
