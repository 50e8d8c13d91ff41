package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"edged/internal/dicom"
	"edged/internal/synth"
)

// syntax is a transfer syntax of the matrix.
type syntax struct {
	name, uid string
	storescu  string // DCMTK's option to propose it
}

// private is a transfer syntax that nobody has heard of, below the root of UUIDs
// (PS3.5 §B.2).
const private = "2.25.183506291871340245672138465091283746512"

var syntaxes = []syntax{
	{"Implicit VR Little Endian", "1.2.840.10008.1.2", "-xi"},
	{"Explicit VR Little Endian", "1.2.840.10008.1.2.1", "-xe"},
	{"Explicit VR Big Endian", "1.2.840.10008.1.2.2", "-xb"},
	{"Deflated Explicit VR Little Endian", "1.2.840.10008.1.2.1.99", "-xd"},
	{"JPEG Baseline", "1.2.840.10008.1.2.4.50", "-xy"},
	{"JPEG Lossless SV1", "1.2.840.10008.1.2.4.70", "-xs"},
	{"JPEG-LS Lossless", "1.2.840.10008.1.2.4.80", "-xt"},
	{"JPEG 2000 Lossless", "1.2.840.10008.1.2.4.90", "-xv"},
	{"HTJ2K Lossless", "1.2.840.10008.1.2.4.201", ""},
	{"RLE Lossless", "1.2.840.10008.1.2.5", "-xr"},
	{"MPEG-4 AVC/H.264", "1.2.840.10008.1.2.4.102", "-xn"},
	{"private (" + private + ")", private, ""},
}

func syntaxName(uid string) string {
	for _, s := range syntaxes {
		if s.uid == uid {
			return s.name
		}
	}
	return uid
}

const explicitLE = "1.2.840.10008.1.2.1"

// object is one instance, as a file and as what is in it.
type object struct {
	dicom.Names
	syntax                 syntax
	study, series, patient string
	path                   string
	data                   []byte
}

// object makes an instance that no other cell has: the seed is the name of the
// cell. Those that synth has no encoder for have opaque frames: nobody on the way
// looks into them.
func (l *lab) object(s syntax, cell ...string) (object, error) {
	sum := sha256.Sum256([]byte(fmt.Sprint(cell, s.uid)))
	base, made := pick(binary.LittleEndian.Uint64(sum[:]), s.uid)
	stream, _ := base.instance.Open()
	data, err := io.ReadAll(stream)
	if err != nil {
		return object{}, err
	}
	if !made {
		if data, err = encapsulate(data, sum[:]); err != nil {
			return object{}, err
		}
	}
	o := object{Names: base.instance.Names, syntax: s, data: data, study: base.study.UID, series: base.instance.Series,
		patient: base.study.PatientID}
	o.TransferSyntax = s.uid
	dir, err := l.folder("object")
	if err != nil {
		return object{}, err
	}
	o.path = filepath.Join(dir, "object.dcm")
	return o, os.WriteFile(o.path, append(dicom.Preface(o.Names), data...), 0o600)
}

type chosen struct {
	study    synth.Study
	instance synth.Instance
}

// pick takes the first instance in a transfer syntax; if there is none, the first
// in Explicit VR Little Endian, and says so.
func pick(seed uint64, uid string) (c chosen, made bool) {
	for _, want := range []string{uid, explicitLE} {
		for _, study := range synth.Studies(seed, synth.Small) {
			for _, i := range study.Instances {
				if i.Names.TransferSyntax == want {
					return chosen{study, i}, want == uid
				}
			}
		}
	}
	panic("interop: synth makes nothing in Explicit VR Little Endian")
}

// encapsulate puts fragments in the place of native Pixel Data (PS3.5 §A.4), which
// is the last element of the data set.
func encapsulate(data, seed []byte) ([]byte, error) {
	at := bytes.LastIndex(data, []byte("\xe0\x7f\x10\x00OW\x00\x00"))
	if at < 0 {
		return nil, fmt.Errorf("no native Pixel Data to replace")
	}
	b := append(bytes.Clone(data[:at]), "\xe0\x7f\x10\x00OB\x00\x00\xff\xff\xff\xff"...)
	b = append(b, "\xfe\xff\x00\xe0\x00\x00\x00\x00"...) // empty offset table
	frame := bytes.Repeat(seed, 100)
	b = append(b, "\xfe\xff\x00\xe0"...)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(frame)))
	b = append(b, frame...)
	return append(b, "\xfe\xff\xdd\xe0\x00\x00\x00\x00"...), nil
}
