package spool

import "slices"

// inherit makes e, a good copy that came again, the object that old was: the hub
// and the archive spoke of the ID, and its bytes are here again. Nothing is
// counted twice. It is durable with the next flush of the journal; a crash before
// that has the copy sent once more, which is harmless (SPOOL-18).
func (e *entry) inherit(old *entry) {
	e.facts, e.again = old.facts.healed(), true
}

// twin is the good copy that took e's place, or nil. Guarded by mu.
func (s *Spool) twin(e *entry) *entry {
	if t := s.byID[e.id]; t != e && t != nil && !t.damaged {
		return t
	}
	return nil
}

// mending is what every flush begins with while damaged copies are here of which
// a good one is durable: a row that gives the good copy what is known of the
// damaged one and lets that one go. It comes first, so that whatever is said of
// the good copy afterwards stands behind it in the journal as well. Those that went
// with the flush before this one are passed over for good. Guarded by mu.
func (s *Spool) mending() (ops []op) {
	s.healed = slices.DeleteFunc(s.healed, func(e *entry) bool { return e.gone })
	for _, e := range s.healed {
		if t := s.twin(e); t != nil {
			ops = append(ops, op{kind: opForgot, seq: e.seq, id: e.id, length: int64(t.seq), group: e.group.name, test: e.test, fate: e.fate, healed: true})
		}
	}
	return ops
}

// forTwin turns what is said of an object to its good copy. What is about the
// file stays with the file. Guarded by mu.
func (s *Spool) forTwin(o op) op {
	if o.kind == opForgot || o.kind == opQuarantined {
		return o
	}
	if e := s.byID[o.id]; e != nil && e.seq != o.seq {
		o.seq = e.seq
	}
	return o
}
