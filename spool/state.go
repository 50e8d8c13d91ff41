package spool

import (
	"errors"
	"maps"
	"sort"
	"time"
)

// The counters that every spool has. Others are made by Count.
const (
	CountReceived    = "received"
	CountAtHub       = "at_hub"
	CountArchived    = "archived"
	CountRefused     = "refused"
	CountQuarantined = "quarantined"
	CountDiscarded   = "discarded"
)

// change is the only place where an entry's state moves: it keeps the sums, the
// queue, the index and the watchers true. Guarded by mu.
func (s *Spool) change(e *entry, do func()) {
	before := e.state()
	s.tally(e, before, -1)
	do()
	after := e.state()
	if !e.gone {
		s.tally(e, after, +1)
	}
	if after == Sending {
		s.leased[e] = struct{}{}
	} else {
		delete(s.leased, e)
	}
	if after == Received && !e.queued && !e.gone {
		s.queue.push(e)
	}
	if before != after || e.gone {
		s.tell(e, after)
	}
}

func (s *Spool) tally(e *entry, st State, by int64) {
	s.count[st] += by
	s.bytes[st] += by * e.size()
	if e.damaged {
		*s.trouble(e, st) += by
	}
	waited := e.group.waits()
	e.group.byState[st] += by
	if waits := e.group.waits(); waits != waited {
		s.backlogGroups += by
	}
	e.group.weigh(st, by*e.content)
	e.part.add(by, by*e.content)
	if e.test {
		e.group.tests += by
	}
}

// trouble is the sum that a damaged object is in. What the archive has is not
// lost, but the disk is bad.
func (s *Spool) trouble(e *entry, st State) *int64 {
	switch {
	case e.fate == inPlace || st == Archived:
		return &s.damaged
	case e.torn:
		return &s.torn
	case e.fate == setAside:
		return &s.setAside
	}
	return &s.missing
}

// publish makes a durable object visible. Guarded by mu.
func (s *Spool) publish(e *entry) {
	i := len(s.order)
	for i > 0 && s.order[i-1].seq > e.seq { // commits end slightly out of order
		i--
	}
	s.order = append(s.order, nil)
	copy(s.order[i+1:], s.order[i:])
	s.order[i] = e
	s.show(e)
}

// show is publish for what is in order already, or will be. Guarded by mu.
func (s *Spool) show(e *entry) {
	if old := s.byID[e.id]; e.id == (ID{}) {
		// nobody knows whose file it was
	} else if old == nil {
		s.byID[e.id] = e
	} else if old.damaged {
		s.byID[e.id] = e
		s.healed = append(s.healed, old)
	}
	if e.group.first == 0 || e.seq < e.group.first {
		e.group.first = e.seq
	}
	s.latest.reached(e.group, e.seq)
	e.group.lastReceived = max(e.group.lastReceived, e.received)
	s.tally(e, e.state(), +1)
	s.stale = append(s.stale, e)
	s.called(e)
	if e.state() == Received && s.byID[e.id] == e {
		s.queue.push(e)
	}
	s.tell(e, e.state())
}

// find returns the live object of an ID. Guarded by mu.
func (s *Spool) find(id ID) (*entry, error) {
	if e := s.byID[id]; e != nil {
		return e, nil
	}
	return nil, ErrUnknown
}

// at returns the index in order of the first entry with a sequence number above seq.
func (s *Spool) at(seq uint64) int {
	return sort.Search(len(s.order), func(i int) bool { return s.order[i].seq > seq })
}

// atSeq returns the entry with that number, or nil. Guarded by mu.
func (s *Spool) atSeq(seq uint64) *entry {
	if i := s.at(seq - 1); seq > 0 && i < len(s.order) && s.order[i].seq == seq && !s.order[i].gone {
		return s.order[i]
	}
	return nil
}

// oblige makes ops durable in the journal and then true in memory. All who call
// at the same time share one flush.
func (s *Spool) oblige(ops ...op) error {
	if len(ops) == 0 {
		return s.Err()
	}
	return s.obligations.do(ops, s.flush)
}

// opStanding asks for a record that carries nothing but the standing.
const opStanding kind = 0

// landing is what one record of the journal says.
type landing struct {
	ops    []op
	gained map[string]uint64
}

// flush is run by the leader of a round. The commit point is journal.append.
func (s *Spool) flush(ops []op) error {
	if err := errors.Join(s.Err(), s.finish()); err != nil {
		return err
	}
	if err := s.lateSegment(); err != nil {
		return s.journalError(err)
	}
	s.mu.Lock()
	if err := s.usable(); err != nil {
		s.mu.Unlock()
		return err
	}
	ops, gained := s.effective(append(s.mending(), ops...))
	st := s.standingWith(gained)
	if len(ops) > 0 {
		s.unproved, s.dirty = 0, false
	}
	s.mu.Unlock()
	if len(ops) == 0 {
		return nil
	}
	if mutant == mutantEarlyDelete {
		s.unlink(ops)
	}
	l := landing{ops, gained}
	if ops[0].kind == opStanding {
		l.ops = ops[1:]
	}
	if err := s.journal.append(st, l.ops); err != nil {
		s.unfinished = l // finish asks the journal whether there is any of it
		return s.journalError(err)
	}
	s.land(l)
	return s.compact()
}

// finish completes a round that was told ErrFull after a part of its record was
// written. What becomes durable becomes true in memory as well, before anything
// is decided after it: a row "forgotten" that came to life behind a Reoffer
// would take the only copy away (P2). Its callers ask again, to no effect.
func (s *Spool) finish() error {
	left, err := s.journal.finish()
	if err != nil {
		return s.journalError(err)
	}
	if left {
		s.land(s.unfinished)
	}
	s.unfinished = landing{}
	return nil
}

// journalError: a full disk is transient, everything else ends the spool.
func (s *Spool) journalError(err error) error {
	if !errors.Is(err, ErrFull) {
		return s.fail(err)
	}
	s.mu.Lock()
	s.dirty = true
	s.mu.Unlock()
	return err
}

// land makes true in memory what is durable.
func (s *Spool) land(l landing) {
	s.mu.Lock()
	for _, o := range l.ops {
		s.applyLive(o)
	}
	for name, n := range l.gained {
		s.counters[name] += n
	}
	s.mu.Unlock()
	s.unlink(l.ops)
}

// unlink removes the files of objects that were forgotten. It runs after the
// rows are durable (file before row, row before unlink). That a crash may undo
// it is harmless (SPOOL-18); an error is only told, recovery tries again.
func (s *Spool) unlink(ops []op) {
	for _, o := range ops {
		if o.kind != opForgot && !(mutant == mutantEarlyDelete && o.kind == opArchived) {
			continue
		}
		name := objectName(o.seq)
		switch o.fate {
		case setAside:
			name = asideName(o.seq)
		case missing:
			continue
		}
		if err := s.fs.Remove(name); err != nil && mutant != mutantEarlyDelete {
			s.cfg.Logger.Warn("forgotten object not unlinked", "seq", o.seq, "error", err)
		}
	}
}

// effective keeps the ops that change something, and says what they add to the
// counters. Guarded by mu.
func (s *Spool) effective(ops []op) (keep []op, gained map[string]uint64) {
	gained = map[string]uint64{}
	seen := map[uint64]*facts{} // what the ops before in this round made of it
	gone := map[uint64]bool{}   // what they let go
	reoffered, noted := false, false
	for _, o := range ops {
		switch o.kind {
		case opStanding:
			if len(keep) == 0 {
				keep = append(keep, o)
			}
			continue
		case opReoffer:
			keep, reoffered = append(keep, o), true
			continue
		case opGroup, opGroupTold:
			if s.mayTell(o) {
				keep = append(keep, o)
			}
			continue
		case opScrubbed, opNote:
			keep, noted = append(keep, o), noted || o.kind == opNote
			continue
		case opNoteGone:
			if noted || s.notes.sizeOf(o.note.key) > 0 {
				keep = append(keep, o)
			}
			continue
		}
		o = s.forTwin(o)
		e := s.atSeq(o.seq)
		if e == nil || e.id != o.id || gone[o.seq] {
			continue // a row behind the last one of an object would bring it back as missing
		}
		if o.kind == opArchived && o.damaged { // believed because no good copy was here
			if o.damaged = false; !e.damaged {
				continue // now there is: it needs a receipt first (P2)
			}
		}
		if o.healed || o.discard {
			keep, gone[o.seq] = append(keep, o), true
			if o.discard && !e.test {
				gained[CountDiscarded]++
			}
			continue
		}
		f := seen[o.seq]
		if f == nil {
			f = new(facts)
			*f = e.facts
			seen[o.seq] = f
		}
		before := *f
		if o.kind == opForgot && (!s.cfg.mayForget(before) || reoffered && before.state != Archived) {
			continue // what came before it in this round took the permission back (P2)
		}
		f.apply(o)
		gone[o.seq] = o.kind == opForgot
		if *f != before || reoffered || o.kind == opForgot {
			keep = append(keep, o)
			s.gain(gained, e.test, before, *f)
		}
	}
	return keep, gained
}

// gain counts a transition. Test objects are never counted (DESIGN 5.3).
func (s *Spool) gain(gained map[string]uint64, test bool, before, after facts) {
	if test {
		return
	}
	if after.wasAtHub && !before.wasAtHub {
		gained[CountAtHub]++
	}
	if after.state == Archived && before.state != Archived {
		gained[CountArchived]++
	}
	if after.quarantined && !before.quarantined {
		gained[CountQuarantined]++
	}
}

// standingWith is the truth as it will be when the ops that gained are applied.
// Guarded by mu.
func (s *Spool) standingWith(gained map[string]uint64) standing {
	st := standing{mark: s.mark(), next: s.next, age: s.age, counters: maps.Clone(s.counters)}
	for name, n := range gained {
		st.counters[name] += n
	}
	// Objects from the mark on are counted by recovery, which sees their files,
	// or the rows that let them go.
	for i := len(s.order) - 1; i >= 0 && s.order[i].seq >= st.mark; i-- {
		if e := s.order[i]; !e.test && !e.again && e.id != (ID{}) {
			st.counters[CountReceived]--
		}
	}
	return st
}

// applyLive makes a durable op true in memory. Guarded by mu.
func (s *Spool) applyLive(o op) {
	switch o.kind {
	case opGroup, opGroupTold:
		s.applyGroup(o)
		return
	case opNote, opNoteGone:
		s.notes.apply(o)
		return
	case opReoffer:
		for _, e := range s.order {
			if !e.gone && e.facts.state == AtHub {
				s.change(e, func() { e.apply(o) })
			}
		}
		return
	}
	e := s.atSeq(o.seq)
	if e == nil {
		return
	}
	if o.kind == opForgot {
		s.drop(e, o)
		return
	}
	s.change(e, func() {
		e.apply(o)
		if e.shown(false) != Received {
			e.lease = nil // a receipt ends the lease
		}
		if o.kind == opReleased {
			e.tries = 0
		}
	})
}

// drop takes a forgotten object out of memory and remembers that it was here.
func (s *Spool) drop(e *entry, o op) {
	s.change(e, func() { e.gone, e.discarded, e.lease = true, o.discard, nil })
	s.stale = append(s.stale, e)
	s.uncalled(e)
	if s.byID[e.id] == e {
		delete(s.byID, e.id)
	}
	if o.healed {
		s.dismiss(e.group) // the good copy came in another one
	}
	if o.part = e.part.label(); o.discard && o.buried() {
		s.moved(e.group)
	}
	s.bury(o)
	e.group.prune(e.part)
	s.gaps++
	if s.gaps > 1024 && s.gaps > len(s.order)/2 {
		s.closeGaps()
	}
}

// closeGaps keeps those from the mark on: standingWith counts them. Guarded by mu.
func (s *Spool) closeGaps() {
	mark, live := s.mark(), make([]*entry, 0, len(s.order)-s.gaps)
	s.gaps = 0
	for _, e := range s.order {
		if e.gone && e.seq < mark {
			continue
		}
		if e.gone {
			s.gaps++
		}
		live = append(live, e)
	}
	s.order = live
}

// compact begins a new segment when the journal has outgrown its snapshot.
// Called by the leader of obligations.
func (s *Spool) compact() error {
	j := s.journal
	if j.size < s.cfg.JournalBytes+2*j.atStart {
		return nil
	}
	s.mu.Lock()
	st, ops := s.standingWith(nil), s.snapshot()
	s.mu.Unlock()
	if err := j.begin(st, ops); err != nil && !errors.Is(err, ErrFull) {
		return s.fail(err)
	}
	return nil // without room the old segment goes on growing
}

// snapshot returns all obligations that still matter. Guarded by mu.
func (s *Spool) snapshot() []op {
	ops := append([]op(nil), s.tombs.list()...)
	for _, e := range s.order {
		if !e.gone {
			ops = append(ops, e.facts.ops(e.seq)...)
		}
	}
	ops = append(append(ops, s.groupOps()...), s.notes.ops()...)
	return append(ops, s.scrub.op())
}

// writeStanding makes mark, counters and age durable.
func (s *Spool) writeStanding() error { return s.oblige(op{kind: opStanding}) }

// Count adds n to a counter of the caller's own, or to CountRefused. It becomes
// durable with the next write of the journal, within a second while Run runs.
func (s *Spool) Count(name string, n uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.counters[name]; !known && (len(s.counters) >= maxCounters || len(name) > 255) {
		return // bounded: P9
	}
	s.counters[name] += n
	s.dirty = true
}

// Counters returns all counters, for the life of the directory.
func (s *Spool) Counters() map[string]uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.counters)
}

// tick advances the spool's own age. A wall clock that jumps adds at most a
// minute; time in which the appliance was off does not count (D-S7).
func (s *Spool) tick() {
	s.mu.Lock()
	s.advance()
	s.mu.Unlock()
}

// advance: a jump is no time of running for the quiet of groups, which is short.
// Guarded by mu.
func (s *Spool) advance() {
	now := s.cfg.Now()
	step := now.Sub(s.aged)
	if s.aged = now; step <= 0 {
		return
	}
	s.age += int64(min(step, time.Minute))
	if step <= time.Minute {
		s.ran += int64(step)
	}
}
