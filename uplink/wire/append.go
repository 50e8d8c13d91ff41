package wire

import (
	"encoding/binary"
	"fmt"
)

// fixed is the part of every frame that has the same form.
const fixed = 8

// PutHeadroom is the most bytes that PutHeader writes.
const PutHeadroom = fixed + 1 + 2*(1+9)

// none is the empty CBOR map, the header of frames that need none.
type none struct{}

// The headers of list frames that have one.
type (
	ackHeader struct {
		Of uint8 `cbor:"1,keyasint,omitempty"`
	}
	studyHeader struct {
		UID   string `cbor:"1,keyasint"`
		State uint8  `cbor:"2,keyasint"`
		Count uint32 `cbor:"3,keyasint"`

		Revision uint32 `cbor:"4,keyasint,omitempty"`
		Found    string `cbor:"5,keyasint,omitempty"`
	}
	releaseHeader struct {
		Reason string `cbor:"1,keyasint,omitempty"`
	}
	againHeader struct {
		Reason      uint8  `cbor:"1,keyasint,omitempty"`
		AfterMillis uint32 `cbor:"2,keyasint,omitempty"`
	}
)

// Append encodes f behind dst. A list too long for one body becomes several
// frames, each complete in itself.
func Append(dst []byte, f Frame) ([]byte, error) {
	switch f := f.(type) {
	case *Hello:
		return appendFrame(dst, f.Type(), f, nil)
	case *Welcome:
		return appendFrame(dst, f.Type(), f, nil)
	case *Put:
		return appendFrame(dst, f.Type(), f, f.Body)
	case *Probe:
		return appendFrame(dst, f.Type(), f, f.Body)
	case *Bye:
		return appendFrame(dst, f.Type(), f, nil)
	case *Echo:
		return appendFrame(dst, f.Type(), f, nil)
	case *StudyAck:
		return appendFrame(dst, f.Type(), f, nil)
	case *Offer:
		return appendList(dst, f.Type(), none{}, f.Objects)
	case *Have:
		return appendList(dst, f.Type(), none{}, f.Answers)
	case *Receipt:
		return appendList(dst, f.Type(), none{}, f.Receipts)
	case *Archived:
		return appendList(dst, f.Type(), none{}, f.Confirmations)
	case *Findings:
		return appendList(dst, f.Type(), none{}, f.Findings)
	case *Trouble:
		return appendList(dst, f.Type(), none{}, f.Problems)
	case *ArchivedAck:
		return appendList(dst, f.Type(), ackHeader{f.Of}, f.Seqs)
	case *Study:
		return appendList(dst, f.Type(), studyHeader{f.UID, f.State, f.Count, f.Revision, f.Found}, f.IDs)
	case *Release:
		return appendList(dst, f.Type(), releaseHeader{f.Reason}, f.IDs)
	case *Again:
		return appendList(dst, f.Type(), againHeader{f.Reason, f.AfterMillis}, f.IDs)
	}
	panic(fmt.Sprintf("wire: %T is no frame", f))
}

func appendFrame(dst []byte, t Type, header any, body []byte) ([]byte, error) {
	h, err := encoder.Marshal(header)
	if err != nil {
		return dst, fmt.Errorf("encode frame %d: %w", t, err)
	}
	if len(h) > MaxHeader || len(body) > MaxBody {
		return dst, fmt.Errorf("encode frame %d: header %d, body %d bytes: too long", t, len(h), len(body))
	}
	dst = appendFixed(dst, t, len(h), len(body))
	dst = append(dst, h...)
	return append(dst, body...), nil
}

func appendFixed(dst []byte, t Type, header, body int) []byte {
	dst = binary.BigEndian.AppendUint16(dst, uint16(t))
	dst = binary.BigEndian.AppendUint16(dst, uint16(header))
	return binary.BigEndian.AppendUint32(dst, uint32(body))
}

// arrayHead is room for the head of a CBOR array of at most MaxItems.
const arrayHead = 3

// appendList writes the items in as few frames as their bodies allow.
func appendList[T any](dst []byte, t Type, header any, items []T) ([]byte, error) {
	start, body, count := len(dst), []byte(nil), 0
	flush := func() (err error) {
		dst, err = appendFrame(dst, t, header, append(appendArrayHead(nil, count), body...))
		body, count = body[:0], 0
		return err
	}
	for i := range items {
		b, err := encoder.Marshal(&items[i])
		if err != nil {
			return dst[:start], fmt.Errorf("encode frame %d: %w", t, err)
		}
		if count == MaxItems || count > 0 && arrayHead+len(body)+len(b) > MaxBody {
			if err := flush(); err != nil {
				return dst[:start], err
			}
		}
		body, count = append(body, b...), count+1
	}
	if count > 0 || len(items) == 0 {
		if err := flush(); err != nil {
			return dst[:start], err
		}
	}
	return dst, nil
}

// appendArrayHead writes the head of an array (RFC 8949 §3.1, major type 4) in
// its shortest form.
func appendArrayHead(b []byte, n int) []byte {
	switch {
	case n < 24:
		return append(b, 0x80|byte(n))
	case n < 256:
		return append(b, 0x98, byte(n))
	}
	return append(b, 0x99, byte(n>>8), byte(n))
}

// PutHeader writes everything of a Put frame but its body into the end of
// room, which must have PutHeadroom bytes, and returns where it begins: with
// the body right behind room, header and body leave in one write.
func PutHeader(room []byte, number uint64, offset int64, body int) int {
	h := must(encoder.Marshal(&Put{Number: number, Offset: offset}))
	start := len(room) - fixed - len(h)
	appendFixed(room[:start], TypePut, len(h), body)
	copy(room[start+fixed:], h)
	return start
}
