package main

import (
	"context"
	"io"
	"slices"
	"time"

	"edged/dimse/dataset"
	"edged/dimse/query"
	"edged/internal/dicom"
	"edged/spool"
)

// run keeps the catalogue until ctx ends, of one spool after the other.
func (c *catalogue) run(ctx context.Context) error {
	if c == nil { // no device may query
		<-ctx.Done()
		return nil
	}
	for ctx.Err() == nil {
		s, err := c.keeper.await(ctx)
		if err != nil {
			return nil
		}
		c.reset(s)
		c.follow(ctx, s)
		c.reset(nil)
	}
	return nil
}

const (
	catalogueBuffer = 4096            // events that may wait while headers are read
	cataloguePause  = 5 * time.Second // without a loss, before all is looked at again because events were lost
	cataloguePage   = 1000
)

// follow looks at all of a spool, then at what changes.
func (c *catalogue) follow(ctx context.Context, s *spool.Spool) {
	w := s.Watch(catalogueBuffer)
	defer w.Close()
	look := time.NewTicker(time.Second)
	defer look.Stop()
	c.scan(ctx, s)
	c.markWhole()
	var lost time.Time // when events were, zero: none were
	take := func(ev spool.Event) {
		if ev.Lost {
			lost = time.Now()
		}
		c.take(s, ev)
	}
	for {
		select {
		case <-ctx.Done():
			return
		case ev := <-w.C:
			take(ev)
		case done := <-c.ask:
			for range len(w.C) {
				take(<-w.C)
			}
			close(done)
		case <-look.C:
			if now, _ := c.keeper.get(); now != s {
				return
			}
			if !lost.IsZero() && time.Since(lost) > cataloguePause {
				lost = time.Time{}
				c.scan(ctx, s)
			}
		}
	}
}

func (c *catalogue) markWhole() {
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case <-c.whole:
	default:
		close(c.whole)
	}
}

// scan looks at every object, then reads the headers of those series that it found:
// in this order, so that none is read of a study that falls out again.
func (c *catalogue) scan(ctx context.Context, s *spool.Spool) {
	seen := make(map[uint64]struct{})
	for after := uint64(0); ctx.Err() == nil; {
		page := s.Objects(after, cataloguePage)
		if len(page) == 0 {
			break
		}
		for _, o := range page {
			if after = o.Seq; listed(s, o) {
				seen[o.Seq] = struct{}{}
				c.note(o)
			}
		}
	}
	c.keep(seen)
	for _, se := range c.unread() {
		if ctx.Err() != nil {
			return
		}
		c.read(s, se)
	}
}

// note adds an object.
func (c *catalogue) note(o spool.Object) *heldSeries {
	m, err := decodeMeta(o.Meta)
	if err != nil {
		return nil // without its UIDs it cannot be sent
	}
	return c.add(o, m)
}

// take follows one event.
func (c *catalogue) take(s *spool.Spool, ev spool.Event) {
	switch {
	case ev.Kind != 0 || ev.Group == "" || ev.Test:
	case ev.Forgotten:
		c.drop(ev.Group, ev.Seq)
	case !c.knows(ev.Group, ev.Seq):
		o, err := s.Object(ev.ID)
		if err != nil || !listed(s, o) {
			return
		}
		if se := c.note(o); se != nil {
			c.read(s, se)
		}
	default:
		c.doubt(s, ev)
	}
}

// doubt reads the header of a series from another object when the one that it was
// read from may no longer be given.
func (c *catalogue) doubt(s *spool.Spool, ev spool.Event) {
	c.mu.Lock()
	se, _, there := c.find(ev.Group, ev.Seq)
	there = there && se.from == ev.Seq
	c.mu.Unlock()
	if !there {
		return
	}
	if o, err := s.Object(ev.ID); err == nil && !givable(o) {
		c.mu.Lock()
		c.setHead(se, nil, 0)
		c.mu.Unlock()
		c.read(s, se)
	}
}

// listed says whether the object is one of its study; see catalogue.
func listed(s *spool.Spool, o spool.Object) bool {
	if o.Test || o.Group == "" {
		return false
	}
	if !o.Conflict {
		return true
	}
	m, err := decodeMeta(o.Meta)
	if err != nil {
		return true // its file is damaged since it came; that must not look as if it were not there
	}
	return !slices.ContainsFunc(s.Named(m.SOPInstance), func(n spool.Object) bool { return n.Seq < o.Seq && n.ID != o.ID }) &&
		!slices.ContainsFunc(s.ForgottenNamed(m.SOPInstance), func(f spool.Forgotten) bool { return f.Seq < o.Seq && f.ID != o.ID })
}

// givable says whether others may have the bytes of what is listed.
func givable(o spool.Object) bool {
	return !o.Damaged && !o.Lost && o.State != spool.Quarantined
}

func (c *catalogue) unread() (all []*heldSeries) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, st := range c.studies {
		for _, se := range st.series {
			if se.head == nil {
				all = append(all, se)
			}
		}
	}
	return all
}

// maxHeaderTries bounds how many objects of a series are looked at for a header.
const maxHeaderTries = 16

// read takes the attributes of a series from the newest of its objects that may be
// given, which is the first of a new one.
func (c *catalogue) read(s *spool.Spool, se *heldSeries) {
	c.mu.Lock()
	if se.gone { // its study has fallen out meanwhile
		c.mu.Unlock()
		return
	}
	last := slices.Clone(se.objects[max(0, len(se.objects)-maxHeaderTries):])
	c.mu.Unlock()
	from, b := firstHead(s, last)
	c.mu.Lock()
	defer c.mu.Unlock()
	if se.thin = len(b) == 0; !se.thin || se.head == nil {
		c.setHead(se, append([]byte{}, b...), from)
	}
}

// firstHead is what the newest of the objects that may be given says of its
// series; nothing if it cannot be read.
func firstHead(s *spool.Spool, all []heldObject) (from uint64, b []byte) {
	for _, h := range slices.Backward(all) {
		if o, err := s.Object(h.id); err != nil || !givable(o) {
			continue
		}
		head, err := headerOf(s, h.id)
		if err == nil {
			b, err = picked(head, query.Series).Append(nil, dataset.ExplicitVRLittleEndian)
		}
		if err != nil || len(b) > maxHead {
			b = nil
		}
		return h.seq, b
	}
	return 0, nil
}

// Gap: a header is read without the digest, which is over all of the object, up to
// gigabytes. Of one that is encrypted every chunk proves itself; in one that is not,
// what the disk has changed and nobody has found yet is told as it stands there.
// The scrubber finds it, and then the header comes from another object. What is sent
// is always checked (P14).

// headerOf reads the first elements of an object, guarded: at most
// dicom.HeaderWindow bytes, by a reader that allocates nothing by what they say.
func headerOf(s *spool.Spool, id spool.ID) (dataset.Set, error) {
	c, err := s.Open(id)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	m, err := decodeMeta(c.Meta())
	if err != nil {
		return nil, err
	}
	window := make([]byte, min(dicom.HeaderWindow, c.Size()))
	n, err := io.ReadFull(c, window)
	if err != nil {
		return nil, err
	}
	head, err := dataset.Head(window[:n], m.TransferSyntax)
	if len(head) > 0 {
		err = nil // what stands before damage is told
	}
	m.identify(&head)
	return head, err
}

// What a value may take in the catalogue.
const (
	maxCatalogueValue    = 512
	maxCatalogueSequence = 4 << 10
)

// picked are the keys of a level and of those above, with values of a size that is
// worth keeping.
func picked(head dataset.Set, level query.Level) (out dataset.Set) {
	for _, e := range head {
		if e.Tag != query.CharacterSet && !query.Supported(e.Tag, level) || len(e.Value) > maxCatalogueValue {
			continue
		}
		if e.Items != nil {
			if b, err := (dataset.Set{e}).Append(nil, dataset.ExplicitVRLittleEndian); err != nil || len(b) > maxCatalogueSequence {
				continue
			}
		}
		out = append(out, e)
	}
	return out
}
