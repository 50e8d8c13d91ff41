package synth

import (
	"bytes"
	"fmt"
	"io"
)

const (
	scClass  = "1.2.840.10008.5.1.4.1.1.7"   // Secondary Capture Image Storage
	scfClass = "1.2.840.10008.5.1.4.1.1.7.2" // Multi-frame Grayscale Byte Secondary Capture Image Storage

	benchColumns  = 512
	benchFrame    = 1 << 20 // bytes of a frame of a large object
	nativeLimit   = 1<<32 - 2
	multiFrom     = 32 << 20 // smaller objects are one frame
	headroom      = 2 << 10  // more than the attributes take
	trailingBytes = 12       // header of Data Set Trailing Padding
	itemBytes     = 8        // header of an item or delimiter

	// MinSize is the least data set that Bench makes.
	MinSize = 4 << 10
)

// benchStudy is p.Objects objects of exactly p.Size bytes each.
func benchStudy(seed uint64, p Profile) Study {
	if p.Size < MinSize || p.Size%2 != 0 {
		panic(fmt.Sprintf("synth: %d bytes are no size: want an even number from %d", p.Size, MinSize))
	}
	e := newExam(seed, "OT", "PROVA DI CARICO")
	s := e.series(1, scClass, explicitLE, "CARICO", dataset{"ConversionType": "WSD", "PatientOrientation": "", "Laterality": ""})
	if p.Size >= multiFrom {
		s.class, s.attrs["SOPClassUID"] = scfClass, scfClass
	}
	if p.Size >= nativeLimit {
		s.transferSyntax = encapsulatedRaw
	}
	block := make([]byte, blockSize)
	source(seed, "bench").Read(block)
	for i := range p.Objects {
		random := cycle{block, pick(seed, fmt.Sprintf("bench/%d", i+1), blockSize)}
		s.addOpen(i+1, func(common dataset) (io.Reader, int64) { return s.stream(common, random, p.Size) })
	}
	return *e.study
}

// stream is a data set of exactly size bytes that is never whole in memory:
//
//	attributes | Pixel Data of random bytes | Data Set Trailing Padding (PS3.10 §7.2)
//
// What the frames leave over, less than one frame, goes into the padding.
func (s series) stream(common dataset, random cycle, size int64) (io.Reader, int64) {
	rows, frames := shape(size)
	common.with(pixelModule(benchColumns, rows, 8, 8))
	if s.class == scfClass {
		common.with(dataset{
			"NumberOfFrames": int(frames), "FrameTime": "40", "FrameIncrementPointer": int(dictionary["FrameTime"].tag),
			"BurnedInAnnotation": "NO", "PresentationLUTShape": "IDENTITY", "RescaleIntercept": "0", "RescaleSlope": "1", "RescaleType": "US",
		})
	}
	head := encode(common, explicitLE)
	frame := int64(rows) * benchColumns
	parts := []io.Reader{bytes.NewReader(head)}
	used := int64(len(head)) + trailingBytes
	if s.transferSyntax == encapsulatedRaw {
		parts = append(parts, encapsulated(&random, frame, frames))
		used += 12 + itemBytes + frames*(itemBytes+frame) + itemBytes
	} else {
		parts = append(parts, bytes.NewReader(longHeader("PixelData", uint32(frames*frame))), io.LimitReader(&random, frames*frame))
		used += 12 + frames*frame
	}
	padding := size - used
	parts = append(parts, bytes.NewReader(longHeader("DataSetTrailingPadding", uint32(padding))), io.LimitReader(zeros{}, padding))
	return io.MultiReader(parts...), size
}

// shape says how many frames of how many rows fit into size bytes.
func shape(size int64) (rows int, frames int64) {
	if size < multiFrom {
		return int((size - headroom) / benchColumns), 1
	}
	return benchFrame / benchColumns, (size - headroom) / (benchFrame + itemBytes)
}

// longHeader is an element header of Explicit VR Little Endian with VR OB.
func longHeader(keyword string, length uint32) []byte {
	return syntaxOf(explicitLE).appendHeader(nil, attribute{dictionary[keyword].tag, "OB"}, length)
}

// encapsulated streams frames as fragments behind an empty Basic Offset Table:
// with more than 4 GiB the table's 32 bits do not suffice (PS3.5 §A.4).
func encapsulated(random io.Reader, frame, frames int64) io.Reader {
	s := syntaxOf(encapsulatedRaw)
	head := s.appendItemHeader(longHeader("PixelData", undefinedLength), itemTag, 0)
	tail := s.appendItemHeader(nil, sequenceDelimiterTag, 0)
	return io.MultiReader(bytes.NewReader(head), &items{random: random, frame: frame, left: frames}, bytes.NewReader(tail))
}

// items is a run of items of equal length with random contents.
type items struct {
	random      io.Reader
	frame, left int64
	current     io.Reader
}

func (i *items) Read(b []byte) (int, error) {
	for {
		if i.current != nil {
			if n, err := i.current.Read(b); err != io.EOF {
				return n, err
			}
		}
		if i.left == 0 {
			return 0, io.EOF
		}
		i.left--
		head := syntaxOf(encapsulatedRaw).appendItemHeader(nil, itemTag, uint32(i.frame))
		i.current = io.MultiReader(bytes.NewReader(head), io.LimitReader(i.random, i.frame))
	}
}

// cycle gives a block of random bytes again and again, from a place of its own.
// Fresh random bytes would cost as much as sending them.
type cycle struct {
	block []byte
	at    int
}

// blockSize is a prime, so that no frame, buffer or chunk of a protocol is a
// multiple of it: bytes that are lost, swapped or sent twice change the digest.
const blockSize = 1<<20 - 3

func (c *cycle) Read(b []byte) (int, error) {
	n := copy(b, c.block[c.at:])
	c.at = (c.at + n) % len(c.block)
	return n, nil
}

// zeros never ends.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }
