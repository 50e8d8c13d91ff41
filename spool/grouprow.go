package spool

import (
	"encoding/binary"
	"time"
)

// groupRow is what the journal knows of a group: its last event. One that is in
// use is never changed.
type groupRow struct {
	covered  uint64 // the newest sequence number that it speaks of
	revision uint32
	objects  int64
	bytes    int64
	parts    []GroupPart
	at       int64 // Unix nanoseconds, shown only
	test     bool
	told     bool   // whoever had to know knows
	changed  bool   // something came or went since
	moves    uint64 // of the group when it was made; not written
}

const (
	rowTest    = 1 << 0
	rowTold    = 1 << 1
	rowChanged = 1 << 2
)

func (r *groupRow) encode(body []byte, o op) []byte {
	body = binary.BigEndian.AppendUint64(body, uint64(o.at))
	body = binary.BigEndian.AppendUint32(body, r.revision)
	body = append(body, boolByte(o.test)*rowTest|boolByte(r.told)*rowTold|boolByte(r.changed)*rowChanged)
	body = binary.BigEndian.AppendUint64(body, uint64(r.objects))
	body = binary.BigEndian.AppendUint64(body, uint64(r.bytes))
	body = appendString(body, o.group)
	body = binary.BigEndian.AppendUint16(body, uint16(len(r.parts)))
	for _, p := range r.parts {
		body = appendString(body, p.Name)
		body = binary.BigEndian.AppendUint64(body, uint64(p.Objects))
		body = binary.BigEndian.AppendUint64(body, uint64(p.Bytes))
	}
	return body
}

func decodeGroupRow(d *decoder, o *op) {
	r := &groupRow{}
	o.at, r.revision = d.i64(), d.u32()
	bits := d.u8()
	o.test, r.told, r.changed = bits&rowTest != 0, bits&rowTold != 0, bits&rowChanged != 0
	r.objects, r.bytes = d.i64(), d.i64()
	o.group = d.str()
	for n := d.u16(); n > 0 && !d.bad; n-- {
		r.parts = append(r.parts, GroupPart{Name: d.str(), Objects: d.i64(), Bytes: d.i64()})
	}
	o.row = r
}

// of is r with what else the op says.
func (r *groupRow) of(o op) *groupRow {
	out := *r
	out.covered, out.at, out.test = o.seq, o.at, o.test
	return &out
}

// after is r when o is true: told, or a discard that r does not speak of. r may be nil.
func (r *groupRow) after(o op) *groupRow {
	if r == nil {
		return nil
	}
	out := *r
	switch {
	case o.kind == opForgot:
		out.changed = true
	case o.row.revision == r.revision:
		out.told = true
	}
	return &out
}

// newRow is the next event of g. Guarded by Spool.mu.
func (g *group) newRow() *groupRow {
	r := &groupRow{revision: 1, moves: g.moves, parts: g.partList(maxPartBytes)}
	for p := range g.parts.all {
		r.objects += p.objects
		r.bytes += p.bytes
	}
	if g.row != nil {
		r.revision = g.row.revision + 1
	}
	return r
}

// event is what callers see of the last one. Guarded by Spool.mu.
func (g *group) event() GroupEvent {
	r := g.row
	return GroupEvent{Group: g.name, Kind: r.kind(), Revision: r.revision, Objects: r.objects, Bytes: r.bytes,
		Parts: append([]GroupPart(nil), r.parts...), At: time.Unix(0, r.at), Test: r.test}
}

func (r *groupRow) kind() GroupKind {
	if r.revision == 1 {
		return GroupComplete
	}
	return GroupChanged
}
