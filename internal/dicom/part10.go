package dicom

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
)

// ImplementationClassUID is ours on associations and in File Meta. It stands
// below the UUID root 2.25 (PS3.5 §B.2) and never changes with a release,
// because File Meta is a pure function of an instance's Names.
const (
	ImplementationClassUID    = "2.25.243198896459042716561073610985918727146"
	ImplementationVersionName = "EDGED"
)

// Preface is what stands before the data set in a DICOM file: 128 zero bytes,
// "DICM", and the File Meta group in Explicit VR Little Endian (PS3.10 §7.1).
// It depends on n alone; who sent the instance is kept elsewhere (0002,0016 is
// left out on purpose).
func Preface(n Names) []byte {
	meta := appendOB(nil, 0x0001, []byte{0, 1})
	meta = appendUI(meta, 0x0002, n.SOPClass)
	meta = appendUI(meta, 0x0003, n.SOPInstance)
	meta = appendUI(meta, 0x0010, n.TransferSyntax)
	meta = appendUI(meta, 0x0012, ImplementationClassUID)
	meta = appendShort(meta, 0x0013, "SH", ImplementationVersionName, ' ')
	b := make([]byte, 128, 128+4+12+len(meta))
	b = append(b, "DICM"...)
	b = append(b, 2, 0, 0, 0, 'U', 'L', 4, 0)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(meta)))
	return append(b, meta...)
}

func appendOB(b []byte, element uint16, v []byte) []byte {
	b = append(b, 2, 0, byte(element), byte(element>>8), 'O', 'B', 0, 0)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(v)))
	return append(b, v...)
}

func appendUI(b []byte, element uint16, v string) []byte {
	return appendShort(b, element, "UI", v, 0)
}

// appendShort writes an element with a 16-bit length, padded to even (PS3.5 §7.1.2).
func appendShort(b []byte, element uint16, vr, v string, pad byte) []byte {
	if len(v)%2 == 1 {
		v += string(pad)
	}
	b = append(b, 2, 0, byte(element), byte(element>>8), vr[0], vr[1])
	b = binary.LittleEndian.AppendUint16(b, uint16(len(v)))
	return append(b, v...)
}

// ErrNotPart10 means that a file does not begin with the preamble and File Meta
// of PS3.10 §7.1.
var ErrNotPart10 = errors.New("no DICOM File Meta at the start")

// maxMeta bounds the File Meta group that ReadPreface is willing to walk.
const maxMeta = 64 << 10

// ReadPreface reads the preamble and File Meta from r and returns the names in
// it and how many bytes it took; what follows in r is the data set. Group 0002
// ends where another group begins; its declared length is not believed (some
// writers leave it out or wrong).
func ReadPreface(r *bufio.Reader) (n Names, size int64, err error) {
	var head [132]byte
	if _, err := io.ReadFull(r, head[:]); err != nil || string(head[128:]) != "DICM" {
		return n, 0, ErrNotPart10
	}
	size = int64(len(head))
	for size < maxMeta {
		peek, err := r.Peek(8)
		if err != nil || binary.LittleEndian.Uint16(peek) != 2 {
			break
		}
		took, err := readMetaElement(r, peek, &n)
		size += took
		if err != nil {
			return n, size, err
		}
	}
	if n.TransferSyntax == "" || n.SOPInstance == "" || n.SOPClass == "" {
		return n, size, fmt.Errorf("%w: a UID is missing", ErrNotPart10)
	}
	return n, size, nil
}

// readMetaElement takes one element of group 0002 whose first eight bytes are in peek.
func readMetaElement(r *bufio.Reader, peek []byte, n *Names) (int64, error) {
	element := binary.LittleEndian.Uint16(peek[2:])
	length, header := uint32(binary.LittleEndian.Uint16(peek[6:])), 8
	if longVR(string(peek[4:6])) {
		long, err := r.Peek(12)
		if err != nil {
			return 0, fmt.Errorf("%w: truncated", ErrNotPart10)
		}
		length, header = binary.LittleEndian.Uint32(long[8:]), 12
	}
	if length > maxMeta {
		return 0, fmt.Errorf("%w: element (0002,%04X) declares %d bytes", ErrNotPart10, element, length)
	}
	buf := make([]byte, header+int(length))
	if _, err := io.ReadFull(r, buf); err != nil {
		return 0, fmt.Errorf("%w: truncated", ErrNotPart10)
	}
	value := TrimUID(string(buf[header:]))
	switch element {
	case 0x0002:
		n.SOPClass = value
	case 0x0003:
		n.SOPInstance = value
	case 0x0010:
		n.TransferSyntax = value
	}
	return int64(len(buf)), nil
}

// longVR reports whether an explicit VR has a 32-bit length field (PS3.5 §7.1.2).
func longVR(vr string) bool {
	switch vr {
	case "OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV":
		return true
	}
	return false
}

// TrimUID takes off the padding that peers put behind a UID: NUL by PS3.5 §9.1,
// blanks by habit.
func TrimUID(s string) string { return strings.TrimRight(s, "\x00 ") }
