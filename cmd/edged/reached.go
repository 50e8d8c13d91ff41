package main

import (
	"time"

	"edged/spool"
)

// reachedAt is what the view remembers of a study.
func (v *view) reachedAt(group string) studyFacts {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.studies[group]
}

// reachedIn is reachedAt with what happened before the start, which the objects of the
// study tell: they are walked once, in memory, unless they stand too far apart. First is
// the first of them, by its number in the order of arrival.
func (v *view) reachedIn(s *spool.Spool, g spool.Group, first uint64) studyFacts {
	f := v.reachedAt(g.Name)
	if s == nil || g.Objects == 0 || f.recalled || g.LastSeq-first > maxSpan {
		return f
	}
	var hub, archive time.Time
	eachOf(s, cardCopy{group: g.Name, seq: first}, func(o spool.Object) { hub, archive = later(hub, o.AtHubAt), later(archive, o.ArchivedAt) })
	v.remember(g.Name, func(k *studyFacts) {
		k.recalled, k.atHub, k.archivedAt = true, later(k.atHub, hub), later(k.archivedAt, archive)
	})
	return v.reachedAt(g.Name)
}
