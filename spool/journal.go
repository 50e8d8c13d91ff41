package spool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
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
