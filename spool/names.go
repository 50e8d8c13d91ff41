package spool

import "crypto/sha256"

// nameSum stands for New.Name, of which nobody needs the letters again: enough of
// its SHA-256 that two names never meet. Zero: the object has none.
type nameSum [16]byte

func sumOf(name string) (n nameSum) {
	if name != "" {
		sum := sha256.Sum256([]byte("edged name|" + name))
		copy(n[:], sum[:])
	}
	return n
}

// called notes an object under its name. Objects of one name and different contents
// are in conflict, all of them, from here on: somebody has to look, and nothing is
// overwritten (P5, SPOOL-9). Either all of a name are the same object or all are in
// conflict, so one look at the newest is enough, however many there are. Guarded by mu.
func (s *Spool) called(e *entry) {
	if e.name == (nameSum{}) {
		return
	}
	last := s.byName[e.name]
	s.byName[e.name] = e
	if last == nil {
		return
	}
	e.older, last.newer = last, e
	if last.conflict || last.id != e.id {
		for o := e; o != nil && !o.conflict; o = o.older {
			o.conflict = true
			s.conflicts++
		}
	}
}

// uncalled takes one out that is gone. The others stay in conflict: that they met
// one of other contents is still true. Guarded by mu.
func (s *Spool) uncalled(e *entry) {
	if e.name == (nameSum{}) {
		return
	}
	if e.older != nil {
		e.older.newer = e.newer
	}
	switch {
	case e.newer != nil:
		e.newer.older = e.older
	case e.older != nil:
		s.byName[e.name] = e.older
	default:
		delete(s.byName, e.name)
	}
	e.older, e.newer = nil, nil
	if e.conflict {
		s.conflicts--
	}
}

// meets says whether an object before this one has its name and other contents.
// Who reads from outside does not know those behind it.
func (r *Reader) meets(c *container) bool {
	if c.name == (nameSum{}) || r.names == nil {
		return false
	}
	first, known := r.names[c.name]
	if !known {
		r.names[c.name] = c.id
	}
	return known && first != c.id
}
