package spool

import (
	"cmp"
	"math"
	"time"
)

// Object returns one object with its Meta.
func (s *Spool) Object(id ID) (Object, error) {
	s.mu.Lock()
	e, err := s.find(id)
	if err != nil {
		s.mu.Unlock()
		return Object{}, err
	}
	o := e.object()
	s.mu.Unlock()
	o.Meta = s.meta(o.Seq)
	return o, nil
}

// Waits reports whether an object is here and still to be sent.
func (s *Spool) Waits(id ID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, err := s.find(id)
	return err == nil && (e.state() == Received || e.state() == Sending)
}

// Objects lists up to limit objects with a sequence number above after, oldest
// first, with their Meta. Page through with the last Seq.
func (s *Spool) Objects(after uint64, limit int) []Object {
	out := s.Outline(after, limit)
	for i := range out {
		out[i].Meta = s.meta(out[i].Seq)
	}
	return out
}

// Group sums up the objects of one group that are here, and how many of it were
// forgotten as far as that is remembered.
type Group struct {
	Name         string
	ByState      map[State]int64
	Objects      int64
	Bytes        int64 // content
	Waiting      int64 // of these, of what is still to be sent; what is set aside is not
	There        int64 // and of what the hub has
	Forgotten    int64
	Discarded    int64
	LastSeq      uint64 // newest object, as far as that is remembered
	LastReceived time.Time

	Parts      []GroupPart // here and forgotten, without what was discarded
	Open       int         // associations that work on it
	Expected   int64       // how many objects it is going to have; zero: nobody said
	Complete   bool        // nothing came or was discarded since its last event
	Revision   uint32      // of that; zero: none yet
	CompleteAt time.Time   // when that was
}

// Groups lists up to limit groups, the one with the newest object first. It looks at
// these alone, however many there are: of 100,000, ten take 6 µs (BenchmarkGroups),
// where a walk of all took 2.4 ms, and each C-STORE waits for the lock meanwhile.
func (s *Spool) Groups(limit int) (out []Group) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, g := range s.latest.some(limit) {
		out = append(out, s.groupInfo(g))
	}
	return out
}

// Group is one group by its name; ok is false when there is none.
func (s *Spool) Group(name string) (g Group, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	in := s.groups[name]
	if in == nil {
		return Group{}, false
	}
	return s.groupInfo(in), true
}

// Figures are how many objects a group has, by state and in all: what Group says without
// making a list of anything. ok is false where there is no such group.
func (s *Spool) Figures(name string) (by func(State) int64, objects int64, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	in := s.groups[name]
	if in == nil {
		return func(State) int64 { return 0 }, 0, false
	}
	counts := in.byState
	return func(st State) int64 { return counts[st] }, in.live(), true
}

// GroupObjects lists the objects of one group, oldest first, with their Meta.
func (s *Spool) GroupObjects(name string, limit int) []Object {
	out := s.GroupOutline(name, 0, limit)
	for i := range out {
		out[i].Meta = s.meta(out[i].Seq)
	}
	return out
}

func (s *Spool) groupInfo(g *group) Group {
	out := g.info()
	_, moving := s.unsettled[g]
	out.Open, out.Complete = s.openGroups[g.name], g.row != nil && !moving
	return out
}

func (g *group) info() Group {
	out := Group{Name: g.name, ByState: map[State]int64{}, Objects: g.live(), Bytes: g.bytes, Waiting: g.waiting, There: g.there, Forgotten: g.forgotten - g.discarded, Discarded: g.discarded,
		LastSeq: g.last, Parts: g.partList(math.MaxInt), Expected: g.expected.objects}
	if g.row != nil {
		out.Revision, out.CompleteAt = g.row.revision, time.Unix(0, g.row.at)
	}
	for st, n := range g.byState {
		if n > 0 {
			out.ByState[State(st)] = n
		}
	}
	if g.lastReceived != 0 {
		out.LastReceived = time.Unix(0, g.lastReceived)
	}
	return out
}

// Stats is the spool at a glance.
type Stats struct {
	Objects        int64
	Bytes          int64 // of containers on the disk
	FreeBytes      int64 // that the file system still gives us
	BacklogObjects int64 // received or being sent
	BacklogBytes   int64
	BacklogGroups  int64 // of which at least one of these is
	ByState        map[State]int64
	Conflicts      int64         // objects whose name another one with other contents has, or had; the hub holds the later ones
	Damaged        int64         // objects whose bytes are not what was stored, in whatever state; somebody should look
	SetAside       int64         // received objects whose files a start moved to the quarantine folder, until they come again or the archive has them
	Missing        int64         // received objects whose files are gone or cannot be opened, as far as journal or index know of them; until the same
	Unfinished     int64         // files that a power cut left unfinished, of objects that were never acknowledged unless the disk lies: no alarm
	DayBytes       int64         // of containers that came in the last 24 hours of running
	FillsIn        time.Duration // until it is full if as much goes on coming; zero: unknown
	Scrub          ScrubStats
	Admission      Admission
	Ballast        bool  // the reserve for receipts is in place
	Err            error // why the spool has failed, or that its disk cannot even be asked for room: it may be gone
}

// Stats counts nothing: the sums are kept.
func (s *Spool) Stats() Stats {
	free, ferr := s.fs.Free()
	if ferr != nil {
		free = 0
	}
	st := Stats{FreeBytes: free, ByState: map[State]int64{}, Admission: s.Admission()}
	s.space.ballastMu.Lock()
	st.Ballast = s.space.ballast > 0 || s.cfg.BallastBytes == 0
	s.space.ballastMu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	st.Conflicts = s.conflicts
	st.Err, st.Damaged, st.SetAside, st.Missing, st.Unfinished = cmp.Or(s.failed, ferr), s.damaged, s.setAside, s.missing, s.torn
	st.DayBytes, st.FillsIn, st.Scrub = s.day.sum(hourOf(s.age)), s.fillsIn(free), s.scrub
	for i := range s.count {
		st.Objects += s.count[i]
		st.Bytes += s.bytes[i]
		st.ByState[State(i)] = s.count[i]
	}
	st.BacklogObjects = s.count[Received] + s.count[Sending]
	st.BacklogBytes = s.bytes[Received] + s.bytes[Sending]
	st.BacklogGroups = s.backlogGroups
	return st
}
