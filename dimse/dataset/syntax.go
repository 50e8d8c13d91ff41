package dataset

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Transfer syntaxes (PS3.5 §10, §A). Every other standard one is Explicit VR
// Little Endian as far as its elements go.
const (
	ImplicitVRLittleEndian         = "1.2.840.10008.1.2"
	ExplicitVRLittleEndian         = "1.2.840.10008.1.2.1"
	DeflatedExplicitVRLittleEndian = "1.2.840.10008.1.2.1.99"
	ExplicitVRBigEndian            = "1.2.840.10008.1.2.2"

	jpipReferencedDeflate      = "1.2.840.10008.1.2.4.95"
	jpipHTJ2KReferencedDeflate = "1.2.840.10008.1.2.4.205"
	gePrivateImplicit          = "1.2.840.113619.5.2" // elements little-endian, pixels big
)

// Limits of what is read and written.
const (
	MaxBytes    = 4 << 20 // of a data set, also of an inflated one
	MaxElements = 100_000 // in all, with those in sequences
	MaxDepth    = 16      // of sequences in sequences
)

// What can be wrong with a data set.
var (
	ErrSyntax    = errors.New("not a data set")
	ErrLimit     = errors.New("data set beyond a limit")
	ErrPixelData = errors.New("encapsulated value in a small data set")
)

// layout is how elements are written.
type layout struct {
	order    order
	implicit bool
}

type order interface {
	binary.ByteOrder
	binary.AppendByteOrder
}

var (
	implicitLE = layout{binary.LittleEndian, true}
	explicitLE = layout{binary.LittleEndian, false}
	explicitBE = layout{binary.BigEndian, false}
)

// layoutOf maps a transfer syntax to its layout. A private one is taken for
// explicit if the first element of b carries a VR (PS3.5 §10.1 lets private
// syntaxes be anything).
func layoutOf(ts string, b []byte) layout {
	switch ts {
	case ImplicitVRLittleEndian, gePrivateImplicit:
		return implicitLE
	case ExplicitVRBigEndian:
		return explicitBE
	}
	if !strings.HasPrefix(ts, "1.2.840.10008.") && len(b) > 5 && !isVR(b[4:6]) {
		return implicitLE
	}
	return explicitLE
}

func deflated(ts string) bool {
	return ts == DeflatedExplicitVRLittleEndian || ts == jpipReferencedDeflate || ts == jpipHTJ2KReferencedDeflate
}

// inflate gives at most limit bytes and whether there are more (PS3.5 §A.5).
func inflate(b []byte, limit int64) ([]byte, error) {
	out, err := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(b)), limit+1))
	if int64(len(out)) > limit {
		return out[:limit], fmt.Errorf("%w: inflates to more than %d bytes", ErrLimit, limit)
	}
	if err != nil {
		return out, fmt.Errorf("%w: inflating: %w", ErrSyntax, err)
	}
	return out, nil
}

// deflate pads to an even length with a NUL (PS3.5 §A.5).
func deflate(b, set []byte) ([]byte, error) {
	var z bytes.Buffer
	w, err := flate.NewWriter(&z, flate.DefaultCompression)
	if err == nil {
		_, err = w.Write(set)
	}
	if err == nil {
		err = w.Close()
	}
	if z.Len()%2 == 1 {
		z.WriteByte(0)
	}
	return append(b, z.Bytes()...), err
}

// isVR says whether two bytes look like a VR; unknown pairs are let through
// (PS3.5 §6.2 allows for new ones).
func isVR(b []byte) bool { return upper(b[0]) && upper(b[1]) }

func upper(c byte) bool { return c >= 'A' && c <= 'Z' }

// short says that a VR has a length of 16 bits; VRs not yet known have 32
// (PS3.5 §7.1.2, Table 7.1-1).
func short(vr string) bool {
	switch vr {
	case "AE", "AS", "AT", "CS", "DA", "DS", "DT", "FD", "FL", "IS", "LO", "LT",
		"PN", "SH", "SL", "SS", "ST", "TM", "UI", "UL", "US":
		return true
	}
	return false
}

// width is the size of the numbers of a VR whose order on the wire depends on
// the transfer syntax (PS3.5 §7.3); 1 for the others.
func width(vr string) int {
	switch vr {
	case "AT", "US", "SS", "OW":
		return 2
	case "UL", "SL", "FL", "OL", "OF":
		return 4
	case "FD", "OD", "OV", "SV", "UV":
		return 8
	}
	return 1
}

// swap gives a value in the other byte order; what is left over stays.
func swap(v []byte, width int) []byte {
	if width == 1 || len(v) == 0 {
		return v
	}
	out := bytes.Clone(v)
	for b := out; len(b) >= width; b = b[width:] {
		for i := range width / 2 {
			b[i], b[width-1-i] = b[width-1-i], b[i]
		}
	}
	return out
}
