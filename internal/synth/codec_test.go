package synth

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"
)

// PackBits gives back every row, whatever runs are in it.
func TestPackBitsRoundTrip(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for n := range 700 {
		row := make([]byte, n)
		for i := range row {
			if i > 0 && rng.IntN(3) > 0 {
				row[i] = row[i-1]
				continue
			}
			row[i] = byte(rng.IntN(4))
		}
		if got := unpackBits(packBits(nil, row)); !bytes.Equal(got, row) {
			t.Fatalf("row of %d bytes: got %x, want %x", n, got, row)
		}
	}
}

func unpackBits(b []byte) (out []byte) {
	for len(b) > 0 {
		n := int(int8(b[0]))
		if n >= 0 {
			out, b = append(out, b[1:n+2]...), b[n+2:]
			continue
		}
		out, b = append(out, bytes.Repeat(b[1:2], 1-n)...), b[2:]
	}
	return out
}

// No code is a prefix of another, and none is all ones (T.81 §C.2).
func TestLosslessCodesAreAPrefixCode(t *testing.T) {
	for i, a := range losslessCodes {
		la := losslessLengths[i]
		if a == 1<<la-1 {
			t.Errorf("category %d is all ones", i)
		}
		for j, b := range losslessCodes[i+1:] {
			if lb := losslessLengths[i+1+j]; b>>(lb-la) == a {
				t.Errorf("category %d is a prefix of %d", i, i+1+j)
			}
		}
	}
}

// The same attributes in the three encodings of PS3.5 §7.1, byte by byte.
func TestEncodingsByteByByte(t *testing.T) {
	d := dataset{"Rows": 258, "PatientID": "ABC", "PixelData": []uint16{1, 0x0203}, "AnatomicRegionSequence": []dataset{{"Rows": 1}}}
	for ts, want := range map[string]string{
		explicitLE: "\x08\x00\x18\x22SQ\x00\x00\x12\x00\x00\x00" + "\xfe\xff\x00\xe0\x0a\x00\x00\x00" + "\x28\x00\x10\x00US\x02\x00\x01\x00" +
			"\x10\x00\x20\x00LO\x04\x00ABC " + "\x28\x00\x10\x00US\x02\x00\x02\x01" + "\xe0\x7f\x10\x00OW\x00\x00\x04\x00\x00\x00\x01\x00\x03\x02",
		explicitBE: "\x00\x08\x22\x18SQ\x00\x00\x00\x00\x00\x12" + "\xff\xfe\xe0\x00\x00\x00\x00\x0a" + "\x00\x28\x00\x10US\x00\x02\x00\x01" +
			"\x00\x10\x00\x20LO\x00\x04ABC " + "\x00\x28\x00\x10US\x00\x02\x01\x02" + "\x7f\xe0\x00\x10OW\x00\x00\x00\x00\x00\x04\x00\x01\x02\x03",
		implicitLE: "\x08\x00\x18\x22\xff\xff\xff\xff" + "\xfe\xff\x00\xe0\xff\xff\xff\xff" + "\x28\x00\x10\x00\x02\x00\x00\x00\x01\x00" +
			"\xfe\xff\x0d\xe0\x00\x00\x00\x00" + "\xfe\xff\xdd\xe0\x00\x00\x00\x00" +
			"\x10\x00\x20\x00\x04\x00\x00\x00ABC " + "\x28\x00\x10\x00\x02\x00\x00\x00\x02\x01" + "\xe0\x7f\x10\x00\x04\x00\x00\x00\x01\x00\x03\x02",
	} {
		if got := encode(d, ts); string(got) != want {
			t.Errorf("%s:\n got %x\nwant %x", ts, got, want)
		}
	}
}

// The offset table points at the items (PS3.5 §A.4).
func TestOffsetTablePointsAtFrames(t *testing.T) {
	b := encode(dataset{"PixelData": fragments{{1, 2, 3}, {4, 5}, {6}}}, jpegBaseline)
	base := 12 + 8 + 3*4
	for i, first := range []byte{1, 4, 6} {
		at := base + int(binary.LittleEndian.Uint32(b[20+4*i:]))
		if binary.LittleEndian.Uint32(b[at:]) != 0xE000FFFE || b[at+8] != first {
			t.Errorf("frame %d: offset leads to %x", i, b[at:at+9])
		}
	}
}
