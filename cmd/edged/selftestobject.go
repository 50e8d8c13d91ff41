package main

import (
	"crypto/rand"
	"encoding/binary"
	"math/big"
	"time"

	"edged/internal/dicom"
)

// testObject is a small image of nobody: Secondary Capture (PS3.3 §A.8.1), 64 by 64,
// Implicit VR Little Endian, patient PROVA^EDGED.
type testObject struct {
	names dicom.Names
	data  []byte
}

const secondaryCapture = "1.2.840.10008.5.1.4.1.1.7"

// newUID makes one by PS3.5 §B.2.
func newUID() string {
	var b [16]byte
	rand.Read(b[:])
	return "2.25." + new(big.Int).SetBytes(b[:]).String()
}

func newTestObject(now time.Time) testObject {
	o := testObject{names: dicom.Names{TransferSyntax: dicom.ImplicitVRLittleEndian, SOPClass: secondaryCapture, SOPInstance: newUID()}}
	date, clock := now.Format("20060102"), now.Format("150405")
	o.text(0x0008, 0x0016, secondaryCapture, 0)
	o.text(0x0008, 0x0018, o.names.SOPInstance, 0)
	o.text(0x0008, 0x0020, date, ' ')
	o.text(0x0008, 0x0030, clock, ' ')
	o.text(0x0008, 0x0050, "PROVA", ' ')
	o.text(0x0008, 0x0060, "OT", ' ')
	o.text(0x0008, 0x0064, "WSD", ' ')
	o.text(0x0008, 0x1030, "PROVA EDGED", ' ')
	o.text(0x0010, 0x0010, "PROVA^EDGED", ' ')
	o.text(0x0010, 0x0020, "PROVA-EDGED", ' ')
	o.text(0x0010, 0x0030, "", ' ')
	o.text(0x0010, 0x0040, "O", ' ')
	o.text(0x0020, 0x000D, newUID(), 0)
	o.text(0x0020, 0x000E, newUID(), 0)
	o.text(0x0020, 0x0011, "1", ' ')
	o.text(0x0020, 0x0013, "1", ' ')
	o.short(0x0028, 0x0002, 1)
	o.text(0x0028, 0x0004, "MONOCHROME2", ' ')
	for _, e := range []struct{ element, value uint16 }{{0x0010, side}, {0x0011, side}, {0x0100, 8}, {0x0101, 8}, {0x0102, 7}, {0x0103, 0}} {
		o.short(0x0028, e.element, e.value)
	}
	pixels := make([]byte, side*side)
	for i := range pixels {
		pixels[i] = byte(i%side*2 + i/side*2)
	}
	o.element(0x7FE0, 0x0010, pixels)
	return o
}

const side = 64

// element appends tag, length and value (PS3.5 §7.1.3).
func (o *testObject) element(group, element uint16, value []byte) {
	o.data = binary.LittleEndian.AppendUint16(o.data, group)
	o.data = binary.LittleEndian.AppendUint16(o.data, element)
	o.data = binary.LittleEndian.AppendUint32(o.data, uint32(len(value)))
	o.data = append(o.data, value...)
}

// text is padded to even length (PS3.5 §6.2).
func (o *testObject) text(group, element uint16, s string, pad byte) {
	b := []byte(s)
	if len(b)%2 == 1 {
		b = append(b, pad)
	}
	o.element(group, element, b)
}

func (o *testObject) short(group, element, v uint16) {
	o.element(group, element, binary.LittleEndian.AppendUint16(nil, v))
}
