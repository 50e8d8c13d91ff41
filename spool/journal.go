package spool

import (
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"math"
)

// The journal's records; drawn in doc.go. Everything here is pure.

const (
	segmentMagic  = "EDGEDJNL"
	segmentPlain  = 1 // version
	segmentSealed = 2 // version; its header goes on with key id and salt
	segmentHeader = 32
	sealedHeader  = 80
	recordHeader  = 16
	maxRecord     = 1 << 20
	maxCounters   = 256
)

// segment is what the records of one journal file have in common.
type segment struct {
	gen    uint64
	header []byte      // as it begins the file
	gcm    cipher.AEAD // seals each payload; nil: they are plain
}

// newSegment begins a segment file of the given generation, encrypted if there
// are keys. Each has a salt of its own, and so a key of its own.
func newSegment(keys *keyring, gen uint64) *segment {
	version, size := uint32(segmentPlain), segmentHeader
	if keys != nil {
		version, size = segmentSealed, sealedHeader
	}
	b := make([]byte, size)
	copy(b, segmentMagic)
	binary.BigEndian.PutUint32(b[8:], version)
	binary.BigEndian.PutUint64(b[12:], gen)
	binary.BigEndian.PutUint32(b[28:], checksum(b[:28]))
	s := &segment{gen: gen, header: b}
	if keys != nil {
		copy(b[32:], keys.id[:])
		copy(b[40:], newSalt())
		binary.BigEndian.PutUint32(b[76:], checksum(b[:76]))
		s.gcm = keys.aead(b[40:72], infoJournal)
	}
	return s
}

// readSegmentHeader reads what newSegment made. ErrKey: it is not for these keys.
func readSegmentHeader(b []byte, keys *keyring) (*segment, error) {
	errNone := errors.New("not a journal segment")
	if len(b) < segmentHeader || string(b[:8]) != segmentMagic || binary.BigEndian.Uint32(b[28:]) != checksum(b[:28]) {
		return nil, errNone
	}
	s := &segment{gen: binary.BigEndian.Uint64(b[12:]), header: b[:segmentHeader]}
	switch v := binary.BigEndian.Uint32(b[8:]); v {
	case segmentPlain:
		return s, nil
	case segmentSealed:
	default:
		return nil, fmt.Errorf("%w: journal version %d", errLater, v)
	}
	if len(b) < sealedHeader || binary.BigEndian.Uint32(b[76:]) != checksum(b[:76]) {
		return nil, errNone
	}
	if err := keys.admits(keyID(b[32:40])); err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	s.header = b[:sealedHeader]
	s.gcm = keys.aead(b[40:72], infoJournal)
	return s, nil
}

// seal encrypts the payload of a record under its number.
//
// No two payloads on the disk were ever sealed under one nonce. Numbers rise
// within a segment, a segment is written by one process, and every begin, also
// one that repeats another that failed, draws a new salt. A number is taken back
// in one case: not one byte of its record was written, so no disk ever had it. A
// record of which a part was written is finished with the bytes that it was
// sealed to, never sealed again.
func (s *segment) seal(number uint64, payload []byte) []byte {
	if s.gcm == nil {
		return payload
	}
	nonce := recordNonce(number)
	return s.gcm.Seal(nil, nonce[:], payload, s.header)
}

// open turns seal around.
func (s *segment) open(number uint64, payload []byte) ([]byte, error) {
	if s.gcm == nil {
		return payload, nil
	}
	nonce := recordNonce(number)
	return s.gcm.Open(nil, nonce[:], payload, s.header)
}

func recordNonce(number uint64) (nonce [12]byte) {
	binary.BigEndian.PutUint64(nonce[4:], number)
	return nonce
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
func (s *segment) encodeRecords(number *uint64, st standing, ops []op) []byte {
	var out []byte
	for payload := range payloads(st, ops) {
		out = appendRecord(out, s.gen, *number, s.seal(*number, payload))
		*number++
	}
	return out
}

// payloads are those of encodeRecords, one after the other in the same memory.
func payloads(st standing, ops []op) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		base := st.encode()
		payload := append([]byte(nil), base...)
		for _, o := range ops {
			if len(payload) > maxRecord/2 {
				if !yield(payload) {
					return
				}
				payload = append(payload[:0], base...)
			}
			payload = o.encode(payload)
		}
		yield(payload)
	}
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
func replaySegment(b []byte, keys *keyring) (replayed, error) {
	s, err := readSegmentHeader(b, keys)
	if err != nil {
		return replayed{}, err
	}
	r, gen := replayed{gen: s.gen}, s.gen
	last := uint64(math.MaxUint64) // number of the last record; the first one is 0
	for off := int64(len(s.header)); off < int64(len(b)); {
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
		if payload, err := s.open(number, payload); err != nil || !r.take(payload) {
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
