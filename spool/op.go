package spool

import (
	"encoding/binary"
	"errors"
	"sort"
)

// What a record of the journal says; drawn in doc.go. Everything here is pure.

// kind of an obligation.
type kind uint8

const (
	opAtHub       kind = 1 + iota // the hub's receipt
	opArchived                    // the archive's confirmation
	opForgot                      // the object may be, and will be, unlinked: forgotten or discarded
	opHeld                        // the hub keeps it back
	opReleased                    // the end of a hold or of a quarantine
	opQuarantined                 // set aside, with a reason
	opReoffer                     // everything not archived is to be sent again
	opWasAtHub                    // in snapshots: counted as at hub once, then offered again
	opSnapshotEnd                 // in snapshots: all of it is here
	opReofferOne                  // this object is to be sent again, unless it is archived
	opGroup                       // a group was complete, or changed after that
	opGroupTold                   // whoever had to know of that knows
	opScrubbed                    // so far every object was read again
	opSealedFrom                  // in snapshots: every object from that number on is encrypted
	opNote                        // a caller's own obligation
	opNoteGone                    // the end of one
	lastKind      = opNoteGone
)

// op is one obligation. Which fields count depends on the kind.
type op struct {
	kind    kind
	seq     uint64 // group: the newest that the row speaks of; scrubbed: the last that was read; sealed from: the first one
	id      ID
	length  int64   // forgot: content bytes; healed: sequence number of the good copy
	at      int64   // at hub, archived, forgot, group, scrubbed: Unix nanoseconds, shown only
	age     int64   // archived: the spool's own age, see sweep.go
	from    voucher // at hub, was at hub, archived: whose word it is
	group   string  // forgot, group, group told
	part    string  // forgot
	reason  string  // quarantined, discarded
	by      string  // discarded
	damaged bool    // quarantined: the bytes are not what was stored
	torn    bool    // quarantined: nor was anybody told that they were
	test    bool    // forgot
	fate    fate    // forgot: of its file; not written
	healed  bool    // forgot: a damaged copy, of which a good one came again
	lost    bool    // forgot: it was in no group that is known
	discard bool    // forgot: by an administrator, whatever was confirmed
	outside bool    // discarded: the hub had it, or may have

	name nameSum   // forgot: zero: it had none, or nobody knows
	row  *groupRow // group, group told
	note *note     // note, note gone
}

// standing is what every record carries beside its obligations: the absolute
// truth at its time, so that no older record is needed for it.
type standing struct {
	mark     uint64 // every object below it was proved durable when it was acknowledged
	next     uint64 // no sequence number from here on was ever given away
	age      int64  // nanoseconds that this spool has run in its life
	counters map[string]uint64
}

func appendString(b []byte, s string) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(len(s)))
	return append(b, s...)
}

func (s standing) encode() []byte {
	b := binary.BigEndian.AppendUint64(nil, s.mark)
	b = binary.BigEndian.AppendUint64(b, s.next)
	b = binary.BigEndian.AppendUint64(b, uint64(s.age))
	names := make([]string, 0, len(s.counters))
	for name := range s.counters {
		names = append(names, name)
	}
	sort.Strings(names)
	b = binary.BigEndian.AppendUint16(b, uint16(len(names)))
	for _, name := range names {
		b = appendString(b, name)
		b = binary.BigEndian.AppendUint64(b, s.counters[name])
	}
	return b
}

func (o op) encode(b []byte) []byte {
	body := binary.BigEndian.AppendUint64(nil, o.seq)
	body = append(body, o.id[:]...)
	switch o.kind {
	case opAtHub:
		body = binary.BigEndian.AppendUint64(body, uint64(o.at))
		body = o.from.encode(body)
	case opArchived:
		body = binary.BigEndian.AppendUint64(body, uint64(o.at))
		body = binary.BigEndian.AppendUint64(body, uint64(o.age))
		body = o.from.encode(body)
	case opWasAtHub:
		body = o.from.encode(body)
	case opForgot:
		body = binary.BigEndian.AppendUint64(body, uint64(o.length))
		body = binary.BigEndian.AppendUint64(body, uint64(o.at))
		body = o.encodeForgot(body)
	case opQuarantined:
		body = append(body, boolByte(o.damaged)|boolByte(o.torn)<<1)
		body = appendString(body, o.reason)
	case opGroup:
		body = o.row.encode(body, o)
	case opGroupTold:
		body = appendString(binary.BigEndian.AppendUint32(body, o.row.revision), o.group)
	case opScrubbed:
		body = binary.BigEndian.AppendUint64(body, uint64(o.at))
	case opNote:
		body = append(appendString(body, o.note.key), o.note.body...)
	case opNoteGone:
		body = appendString(body, o.note.key)
	}
	b = append(b, byte(o.kind))
	b = binary.BigEndian.AppendUint32(b, uint32(len(body)))
	return append(b, body...)
}

func boolByte(b bool) byte {
	if b {
		return 1
	}
	return 0
}

// decoder takes values off the front of b; after the first lack of bytes it is
// bad for good and gives zeros.
type decoder struct {
	b   []byte
	bad bool
}

func (d *decoder) take(n int) []byte {
	if n < 0 || n > len(d.b) {
		d.bad, d.b = true, nil
		return make([]byte, min(max(n, 0), 64))
	}
	v := d.b[:n]
	d.b = d.b[n:]
	return v
}

func (d *decoder) u8() byte    { return d.take(1)[0] }
func (d *decoder) u16() uint16 { return binary.BigEndian.Uint16(d.take(2)) }
func (d *decoder) u32() uint32 { return binary.BigEndian.Uint32(d.take(4)) }
func (d *decoder) u64() uint64 { return binary.BigEndian.Uint64(d.take(8)) }
func (d *decoder) i64() int64  { return int64(d.u64()) }

func (d *decoder) str() string {
	n := int(d.u16())
	if n > len(d.b) {
		d.bad, d.b = true, nil
		return ""
	}
	return string(d.take(n))
}

var errRecord = errors.New("journal record is malformed")

// decodePayload reads what standing.encode and op.encode wrote. Obligations of
// a kind that is not known are skipped: they come from a later version.
func decodePayload(b []byte) (standing, []op, error) {
	d := &decoder{b: b}
	s := standing{mark: d.u64(), next: d.u64(), age: d.i64(), counters: map[string]uint64{}}
	n := int(d.u16())
	if n > maxCounters {
		return s, nil, errRecord
	}
	for range n {
		name := d.str()
		s.counters[name] = d.u64()
	}
	var ops []op
	for len(d.b) > 0 && !d.bad {
		k, size := kind(d.u8()), d.u32()
		if int64(size) > int64(len(d.b)) {
			return s, nil, errRecord
		}
		o, ok := decodeOp(k, d.take(int(size)))
		if !ok {
			return s, nil, errRecord
		}
		if k >= opAtHub && k <= lastKind {
			ops = append(ops, o)
		}
	}
	if d.bad {
		return s, nil, errRecord
	}
	return s, ops, nil
}

func decodeOp(k kind, body []byte) (op, bool) {
	d := &decoder{b: body}
	o := op{kind: k, seq: d.u64()}
	copy(o.id[:], d.take(len(o.id)))
	switch k {
	case opAtHub:
		o.at = d.i64()
		o.from = decodeVoucher(d)
	case opArchived:
		o.at, o.age = d.i64(), d.i64()
		o.from = decodeVoucher(d)
	case opWasAtHub:
		o.from = decodeVoucher(d)
	case opForgot:
		o.length, o.at = d.i64(), d.i64()
		decodeForgot(d, &o)
	case opQuarantined:
		bits := d.u8()
		o.damaged, o.torn, o.reason = bits != 0, bits&2 != 0, d.str()
	case opGroup:
		decodeGroupRow(d, &o)
	case opGroupTold:
		o.row = &groupRow{revision: d.u32()}
		o.group = d.str()
	case opScrubbed:
		o.at = d.i64()
	case opNote:
		o.note = &note{key: d.str()}
		o.note.body = string(d.take(len(d.b)))
	case opNoteGone:
		o.note = &note{key: d.str()}
	}
	return o, !d.bad || k > lastKind
}

// What the bits of a row "forgotten" say.
const (
	forgotTest    = 1 << 0
	forgotHealed  = 1 << 1
	forgotDiscard = 1 << 2
	forgotLost    = 1 << 3
	forgotNamed   = 1 << 4
	forgotOutside = 1 << 5
)

func (o op) encodeForgot(body []byte) []byte {
	body = append(body, boolByte(o.test)*forgotTest|boolByte(o.healed)*forgotHealed|boolByte(o.discard)*forgotDiscard|
		boolByte(o.lost)*forgotLost|boolByte(o.name != nameSum{})*forgotNamed|boolByte(o.outside)*forgotOutside)
	body = appendString(body, o.group)
	body = appendString(body, o.part)
	if o.discard {
		body = appendString(appendString(body, o.by), o.reason)
	}
	if o.name != (nameSum{}) {
		body = append(body, o.name[:]...)
	}
	return body
}

// decodeForgot: rows of earlier versions end behind the group, or have no name.
// Those versions take a discarded object for a forgotten one, and that is what they
// have to do: unlink it again when a crash brings it back.
func decodeForgot(d *decoder, o *op) {
	bits := d.u8()
	o.test, o.healed, o.discard, o.lost = bits&forgotTest != 0, bits&forgotHealed != 0, bits&forgotDiscard != 0, bits&forgotLost != 0
	o.outside = bits&forgotOutside != 0
	o.group = d.str()
	if len(d.b) > 0 {
		o.part = d.str()
	}
	if o.discard {
		o.by, o.reason = d.str(), d.str()
	}
	if bits&forgotNamed != 0 {
		copy(o.name[:], d.take(len(o.name)))
	}
}
