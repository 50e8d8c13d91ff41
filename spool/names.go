package spool

import (
	"crypto/sha256"
	"slices"
)

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
// overwritten (P5, SPOOL-9). So is one that comes after others of its name were
// forgotten, for as long as that is remembered: the archive has them. Either all of a
// name are the same object or all are in conflict, so one look at the newest is enough,
// however many there are. Guarded by mu.
func (s *Spool) called(e *entry) {
	if e.name == (nameSum{}) {
		return
	}
	last := s.byName[e.name]
	s.byName[e.name] = e
	clash := s.tombs.clashes(e.name, e.id)
	if last != nil {
		e.older, last.newer = last, e
		clash = clash || last.conflict || last.id != e.id
	}
	if clash {
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

// maxNamed bounds what one question for a name costs: whoever sends it with other
// contents again and again is in conflict already.
const maxNamed = 1000

// Named lists the objects of that New.Name that are here, oldest first; of thousands
// the newest. Without their Meta: ask Object for it. A lost one is not among them when
// nobody can read any more what its name was. Nobody has the name of nothing.
func (s *Spool) Named(name string) []Object {
	if name == "" {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []Object
	for e := s.byName[sumOf(name)]; e != nil && len(out) < maxNamed; e = e.older {
		out = append(out, e.object())
	}
	slices.Reverse(out)
	return out
}

// ForgottenNamed lists the objects of that New.Name that were let go, newest first, as
// far as they are remembered (Config.MaxTombstones). Rows of earlier versions have no
// names.
func (s *Spool) ForgottenNamed(name string) []Forgotten {
	if name == "" {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return forgottenOf(s.tombs.named(sumOf(name)), maxNamed)
}

// meets says whether an object before this one, here or forgotten, has its name and
// other contents. Who reads from outside does not know those behind it.
func (r *Reader) meets(c *container) bool {
	if c.name == (nameSum{}) || r.names == nil {
		return false
	}
	first, known := r.names[c.name]
	if !known {
		r.names[c.name] = c.id
	}
	return known && first != c.id || r.past.clashes(c.name, c.id)
}
