package spool

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// The container, version 2; drawn in doc.go. Everything here is pure.

const (
	headerSize = 64
	sealSize   = 128

	headerMagic      = "EDGEDOBJ"
	sealMagic        = "EDGEDSEA"
	containerVersion = 2 // 1 had no part

	bitTest = 1 << 0
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

func checksumAdd(sum uint32, b []byte) uint32 { return crc32.Update(sum, castagnoli, b) }

// errNotSealed is every way in which a file fails to be a whole container.
var errNotSealed = errors.New("no matching seal")

// errLater means that nothing may be done with these files: a version of the
// program that we do not know wrote them.
var errLater = errors.New("written by a later version of the program")

// notOurs says that err is about files that are whole, as far as we know, and not
// for us: of a later version, or of another key. Nothing may be changed.
func notOurs(err error) bool { return errors.Is(err, errLater) || errors.Is(err, ErrKey) }

// head is what stands before the content.
type head struct {
	flags    uint32
	priority Priority
	test     bool
	group    string
	part     string
	name     nameSum
	seed     []byte
	meta     []byte
	preface  []byte
}

func (h head) check() error {
	for _, part := range []struct {
		what     string
		len, max int
	}{{"group", len(h.group), MaxGroup}, {"part", len(h.part), MaxGroup}, {"seed", len(h.seed), MaxSeed}, {"meta", len(h.meta), MaxMeta}, {"preface", len(h.preface), MaxPreface}} {
		if part.len > part.max {
			return fmt.Errorf("%s has %d bytes, at most %d are kept", part.what, part.len, part.max)
		}
	}
	if h.priority >= priorities {
		return fmt.Errorf("priority %d is unknown", h.priority)
	}
	return nil
}

func (h head) encode() []byte {
	b := make([]byte, headerSize, headerSize+len(h.seed)+len(h.group)+len(h.part)+len(h.meta)+len(h.preface))
	copy(b, headerMagic)
	binary.BigEndian.PutUint16(b[8:], containerVersion)
	b[10] = byte(h.priority)
	if h.test {
		b[11] |= bitTest
	}
	binary.BigEndian.PutUint32(b[12:], h.flags)
	binary.BigEndian.PutUint32(b[16:], uint32(len(h.seed)))
	binary.BigEndian.PutUint32(b[20:], uint32(len(h.group)))
	binary.BigEndian.PutUint32(b[24:], uint32(len(h.meta)))
	binary.BigEndian.PutUint32(b[28:], uint32(len(h.preface)))
	binary.BigEndian.PutUint32(b[32:], uint32(len(h.part)))
	copy(b[36:52], h.name[:])
	binary.BigEndian.PutUint32(b[60:], checksum(b[:60]))
	b = append(b, h.seed...)
	b = append(b, h.group...)
	b = append(b, h.part...)
	b = append(b, h.meta...)
	return append(b, h.preface...)
}

// lengths of what stands before the content, from a header that passed its checksum.
type lengths struct{ seed, group, part, meta, preface int64 }

func (l lengths) sum() int64 { return headerSize + l.seed + l.group + l.part + l.meta + l.preface }

// decodeHeader reads the fixed part. Lengths that come out are within the
// limits, whatever the disk says (SPOOL-22).
func decodeHeader(b []byte) (h head, l lengths, err error) {
	if len(b) < headerSize || string(b[:8]) != headerMagic || binary.BigEndian.Uint32(b[60:]) != checksum(b[:60]) {
		return h, l, fmt.Errorf("%w: not a container header", errNotSealed)
	}
	if v := binary.BigEndian.Uint16(b[8:]); v < 1 || v > containerVersion {
		return h, l, fmt.Errorf("%w: container version %d", errLater, v)
	}
	h.priority, h.test, h.flags = Priority(b[10]), b[11]&bitTest != 0, binary.BigEndian.Uint32(b[12:])
	copy(h.name[:], b[36:52])
	at := func(off int) int64 { return int64(binary.BigEndian.Uint32(b[off:])) }
	l = lengths{seed: at(16), group: at(20), meta: at(24), preface: at(28), part: at(32)} // version 1 has zero there
	if l.seed > MaxSeed || l.group > MaxGroup || l.part > MaxGroup || l.meta > MaxMeta || l.preface > MaxPreface || h.priority >= priorities {
		return h, l, fmt.Errorf("%w: container header is out of bounds", errNotSealed)
	}
	return h, l, nil
}

// seal is the end of a container and the proof of all of it.
type seal struct {
	seq      uint64
	content  int64
	received int64 // Unix nanoseconds; shown, never used to order or delete (D-S7)
	id       ID
	head     [sha256.Size]byte // of every byte before the content
	end      End
}

// NoteSize is how long a note in the seal is.
const NoteSize = 24

// End is what only the end of the content told: opaque, and as durable as the object.
type End struct {
	Flags uint32 // besides those of New
	Note  [NoteSize]byte
}

func (s seal) encode() []byte {
	b := make([]byte, sealSize)
	copy(b, sealMagic)
	binary.BigEndian.PutUint64(b[8:], s.seq)
	binary.BigEndian.PutUint64(b[16:], uint64(s.content))
	binary.BigEndian.PutUint64(b[24:], uint64(s.received))
	copy(b[32:], s.id[:])
	copy(b[64:], s.head[:])
	binary.BigEndian.PutUint32(b[96:], s.end.Flags)
	copy(b[100:], s.end.Note[:])
	binary.BigEndian.PutUint32(b[124:], checksum(b[:124]))
	return b
}

func decodeSeal(b []byte) (s seal, err error) {
	if len(b) != sealSize || string(b[:8]) != sealMagic || binary.BigEndian.Uint32(b[124:]) != checksum(b[:124]) {
		return s, fmt.Errorf("%w: not a seal", errNotSealed)
	}
	s.seq = binary.BigEndian.Uint64(b[8:])
	s.content = int64(binary.BigEndian.Uint64(b[16:]))
	s.received = int64(binary.BigEndian.Uint64(b[24:]))
	copy(s.id[:], b[32:])
	copy(s.head[:], b[64:])
	s.end.Flags = binary.BigEndian.Uint32(b[96:])
	copy(s.end.Note[:], b[100:])
	if s.content < 0 {
		return s, fmt.Errorf("%w: negative length", errNotSealed)
	}
	return s, nil
}

// container is a parsed file: where its content is and what stands around it.
type container struct {
	head
	seal
	start int64   // offset of the content
	disk  int64   // bytes of the file
	parts lengths // of what stands before it

	source uint16 // not written: see Spool.lean
}

// readContainer checks the structure of a container of the given size: header,
// lengths that add up to the file's size, seal, and the digest of everything
// before the content. It does not read the content; proveContent does.
func readContainer(r io.ReaderAt, size int64) (*container, error) {
	if size < headerSize+sealSize {
		return nil, fmt.Errorf("%w: %d bytes", errNotSealed, size)
	}
	first := make([]byte, min(size, 4096))
	if _, err := r.ReadAt(first, 0); err != nil {
		return nil, err
	}
	h, l, err := decodeHeader(first)
	if err != nil {
		return nil, err
	}
	var tail [sealSize]byte
	if _, err := r.ReadAt(tail[:], size-sealSize); err != nil && err != io.EOF {
		return nil, err
	}
	s, err := decodeSeal(tail[:])
	if err != nil {
		return nil, err
	}
	if mutant != mutantNoSealCheck && s.content != size-sealSize-l.sum() {
		return nil, fmt.Errorf("%w: lengths do not add up to the file's", errNotSealed)
	}
	h.flags |= s.end.Flags
	c := &container{head: h, seal: s, start: l.sum(), parts: l}
	if err := c.readParts(r, first, l); err != nil {
		return c, err
	}
	if b, ok := r.(*blob); ok {
		return c, b.admit(c.seq)
	}
	return c, nil
}

// readParts fills in what follows the header; first is the beginning of the file.
func (c *container) readParts(r io.ReaderAt, first []byte, l lengths) error {
	b := first
	if int64(len(b)) < c.start {
		b = make([]byte, c.start) // at most 530 KiB, see the limits
		copy(b, first)
		if _, err := r.ReadAt(b[len(first):], int64(len(first))); err != nil {
			return fmt.Errorf("%w: %w", errNotSealed, err)
		}
	}
	b = b[:c.start]
	if mutant != mutantNoSealCheck && sha256.Sum256(b) != c.seal.head {
		return fmt.Errorf("%w: what stands before the content was altered", errNotSealed)
	}
	b = b[headerSize:]
	take := func(n int64) []byte {
		part := bytes.Clone(b[:n])
		b = b[n:]
		return part
	}
	c.seed, c.group, c.part = take(l.seed), string(take(l.group)), string(take(l.part))
	c.meta, c.preface = take(l.meta), take(l.preface)
	return nil
}

// proveContent reads all of the content and compares it with the ID. If copyTo
// is not nil the content is written there as well.
func (c *container) proveContent(r io.ReaderAt, copyTo io.Writer) error {
	if mutant == mutantNoSealCheck {
		return nil
	}
	h := sha256.New()
	h.Write(c.seed)
	var w io.Writer = h
	if copyTo != nil {
		w = io.MultiWriter(h, copyTo)
	}
	buf := make([]byte, 256<<10)
	n, err := io.CopyBuffer(onlyWriter{w}, onlyReader{io.NewSectionReader(r, c.start, c.content)}, buf)
	if err != nil {
		return err
	}
	if n != c.content || ID(h.Sum(nil)) != c.id {
		return fmt.Errorf("%w: content does not match its digest", ErrCorrupt)
	}
	return nil
}

// onlyReader and onlyWriter hide ReadFrom and WriteTo, so that CopyBuffer uses the buffer it was given.
type onlyReader struct{ io.Reader }
type onlyWriter struct{ io.Writer }

// copyFile copies all of a file.
func copyFile(to io.Writer, from File) error {
	size, err := from.Size()
	if err != nil {
		return err
	}
	n, err := io.CopyBuffer(onlyWriter{to}, onlyReader{io.NewSectionReader(from, 0, size)}, make([]byte, 256<<10))
	if err == nil && n != size {
		err = io.ErrUnexpectedEOF
	}
	return err
}
