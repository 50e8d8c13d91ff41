package spool

import (
	"errors"
	"os"
	"sort"
)

// beginJournal writes all that is known to a new segment, with its own sync:
// the old one may be only in the page cache, or torn.
func (r *recovery) beginJournal() error {
	s := r.s
	for name, n := range r.book.standing.counters {
		s.counters[name] = n
	}
	s.next, s.age = r.nextSeq(), r.book.standing.age
	for _, t := range r.book.tombs {
		s.bury(t)
		if t.seq >= r.book.standing.mark && !t.test {
			s.counters[CountReceived]++
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range r.lost { // first: their good copies take over from them
		r.adoptLost(l)
	}
	for _, o := range r.found {
		r.adopt(o)
	}
	sort.Slice(s.order, func(i, k int) bool { return s.order[i].seq < s.order[k].seq })
	s.adoptGroups(r.book.groups)
	s.latest = newLatest(s.groups)
	s.adoptScrub(r.book.scrubbed)
	s.notes = r.book.notes
	r.rep.Objects = len(r.found)
	return r.firstSegment()
}

// nextSeq is above every number that was ever given away. A name that the disk or
// somebody altered may say one so high that the next start would take no file behind
// it for an object: such a number was never given away here, and is left where it is.
func (r *recovery) nextSeq() uint64 {
	if r.maxSeq < maxSeq/2 {
		return r.maxSeq + 1
	}
	var top uint64
	see := func(seq uint64) {
		if seq < maxSeq/2 {
			top = max(top, seq)
		}
	}
	see(r.book.standing.next - 1)
	for _, o := range r.found {
		see(o.seq)
	}
	for _, l := range r.lost {
		see(l.seq)
	}
	for _, t := range r.book.tombs {
		see(t.seq)
	}
	return top + 1
}

// adopt makes an entry of a file and of what the journal knows of it.
func (r *recovery) adopt(o found) {
	s := r.s
	e := &entry{facts: facts{id: o.c.id}, seq: o.seq, start: o.c.start, content: o.c.content, disk: o.c.disk, received: o.c.received,
		flags: o.c.flags, preface: uint32(o.c.parts.preface), priority: o.c.priority, test: o.c.test, group: s.intern(o.c.group)}
	e.part, e.name, e.source = e.group.part(o.c.part), o.c.name, o.c.source
	s.adoptDay(e)
	if f := r.book.facts[o.seq]; f != nil && f.id == e.id {
		e.facts = *f
		delete(r.book.facts, o.seq)
	}
	e.again = r.again[e.seq] || r.damage[e.id] && !e.damaged
	if old := s.byID[e.id]; old != nil && old.damaged && e.facts == (facts{id: e.id}) {
		e.inherit(old)
	}
	if o.seq >= r.book.standing.mark && !e.test && !e.again {
		s.counters[CountReceived]++
	}
	s.dirs[shardName(o.seq)] = true
	r.list(e)
}

// list is publish for many: order is sorted once, when all are there. Putting each
// in its place would take hours where a directory was lost.
func (r *recovery) list(e *entry) {
	r.s.order = append(r.s.order, e)
	r.s.show(e)
}

// unlinkForgotten repeats unlinks that a crash undid; the rows that allow it
// are durable in the new segment. As in unlink an error is only told: a file that
// a bad disk keeps must not keep all others from being sent (P6).
func (r *recovery) unlinkForgotten() error {
	for _, name := range r.undone {
		if r.unlinked(name) {
			r.rep.Undone++
		}
	}
	for _, name := range r.spare {
		r.unlinked(name)
	}
	return nil
}

func (r *recovery) unlinked(name string) bool {
	err := r.s.fs.Remove(name)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		r.s.cfg.Logger.Warn("file that is to go is not unlinked", "name", name, "error", err)
		return false
	}
	return true
}

// syncAll is the commit point of recovery. Before it nothing was shown to anybody.
func (r *recovery) syncAll() error {
	if mutant != mutantNoSyncFS {
		if err := synced(r.s.fs.SyncFS()); err != nil {
			return err
		}
	}
	return r.s.calmDown(r.suspect)
}
