package spool

import "slices"

// partSet are the parts of a group, by name. Most groups have one or two, and there may
// be 100,000 groups: a map for each took more memory than all else of such a group. The
// zero set is empty.
type partSet struct {
	few  []*part          // up to fewParts; then nil
	many map[string]*part // all of them, once they were more
}

const fewParts = 8

func (s *partSet) named(name string) *part {
	for _, p := range s.few {
		if p.name == name {
			return p
		}
	}
	return s.many[name]
}

// add takes in one whose name is not there.
func (s *partSet) add(p *part) {
	if s.many == nil && len(s.few) < fewParts {
		s.few = append(slices.Grow(s.few, 1), p)
		return
	}
	if s.many == nil {
		s.many = make(map[string]*part, 2*fewParts)
	}
	for _, old := range s.few {
		s.many[old.name] = old
	}
	s.few, s.many[p.name] = nil, p
}

func (s *partSet) remove(p *part) {
	s.few = slices.DeleteFunc(s.few, func(q *part) bool { return q == p })
	if s.many[p.name] == p {
		delete(s.many, p.name)
	}
}

func (s *partSet) len() int { return len(s.few) + len(s.many) }

// all visits each, in no order.
func (s *partSet) all(visit func(*part) bool) {
	for _, p := range s.few {
		if !visit(p) {
			return
		}
	}
	for _, p := range s.many {
		if !visit(p) {
			return
		}
	}
}
