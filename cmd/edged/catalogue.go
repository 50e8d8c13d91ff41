package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"edged/dimse/dataset"
	"edged/dimse/query"
	"edged/spool"
)

// catalogue is what queries are answered from: which studies and series the spool
// holds, with the attributes of one object of each series. It lies in memory
// only, so that no name of a person is on the disk but in the objects (P10), and is
// made again at every start, in the background. It exists only where a device may
// query or retrieve.
//
// What is a test is never offered, nor what has no Study Instance UID in its header.
// Of several objects with one SOP Instance UID and different contents (P5) the first
// that came is, and the later ones are not, also when the first has gone. What is
// quarantined or damaged is never given either, but it stays here and is counted:
// who retrieves its study is told that it failed, and takes no part for the whole.
//
// Gap: an object that a start finds without a whole file has no study any more, so
// nothing here tells of it; the page and the hub do.
//
// Bounds (P9): maxHeldStudies studies, maxHeld objects and maxHeldBytes of what is
// known of their series; beyond any, the study to which nothing has come for longest
// falls out, and is found again by nobody until something comes for it. Of one study
// maxStudySeries series are held: objects of others are not offered, nor what comes to a
// study that takes all of maxHeld by itself. That is logged once, and a retrieve that
// would leave such objects out is refused, so that nobody takes a part for the whole.
// Measured: a study of four series and twenty objects
// takes 4.5 KiB, so 10,000 of them 46 MB, and a query looks at those in half a second.
type catalogue struct {
	keeper *keeper
	ask    chan chan struct{} // to run: follow what has happened so far, then close it

	mu      sync.Mutex    // guards what follows, and the rows
	spool   *spool.Spool  // nil: there is none
	whole   chan struct{} // closed when all of spool has been looked at
	studies map[string]*heldStudy
	held    int // objects in all studies
	bytes   int // of all series, see heldSeries.cost
}

// One study always fits: maxStudySeries*(maxHead+seriesCost) is less than maxHeldBytes.
const (
	maxHeldStudies = 10_000
	maxHeld        = 1_000_000
	maxHeldBytes   = 128 << 20
	maxStudySeries = 2000     // of one study
	maxHead        = 64 << 10 // of one series; a larger one is as if it could not be read
	seriesCost     = 512      // what a series takes without its head, about
)

// heldStudy is one study. Its attributes are those of its oldest series.
type heldStudy struct {
	uid    string
	series []*heldSeries // by their first object
	named  map[string]*heldSeries
	newest uint64 // sequence number
	beyond bool   // it has objects that are not held
}

// heldSeries is one series.
type heldSeries struct {
	uid      string
	head     []byte // attributes of patient, study and series, in Explicit VR Little Endian; nil: not read yet
	from     uint64 // sequence number of the object that head is of
	thin     bool   // its header could not be read
	modality string
	classes  []string
	objects  []heldObject // by sequence number
	beyond   bool         // it has others
	gone     bool         // no study holds it any more
}

func (se *heldSeries) cost() int { return seriesCost + len(se.head) }

// heldObject is one of a series. Whether it can be given the spool says.
type heldObject struct {
	seq uint64
	id  spool.ID
}

func newCatalogue(k *keeper) *catalogue {
	return &catalogue{keeper: k, ask: make(chan chan struct{}), whole: make(chan struct{}), studies: make(map[string]*heldStudy)}
}

// errNoCatalogue is told as a transient failure.
var errNoCatalogue = errors.New("the list of studies is still being made, try again in a moment")

// await waits until the catalogue is whole, as long as ctx allows.
func (c *catalogue) await(ctx context.Context) (*spool.Spool, error) {
	c.mu.Lock()
	whole := c.whole
	c.mu.Unlock()
	select {
	case <-ctx.Done():
		return nil, errNoCatalogue
	case <-whole:
	}
	c.settle(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.spool == nil {
		return nil, errNoCatalogue
	}
	return c.spool, nil
}

// settlePatience is how long a query waits to see the latest; behind a scan of a
// large spool it is answered from what is known.
const settlePatience = 2 * time.Second

// settle waits until what was stored before is in the catalogue, so that whoever
// has just stored finds it.
func (c *catalogue) settle(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, settlePatience)
	defer cancel()
	done := make(chan struct{})
	select {
	case c.ask <- done:
	case <-ctx.Done():
		return
	}
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// reset begins anew with a spool, or with none.
func (c *catalogue) reset(s *spool.Spool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.spool, c.studies, c.held, c.bytes = s, make(map[string]*heldStudy), 0, 0
	select {
	case <-c.whole:
		c.whole = make(chan struct{})
	default: // whoever waits goes on waiting
	}
}

// add notes an object. It reports the series whose header is wanted, if any.
func (c *catalogue) add(o spool.Object, m Meta) *heldSeries {
	c.mu.Lock()
	defer c.mu.Unlock()
	st := c.studies[o.Group]
	if st == nil {
		st = &heldStudy{uid: o.Group, named: make(map[string]*heldSeries)}
		c.studies[o.Group] = st
	}
	st.newest = max(st.newest, o.Seq)
	se := c.of(st, o.Part)
	if se == nil || !c.hold(st, se, heldObject{o.Seq, o.ID}) {
		return nil
	}
	if se.modality == "" {
		se.modality = m.Modality
	}
	if len(se.classes) < maxClasses && !slices.Contains(se.classes, m.SOPClass) {
		se.classes = append(se.classes, m.SOPClass)
	}
	c.bound()
	if se.gone || se.head != nil && !se.thin {
		return nil
	}
	return se
}

// maxClasses bounds what is told of a series that has them all.
const maxClasses = 16

// of is the series of a study, a new one if need be; nil: there are too many.
func (c *catalogue) of(st *heldStudy, series string) *heldSeries {
	if se := st.named[series]; se != nil {
		return se
	}
	if len(st.series) >= maxStudySeries {
		c.leaveOut(st)
		return nil
	}
	se := &heldSeries{uid: series}
	st.series, st.named[series] = append(st.series, se), se
	c.bytes += se.cost()
	return se
}

// hold keeps the order; false when it is there already, or too much.
func (c *catalogue) hold(st *heldStudy, se *heldSeries, o heldObject) bool {
	i, there := se.search(o.seq)
	if there {
		return false
	}
	if c.held >= maxHeld && len(c.studies) == 1 { // there is no other that could fall out
		se.beyond = true
		c.leaveOut(st)
		return false
	}
	se.objects = slices.Insert(se.objects, i, o)
	c.held++
	return true
}

// leaveOut notes that not all of a study is offered.
func (c *catalogue) leaveOut(st *heldStudy) {
	if st.beyond {
		return
	}
	st.beyond = true
	if c.keeper != nil {
		c.keeper.log.Warn("a study is not offered whole to queries: it has too many series or objects", "series", len(st.series), "objects of all studies", c.held)
	}
}

// setHead notes what is known of a series. Guarded by mu.
func (c *catalogue) setHead(se *heldSeries, head []byte, from uint64) {
	if se.gone {
		return
	}
	c.bytes += len(head) - len(se.head)
	se.head, se.from = head, from
	c.bound()
}

func (se *heldSeries) search(seq uint64) (int, bool) {
	return slices.BinarySearchFunc(se.objects, seq, func(o heldObject, seq uint64) int {
		switch {
		case o.seq < seq:
			return -1
		case o.seq > seq:
			return 1
		}
		return 0
	})
}

// bound lets the oldest studies fall out. Guarded by mu.
func (c *catalogue) bound() {
	for len(c.studies) > maxHeldStudies || (c.held > maxHeld || c.bytes > maxHeldBytes) && len(c.studies) > 1 {
		var oldest *heldStudy
		for _, st := range c.studies {
			if oldest == nil || st.newest < oldest.newest {
				oldest = st
			}
		}
		for _, se := range oldest.series {
			c.held -= len(se.objects)
			c.bytes -= se.cost()
			se.gone = true
		}
		delete(c.studies, oldest.uid)
	}
}

// knows says whether an object is held.
func (c *catalogue) knows(group string, seq uint64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, _, there := c.find(group, seq)
	return there
}

func (c *catalogue) find(group string, seq uint64) (*heldSeries, int, bool) {
	if st := c.studies[group]; st != nil {
		for _, se := range st.series {
			if i, there := se.search(seq); there {
				return se, i, true
			}
		}
	}
	return nil, 0, false
}

// drop lets an object go, and with the last one its series and study.
func (c *catalogue) drop(group string, seq uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	se, i, there := c.find(group, seq)
	if !there {
		return
	}
	c.held--
	if se.objects = slices.Delete(se.objects, i, i+1); len(se.objects) > 0 {
		return
	}
	c.bytes -= se.cost()
	se.gone = true
	st := c.studies[group]
	delete(st.named, se.uid)
	if st.series = slices.DeleteFunc(st.series, func(s *heldSeries) bool { return s == se }); len(st.series) == 0 {
		delete(c.studies, group)
	}
}

// keep drops every object that is not among those seen.
func (c *catalogue) keep(seen map[uint64]struct{}) {
	type gone struct {
		group string
		seq   uint64
	}
	var all []gone
	c.mu.Lock()
	for _, st := range c.studies {
		for _, se := range st.series {
			for _, o := range se.objects {
				if _, ok := seen[o.seq]; !ok {
					all = append(all, gone{st.uid, o.seq})
				}
			}
		}
	}
	c.mu.Unlock()
	for _, g := range all {
		c.drop(g.group, g.seq)
	}
}

// study is a copy of what is known of one, for whoever answers a query.
type study struct {
	uid    string
	newest uint64
	series []series
	beyond bool // it has objects that are not held
	sums   sums
}

// sums is what counts over all of a study (PS3.4 Table C.6-2).
type sums struct {
	modalities, classes []string
	objects             int
}

type series struct {
	uid, modality string
	head          []byte // never changed once it is there
	classes       []string
	objects       int
	beyond        bool
	held          []heldObject // only where it was asked for
}

// list copies the studies, newest first, or those of uids. With objects comes
// what they hold.
func (c *catalogue) list(uids []string, objects bool) []study {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []study
	if uids != nil {
		for _, uid := range slices.Compact(slices.Sorted(slices.Values(uids))) {
			if st := c.studies[uid]; st != nil {
				out = append(out, st.copy(objects))
			}
		}
		return out
	}
	for _, st := range c.studies {
		out = append(out, st.copy(objects))
	}
	slices.SortFunc(out, func(a, b study) int {
		if a.newest > b.newest {
			return -1
		}
		return 1
	})
	return out
}

func (st *heldStudy) copy(objects bool) study {
	out := study{uid: st.uid, newest: st.newest, beyond: st.beyond, series: make([]series, 0, len(st.series))}
	for _, se := range st.series {
		s := series{uid: se.uid, modality: se.modality, head: se.head, classes: slices.Clone(se.classes), objects: len(se.objects), beyond: se.beyond}
		if objects {
			s.held = slices.Clone(se.objects)
		}
		out.series = append(out.series, s)
		out.sums.count(s)
	}
	return out
}

// entity is the series as a flat data set: what its header says, and what we know
// better.
func (s series) entity(st study) (dataset.Set, error) {
	e, err := dataset.Parse(s.head, dataset.ExplicitVRLittleEndian)
	if err != nil {
		return nil, fmt.Errorf("catalogue: %w", err)
	}
	e.Set(query.StudyInstanceUID, "UI", st.uid)
	e.Set(query.SeriesInstanceUID, "UI", s.uid)
	if s.modality != "" {
		e.Set(query.Modality, "CS", s.modality)
	}
	e.Set(query.InstancesOfSeries, "IS", fmt.Sprint(s.objects))
	st.sums.set(&e, len(st.series))
	return e, nil
}

// maxSums bounds what is told of a study that has them all.
const maxSums = 64

func (n *sums) count(s series) {
	n.objects += s.objects
	if s.modality != "" && len(n.modalities) < maxSums && !slices.Contains(n.modalities, s.modality) {
		n.modalities = append(n.modalities, s.modality)
	}
	for _, c := range s.classes {
		if len(n.classes) < maxSums && !slices.Contains(n.classes, c) {
			n.classes = append(n.classes, c)
		}
	}
}

func (n sums) set(e *dataset.Set, series int) {
	e.Set(query.ModalitiesInStudy, "CS", n.modalities...)
	e.Set(query.SOPClassesInStudy, "UI", n.classes...)
	e.Set(query.SeriesOfStudy, "IS", fmt.Sprint(series))
	e.Set(query.InstancesOfStudy, "IS", fmt.Sprint(n.objects))
}

// entity is the study, as its oldest series with a legible header tells it.
func (st study) entity() (dataset.Set, error) {
	best := st.series[0]
	for _, s := range st.series {
		if len(s.head) > len(best.head) && len(best.head) == 0 {
			best = s
		}
	}
	return best.entity(st)
}
