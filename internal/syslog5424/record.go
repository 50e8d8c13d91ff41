package syslog5424

import (
	"encoding/binary"
	"hash/crc32"
	"time"
)

// Everything here is pure; drawn in doc.go.

const (
	magic = "EDGSYSL1"

	kindMessage = 1
	kindLost    = 2

	recordHead = 5
	recordTail = 4
	lostBody   = 16
	lostSize   = recordHead + lostBody + recordTail
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// record is one of a segment. Its body is a part of the bytes that it was read from.
type record struct {
	kind byte
	body []byte
}

// encode puts r, for the segment of that number, behind b.
func (r record) encode(b []byte, segment uint64) []byte {
	from := len(b)
	b = binary.BigEndian.AppendUint32(b, uint32(len(r.body)))
	b = append(append(b, r.kind), r.body...)
	return binary.BigEndian.AppendUint32(b, sum(b[from:], segment))
}

func sum(b []byte, segment uint64) uint32 {
	seed := crc32.Checksum(binary.BigEndian.AppendUint64(nil, segment), castagnoli)
	return crc32.Update(seed, castagnoli, b)
}

// next reads the record at the beginning of b and says how long it is: 0 if there is no
// whole one.
func next(b []byte, segment uint64) (r record, size int) {
	if len(b) < recordHead+recordTail {
		return r, 0
	}
	n := binary.BigEndian.Uint32(b)
	if n == 0 || n > MaxMessage || int(n) > len(b)-recordHead-recordTail {
		return r, 0
	}
	end := recordHead + int(n)
	r = record{b[4], b[recordHead:end:end]}
	if r.kind != kindMessage && (r.kind != kindLost || n != lostBody) || sum(b[:end], segment) != binary.BigEndian.Uint32(b[end:]) {
		return record{}, 0
	}
	return r, end + recordTail
}

// records reads a segment as far as it is whole, which is the first valid bytes.
func records(b []byte, segment uint64) (all []record, valid int) {
	if len(b) < len(magic) || string(b[:len(magic)]) != magic {
		return nil, 0
	}
	for valid = len(magic); ; {
		r, size := next(b[valid:], segment)
		if size == 0 {
			return all, valid
		}
		all, valid = append(all, r), valid+size
	}
}

func lost(count int64, at time.Time) record {
	b := binary.BigEndian.AppendUint64(nil, uint64(count))
	return record{kindLost, binary.BigEndian.AppendUint64(b, uint64(at.UnixMicro()))}
}

// lost says how many were lost, 0 in a record that is a message, and when.
func (r record) lost() (count int64, at time.Time) {
	if r.kind != kindLost {
		return 0, at
	}
	return max(int64(binary.BigEndian.Uint64(r.body)), 0), time.UnixMicro(int64(binary.BigEndian.Uint64(r.body[8:])))
}
