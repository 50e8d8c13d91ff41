package spool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"sort"
)

// The journal's records; drawn in doc.go. Everything here is pure.

const (
	segmentMagic   = "EDGEDJNL"
	segmentVersion = 1
	segmentHeader  = 32
	recordHeader   = 16
	maxRecord      = 1 << 20
	maxCounters    = 256
)

// kind of an obligation.
type kind uint8

const (
	opAtHub       kind = 1 + iota // the hub's receipt
	opArchived                    // the archive's confirmation
	opForgot                      // the object may be, and will be, unlinked
	opHeld                        // the hub keeps it back
	opReleased                    // the end of a hold or of a quarantine
	opQuarantined                 // set aside, with a reason
	opReoffer                     // everything not archived is to be sent again
	opWasAtHub                    // in snapshots: counted as at hub once, then offered again
	opSnapshotEnd                 // in snapshots: all of it is here
	opReofferOne                  // this object is to be sent again, unless it is archived
	lastKind      = opReofferOne
)

// op is one obligation. Which fields count depends on the kind.
type op struct {
	kind    kind
	seq     uint64
	id      ID
	length  int64  // forgot: content bytes; healed: sequence number of the good copy
	at      int64  // at hub, archived, forgot: Unix nanoseconds, shown only
	age     int64  // archived: the spool's own age, see sweep.go
	group   string // forgot
	reason  string // quarantined
	damaged bool   // quarantined: the bytes are not what was stored
	test    bool   // forgot
	fate    fate   // forgot: of its file; not written
	healed  bool   // forgot: a damaged copy, of which a good one came again
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
	case opArchived:
		body = binary.BigEndian.AppendUint64(body, uint64(o.at))
		body = binary.BigEndian.AppendUint64(body, uint64(o.age))
	case opForgot:
		body = binary.BigEndian.AppendUint64(body, uint64(o.length))
		body = binary.BigEndian.AppendUint64(body, uint64(o.at))
		body = append(body, boolByte(o.test)|boolByte(o.healed)<<1)
		body = appendString(body, o.group)
	case opQuarantined:
		body = append(body, boolByte(o.damaged))
		body = appendString(body, o.reason)
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
	case opArchived:
		o.at, o.age = d.i64(), d.i64()
	case opForgot:
		o.length, o.at = d.i64(), d.i64()
		bits := d.u8()
		o.test, o.healed, o.group = bits&1 != 0, bits&2 != 0, d.str()
	case opQuarantined:
		o.damaged, o.reason = d.u8() != 0, d.str()
	}
	return o, !d.bad || k > lastKind
}

// encodeSegmentHeader begins a segment file of the given generation.
func encodeSegmentHeader(gen uint64) []byte {
	b := make([]byte, segmentHeader)
	copy(b, segmentMagic)
	binary.BigEndian.PutUint32(b[8:], segmentVersion)
	binary.BigEndian.PutUint64(b[12:], gen)
	binary.BigEndian.PutUint32(b[28:], checksum(b[:28]))
	return b
}

func decodeSegmentHeader(b []byte) (gen uint64, err error) {
	if len(b) < segmentHeader || string(b[:8]) != segmentMagic || binary.BigEndian.Uint32(b[28:]) != checksum(b[:28]) {
		return 0, errors.New("not a journal segment")
	}
	if v := binary.BigEndian.Uint32(b[8:]); v != segmentVersion {
		return 0, fmt.Errorf("%w: journal version %d", errLater, v)
	}
	return binary.BigEndian.Uint64(b[12:]), nil
}

// appendRecord frames a payload. The checksum covers the generation too, so
// that a block left over from an older segment never passes for ours.
func appendRecord(b []byte, gen, number uint64, payload []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(payload)))
	b = binary.BigEndian.AppendUint32(b, recordSum(gen, number, payload))
	b = binary.BigEndian.AppendUint64(b, number)
	return append(b, payload...)
}

func recordSum(gen, number uint64, payload []byte) uint32 {
	var fixed [20]byte
	binary.BigEndian.PutUint64(fixed[:], gen)
	binary.BigEndian.PutUint64(fixed[8:], number)
	binary.BigEndian.PutUint32(fixed[16:], uint32(len(payload)))
	return checksumAdd(checksum(fixed[:]), payload)
}

// recordAt reads the record at the start of b, if a valid one is there.
func recordAt(b []byte, gen uint64) (number uint64, payload []byte, ok bool) {
	if len(b) < recordHeader {
		return 0, nil, false
	}
	n := int64(binary.BigEndian.Uint32(b))
	if n > maxRecord || n > int64(len(b)-recordHeader) {
		return 0, nil, false
	}
	number, payload = binary.BigEndian.Uint64(b[8:]), b[recordHeader:recordHeader+n]
	return number, payload, binary.BigEndian.Uint32(b[4:]) == recordSum(gen, number, payload)
}

// encodeRecords frames ops in as many records as needed. All carry the same
// standing, so a crash between them loses obligations, never consistency.
func encodeRecords(gen uint64, number *uint64, st standing, ops []op) []byte {
	base := st.encode()
	var out []byte
	payload := append([]byte(nil), base...)
	for _, o := range ops {
		if len(payload) > maxRecord/2 {
			out = appendRecord(out, gen, *number, payload)
			*number++
			payload = append(payload[:0], base...)
		}
		payload = o.encode(payload)
	}
	out = appendRecord(out, gen, *number, payload)
	*number++
	return out
}

// replayed is what a segment tells.
type replayed struct {
	gen      uint64
	standing standing
	ops      []op
	complete bool  // the snapshot at its start is whole
	torn     int64 // bytes behind the last valid record, none valid after them: an unfinished write
	holes    int   // places where valid records follow invalid bytes: damage
}

// replaySegment reads a whole segment. Behind bytes that are no record it looks
// for the next valid one: what follows a hole still counts, but the hole is told
// and the caller turns conservative (see journal damage in doc.go).
func replaySegment(b []byte) (replayed, error) {
	gen, err := decodeSegmentHeader(b)
	if err != nil {
		return replayed{}, err
	}
	r := replayed{gen: gen}
	last := uint64(math.MaxUint64) // number of the last record; the first one is 0
	for off := int64(segmentHeader); off < int64(len(b)); {
		number, payload, ok := recordAt(b[off:], gen)
		if !ok || number != last+1 {
			skip := findRecord(b[off+1:], gen, last)
			if skip < 0 {
				r.torn = int64(len(b)) - off
				break
			}
			r.holes++
			off += 1 + skip
			number, payload, _ = recordAt(b[off:], gen)
		}
		last = number
		off += int64(recordHeader + len(payload))
		if !r.take(payload) {
			r.holes++
		}
	}
	return r, nil
}

func (r *replayed) take(payload []byte) bool {
	st, ops, err := decodePayload(payload)
	if err != nil {
		return false
	}
	r.standing = st
	for _, o := range ops {
		if o.kind == opSnapshotEnd {
			r.complete = true
			continue
		}
		r.ops = append(r.ops, o)
	}
	return true
}

// findRecord returns the offset of the next valid record with a number above last, or -1.
func findRecord(b []byte, gen, last uint64) int64 {
	for i := 0; i+recordHeader <= len(b); i++ {
		if n := binary.BigEndian.Uint64(b[i+8:]); n-(last+1) > 1<<32 { // cheap test first; unsigned, last may be -1
			continue
		}
		if _, _, ok := recordAt(b[i:], gen); ok {
			return int64(i)
		}
	}
	return -1
}
