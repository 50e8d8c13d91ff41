package dicom

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/suyashkumar/dicom"
)

// HeaderWindow is how many bytes from the start of a data set are looked at,
// before and after inflating.
const HeaderWindow = 64 << 10

// maxValue is the longest value that is taken out of a header.
const maxValue = 1024

// Header is what the first elements of a data set say about it. Every field may
// be empty: missing, beyond the window, or not legible.
type Header struct {
	Study, Series         string // Instance UIDs
	SOPClass, SOPInstance string // as in the data set; the command's may differ
	Modality              string
	StudyDate             string // YYYYMMDD as sent
	NumberOfFrames        string

	Facts // about a person, too
}

// bare is without Facts.
func (h Header) bare() Header {
	h.Facts = Facts{}
	return h
}

// ErrHeader means that the bytes could not be read as a data set in the given
// transfer syntax. The instance is kept all the same.
var ErrHeader = errors.New("data set header cannot be read")

// Transfer syntaxes whose data set is not Explicit VR Little Endian (PS3.5 §A).
const (
	ImplicitVRLittleEndian         = "1.2.840.10008.1.2"
	ExplicitVRLittleEndian         = "1.2.840.10008.1.2.1"
	DeflatedExplicitVRLittleEndian = "1.2.840.10008.1.2.1.99"
	JPIPReferencedDeflate          = "1.2.840.10008.1.2.4.95"
	JPIPHTJ2KReferencedDeflate     = "1.2.840.10008.1.2.4.205"
	ExplicitVRBigEndian            = "1.2.840.10008.1.2.2"
	GEPrivateImplicitBigEndian     = "1.2.840.113619.5.2" // elements little endian, pixels big
)

// ReadHeader reads what it can from window, the first bytes (at most
// HeaderWindow are used) of a data set in the given transfer syntax. With an
// error the fields found before it are still set. It never panics and its work
// and memory are bounded by HeaderWindow, whatever the bytes say.
func ReadHeader(window []byte, transferSyntax string) (h Header, err error) {
	window = window[:min(len(window), HeaderWindow)]
	if deflated(transferSyntax) {
		window = inflate(window)
	}
	s := scanner{window, layoutOf(transferSyntax, window)}
	wanted, err := s.collect(&h.Facts)
	if err != nil {
		err = fmt.Errorf("%w: %w", ErrHeader, err)
	}
	if parseErr := h.parse(wanted, s.layout); err == nil && parseErr != nil {
		err = fmt.Errorf("%w: %w", ErrHeader, parseErr)
	}
	if err == nil && h.bare() == (Header{}) {
		err = fmt.Errorf("%w: nothing known in the first %d bytes", ErrHeader, len(window))
	}
	return h, err
}

// deflated: all of the data set is one deflate stream (PS3.5 §A.5); no tag can be
// looked for before it is inflated.
func deflated(ts string) bool {
	return ts == DeflatedExplicitVRLittleEndian || ts == JPIPReferencedDeflate || ts == JPIPHTJ2KReferencedDeflate
}

// inflate gives at most HeaderWindow bytes; a broken stream gives what came before.
func inflate(b []byte) []byte {
	out, _ := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(b)), HeaderWindow))
	return out
}

// layoutOf maps a transfer syntax to how its elements are written. A private
// syntax is taken for explicit if its first element carries a VR (PS3.5 §10.1
// lets private syntaxes be anything).
func layoutOf(ts string, b []byte) layout {
	switch ts {
	case ImplicitVRLittleEndian, GEPrivateImplicitBigEndian:
		return layout{binary.LittleEndian, true}
	case ExplicitVRBigEndian:
		return layout{binary.BigEndian, false}
	}
	standard := strings.HasPrefix(ts, "1.2.840.10008.")
	return layout{binary.LittleEndian, !standard && len(b) > 5 && !isVR(b[4], b[5])}
}

// wantedTags are the elements that Header is made of, by group and element.
var wantedTags = map[uint32]func(*Header) *string{
	0x00080016: func(h *Header) *string { return &h.SOPClass },
	0x00080018: func(h *Header) *string { return &h.SOPInstance },
	0x00080020: func(h *Header) *string { return &h.StudyDate },
	0x00080060: func(h *Header) *string { return &h.Modality },
	0x0020000D: func(h *Header) *string { return &h.Study },
	0x0020000E: func(h *Header) *string { return &h.Series },
	0x00280008: func(h *Header) *string { return &h.NumberOfFrames },
}

// collect copies the wanted elements, whole and small, in the order they stand, and
// fills in the facts.
func (s scanner) collect(f *Facts) ([]byte, error) {
	var out []byte
	var d decoder
	err := s.top(func(e span) {
		f.note(s, e, &d)
		if wantedTags[e.tag] != nil && e.plain() && e.end-e.value <= maxValue && len(out) < HeaderWindow/4 {
			out = append(out, s.b[e.start:e.end]...)
		}
	})
	f.Undecoded = d.failed
	return out, err
}

// plain says that nothing lies inside the value: the parser believes the lengths
// that it finds in a sequence, whatever tag the sequence hides behind.
func (e span) plain() bool {
	switch e.vr {
	case "", "CS", "DA", "IS", "LO", "SH", "UI", "UN":
		return !e.undefined
	}
	return false
}

// parse gives the collected elements to the parser in dataset mode. The parser
// sees only elements whose lengths were checked; a panic in it is an error here.
//
// When it starts, the parser guesses a layout by reading the first element, and
// allocates by what it takes for its length: an ordinary big-endian element cost
// 436 MB. So the first element that it sees is leader, which is what it guesses,
// and the true layout is set behind it.
func (h *Header) parse(elements []byte, l layout) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("parser gave up: %v", p)
		}
	}()
	if len(elements) == 0 {
		return nil
	}
	in := io.MultiReader(bytes.NewReader(leader), bytes.NewReader(elements))
	p, err := dicom.NewParser(in, int64(len(leader)+len(elements)), nil, dicom.SkipMetadataReadOnNewParserInit())
	if err == nil {
		_, err = p.Next()
	}
	if err != nil {
		return err
	}
	p.SetTransferSyntax(l.order, l.implicit)
	for range len(elements)/8 + 1 { // no element is shorter than eight bytes
		e, err := p.Next()
		if errors.Is(err, dicom.ErrorEndOfDICOM) {
			return nil
		}
		if err != nil {
			return err
		}
		h.take(e)
	}
	return nil
}

func (h *Header) take(e *dicom.Element) {
	field := wantedTags[uint32(e.Tag.Group)<<16|uint32(e.Tag.Element)]
	if field == nil {
		return
	}
	switch v := e.Value.GetValue().(type) {
	case []string:
		if len(v) > 0 {
			*field(h) = strings.Trim(v[0], "\x00 ")
		}
	case []byte: // VR UN, as some compressors write every element
		*field(h) = strings.Trim(string(v), "\x00 ")
	}
}

// leader is an element in Implicit VR Little Endian, as long as the parser looks
// ahead: Data Set Trailing Padding (PS3.10 §7.2), (FFFC,FFFC), 92 bytes.
var leader = append([]byte{0xFC, 0xFF, 0xFC, 0xFF, 92, 0, 0, 0}, make([]byte, 92)...)
