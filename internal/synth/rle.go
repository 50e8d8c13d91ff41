package synth

import "encoding/binary"

// rle16 compresses one frame of 16-bit samples (PS3.5 §G):
//
//	header: 16 little-endian uint32: number of segments (2), offset of each
//	segment 1: the most significant bytes, PackBits, padded to even
//	segment 2: the least significant bytes, likewise
//
// A run does not cross the end of a row (§G.3.1).
func rle16(p *plane) []byte {
	out := make([]byte, 64)
	binary.LittleEndian.PutUint32(out, 2)
	row := make([]byte, p.w)
	for segment, shift := range []uint{8, 0} {
		binary.LittleEndian.PutUint32(out[4+4*segment:], uint32(len(out)))
		for y := range p.h {
			for x, v := range p.px[y*p.w : (y+1)*p.w] {
				row[x] = byte(v >> shift)
			}
			out = packBits(out, row)
		}
		out = even(out)
	}
	return out
}

// packBits appends one row: n-1 and n literal bytes, or 257-n and one byte that
// stands n times; n is at most 128.
func packBits(out, row []byte) []byte {
	for at := 0; at < len(row); {
		if n := runLength(row[at:]); n > 1 {
			out = append(out, byte(257-n), row[at])
			at += n
			continue
		}
		n := literalLength(row[at:])
		out = append(out, byte(n-1))
		out = append(out, row[at:at+n]...)
		at += n
	}
	return out
}

func runLength(b []byte) int {
	n := 1
	for n < len(b) && n < 128 && b[n] == b[0] {
		n++
	}
	return n
}

// literalLength ends a literal where three equal bytes begin: a shorter run does
// not pay for its header.
func literalLength(b []byte) int {
	n := 1
	for n < len(b) && n < 128 && !(n+2 < len(b) && b[n] == b[n+1] && b[n] == b[n+2]) {
		n++
	}
	return n
}
