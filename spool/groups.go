package spool

import (
	"context"
	"sort"
	"time"
)

// GroupKind says what a group did.
type GroupKind uint8

const (
	GroupComplete GroupKind = 1 + iota // all of it seems to be here: revision 1
	GroupChanged                       // objects came or were discarded after that
)

func (k GroupKind) String() string { return [...]string{"?", "complete", "changed"}[k%3] }

// GroupEvent says what a group consisted of when it was found complete: what is
// here and what was forgotten, as far as that is remembered, without what was
// discarded.
type GroupEvent struct {
	Group    string
	Kind     GroupKind
	Revision uint32 // 1, 2, ... in the life of the group here
	Objects  int64
	Bytes    int64       // content
	Parts    []GroupPart // by name; the first ones, if they are thousands
	At       time.Time   // shown only
	Test     bool        // all of it are test objects
}

// GroupPart sums up a part of a group.
type GroupPart struct {
	Name    string
	Objects int64
	Bytes   int64 // content
}

// What is bounded because peers choose it (P9).
const (
	maxPartBytes = 256 << 10 // of an event on the disk
	maxExpected  = 4096      // groups of which nothing came yet
	groupBatch   = 256

	maxExpectedParts = 1024 // of one group: each is looked at when an object comes
)

// OpenGroup tells that an association works on a group, CloseGroup that it has
// ended: a group with an open one is not complete. Each Open needs its Close.
// This is not durable: no association outlives the process.
func (s *Spool) OpenGroup(name string) {
	s.mu.Lock()
	s.openGroups[name]++
	s.mu.Unlock()
}

// CloseGroup takes one OpenGroup back.
func (s *Spool) CloseGroup(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.openGroups[name]--; s.openGroups[name] <= 0 {
		delete(s.openGroups, name)
	}
	s.wakeIfCalm(s.groups[name])
}

// ExpectGroup tells how many objects a group is going to have, as a modality
// said: with these it is complete without waiting for quiet. Where it also said in
// which parts, each of them has to have its Objects (Bytes mean nothing here): others
// of the group do not stand in for them. It is not durable; after a start quiet
// decides. Zero takes it back, and so does more parts than can be remembered. The
// caller does not change parts any more.
func (s *Spool) ExpectGroup(name string, n int64, parts ...GroupPart) {
	s.mu.Lock()
	defer s.mu.Unlock()
	want := expectation{n, parts}
	if len(parts) > maxExpectedParts {
		want = expectation{}
	}
	if g := s.groups[name]; g != nil {
		g.expected = want
		s.wakeIfCalm(g)
	} else if delete(s.expected, name); want.objects > 0 {
		s.expect(name, want)
	}
}

// expectation is what a group is going to have. Without objects there is none.
type expectation struct {
	objects int64
	parts   []GroupPart
}

// met says whether what came is all of it.
func (x expectation) met(objects int64, named func(string) *part) bool {
	for _, want := range x.parts {
		if p := named(want.Name); p == nil || p.objects < want.Objects {
			return false
		}
	}
	return x.objects > 0 && objects >= x.objects
}

// speaksOf says whether the event of r, which may be nil, has told that x was met.
func (r *groupRow) speaksOf(x expectation) bool {
	if r == nil || r.objects < x.objects {
		return false
	}
	listed := make(map[string]*part, len(r.parts))
	whole := r.objects
	for _, p := range r.parts {
		listed[p.Name] = &part{name: p.Name, objects: p.Objects}
		whole -= p.Objects
	}
	return whole > 0 || x.met(r.objects, func(name string) *part { return listed[name] }) // it does not list all parts: quiet decides
}

// expect notes what is to come for a group of which nothing is here. When it is too
// much to remember any one of them goes, so that groups of which nothing ever came
// do not end this for all others; quiet decides for that one. Guarded by mu.
func (s *Spool) expect(name string, want expectation) {
	for old := range s.expected {
		if len(s.expected) < maxExpected {
			break
		}
		delete(s.expected, old)
	}
	s.expected[name] = want
}

// wakeIfCalm: Run writes the event, so that nobody waits for its flush here.
// Guarded by mu.
func (s *Spool) wakeIfCalm(g *group) {
	if _, waits := s.unsettled[g]; waits && s.calm(g) {
		s.wakeRun()
	}
}

// moved notes that an object of g came or was discarded. Guarded by mu.
func (s *Spool) moved(g *group) {
	s.advance()
	g.moves++
	g.movedAt = s.ran
	s.unsettled[g] = struct{}{}
}

// arrived is moved for an object that came. Guarded by mu.
func (s *Spool) arrived(g *group, n New) {
	if n.Quiet > 0 {
		g.quiet = n.Quiet
	}
	if want, ok := s.expected[g.name]; ok {
		g.expected = want
		delete(s.expected, g.name)
	}
	s.moved(g)
	s.wakeIfCalm(g)
}

// calm says whether a group that moved is complete now. Only time in which the
// spool ran counts, whatever the wall clock says (D-S7). Guarded by mu.
func (s *Spool) calm(g *group) bool {
	seen := g.live() + g.forgotten
	if s.openGroups[g.name] > 0 || g.row == nil && seen == g.discarded {
		return false
	}
	if g.expected.met(seen, g.parts.named) && !g.row.speaksOf(g.expected) {
		return true
	}
	quiet := g.quiet
	if quiet == 0 {
		quiet = s.cfg.GroupQuiet
	}
	return s.ran-g.movedAt >= int64(quiet)
}

// settleGroups makes events of the groups that came to rest. It looks only at
// those that moved since their last one.
func (s *Spool) settleGroups(ctx context.Context) error {
	for ctx.Err() == nil {
		s.mu.Lock()
		ops := s.settling()
		s.mu.Unlock()
		if len(ops) == 0 {
			return nil
		}
		if err := s.oblige(ops...); err != nil {
			return err
		}
	}
	return nil
}

// settling picks a batch. Guarded by mu.
func (s *Spool) settling() (ops []op) {
	for g := range s.unsettled {
		if g.row == nil && g.live()+g.forgotten == g.discarded {
			delete(s.unsettled, g) // nobody ever heard of it
		} else if s.calm(g) {
			ops = append(ops, op{kind: opGroup, seq: s.covered(g), at: s.cfg.Now().UnixNano(), group: g.name, test: g.allTest(), row: g.newRow()})
		}
		if len(ops) == groupBatch {
			break
		}
	}
	sort.Slice(ops, func(i, k int) bool { return ops[i].seq < ops[k].seq })
	return ops
}

// covered is the newest number that an event of g made now speaks of. Commits end
// out of order: whatever is on its way has a number from the mark on, and must not
// pass for told if it arrives behind the event and the process dies. The price is
// one revision too many after a start. Guarded by mu.
func (s *Spool) covered(g *group) uint64 { return min(g.last, s.mark()-1) }

// GroupEvents lists up to limit events that wait for AckGroup, oldest first:
// the newest of each group. They are durable. A group takes its event along when
// the last that is remembered of it goes (Config.MaxTombstones).
func (s *Spool) GroupEvents(limit int) []GroupEvent {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]GroupEvent, 0, min(s.untold.Len(), max(limit, 0)))
	for at := s.untold.Front(); len(out) < cap(out); at = at.Next() {
		out = append(out, at.Value.(*group).event())
	}
	return out
}

// AckGroup tells that whoever had to know of an event knows. It is durable when
// it returns nil. An older event than the group's newest changes nothing.
func (s *Spool) AckGroup(ctx context.Context, ev GroupEvent) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return s.oblige(op{kind: opGroupTold, group: ev.Group, row: &groupRow{revision: ev.Revision}})
}

// mayTell says whether a row about a group changes anything. Guarded by mu.
func (s *Spool) mayTell(o op) bool {
	g := s.groups[o.group]
	switch {
	case g == nil:
		return false
	case o.kind == opGroup:
		return g.row == nil || o.row.revision > g.row.revision
	}
	return g.row != nil && o.row.revision == g.row.revision && !g.row.told
}

// applyGroup makes a durable row about a group true in memory. Guarded by mu.
func (s *Spool) applyGroup(o op) {
	g := s.groups[o.group]
	if g == nil {
		return // it went meanwhile
	}
	if o.kind == opGroupTold {
		g.row = g.row.after(o)
		s.isTold(g)
		return
	}
	if g.row = o.row.of(o); g.moves == o.row.moves {
		delete(s.unsettled, g)
	}
	s.waitsToBeTold(g)
	s.tellGroup(g)
}

// waitsToBeTold: events are told in the order in which they became durable. Guarded by mu.
func (s *Spool) waitsToBeTold(g *group) {
	s.isTold(g)
	g.inUntold = s.untold.PushBack(g)
}

// isTold: nothing of g waits. Guarded by mu.
func (s *Spool) isTold(g *group) {
	if g.inUntold != nil {
		s.untold.Remove(g.inUntold)
		g.inUntold = nil
	}
}

// adoptGroups gives groups what the journal knows of them. One of which
// something came, or was discarded, behind its last event moves again: its quiet
// time starts anew. Guarded by mu.
func (s *Spool) adoptGroups(rows map[string]*groupRow) {
	var untold []*group
	for _, g := range s.groups {
		g.row = rows[g.name]
		if g.row == nil || g.last > g.row.covered || g.row.changed {
			s.unsettled[g] = struct{}{}
		}
		if g.row != nil && !g.row.told {
			untold = append(untold, g)
		}
	}
	sort.Slice(untold, func(i, k int) bool { return untold[i].row.covered < untold[k].row.covered })
	for _, g := range untold {
		s.waitsToBeTold(g)
	}
}

// groupOps is what a snapshot says of groups. Guarded by mu.
func (s *Spool) groupOps() (ops []op) {
	for _, g := range s.groups {
		if g.row == nil {
			continue
		}
		row := *g.row
		_, row.changed = s.unsettled[g]
		ops = append(ops, op{kind: opGroup, seq: row.covered, at: row.at, group: g.name, test: row.test, row: &row})
	}
	return ops
}
