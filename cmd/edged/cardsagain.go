package main

import (
	"edged/spool"
)

// reread is an object of which more was found than its study's first object says: after a
// start that is read again, so that its values stand with the study as before.
type reread struct {
	group string
	o     spool.Object // of an outline: without Meta
}

// maxReread is of how many objects of a study that is done. Of what has the same cause in
// more of them, the number is then that of those.
const maxReread = 16

// flagFound marks an object whose header has something to be corrected; the hub does not know
// it.
const flagFound uint32 = 1 << 14

const endFound = flagCut | flagPixelsShort | flagPixelsFrames | flagPixelsOpen | flagPixelsLong | flagPixelsNone

// later reports whether the findings of an object that was here at the start need not be told
// from its outline: it will be read again, or the door has told of it. Guarded by mu.
func (c *cards) later(in *card, o spool.Object, again map[uint64]int) bool {
	if live := c.live.Load(); live != 0 && o.Seq >= live {
		return true
	}
	first := o.Seq == in.seq // whose Meta is read anyway
	if o.Test || o.Flags&endFound == 0 && (first || o.Flags&flagFound == 0) || again[in.key] >= maxReread {
		return false
	}
	again[in.key]++
	if o.Meta = nil; first {
		o.Flags &^= flagFound
	}
	c.rereads = append(c.rereads, reread{in.group, o})
	return true
}

// reread adds what an object says: of its header, of its end.
func (c *cards) reread(s *spool.Spool, r reread) {
	var m Meta
	if r.o.Flags&flagFound != 0 {
		m, _ = decodeMeta(s.Meta(r.o.Seq)) // it has gone meanwhile, or cannot be read: nothing is told
	}
	if ends := ofObject(r.o); len(ends) > 0 {
		if r.o.Flags&endFound != 0 {
			ends = withValues(ends, endOf(s, r.o))
		}
		m.Findings = append(m.Findings, ends...)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if in := c.find(c.keyOf(r.group)); in != nil && in.seq > 0 {
		c.found(in, m)
	}
}
