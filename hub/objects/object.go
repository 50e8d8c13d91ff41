package objects

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"

	"edged/internal/dicom"
)

// Object is a whole object, open for reading. It is a Part 10 file.
type Object struct {
	id     dicom.ID
	volume volume
	names  dicom.Names
	offset int64
}

// Open opens a whole object. The error wraps fs.ErrNotExist exactly when there is none,
// and dicom.ErrNotPart10 when what is there has no usable File Meta.
func (s *Store) Open(id dicom.ID) (*Object, error) {
	v, err := s.shelf.open(id)
	if err != nil {
		return nil, fmt.Errorf("object %s: %w", id, err)
	}
	o := &Object{id: id, volume: v}
	if err := o.readHead(); err != nil {
		v.Close()
		return nil, fmt.Errorf("object %s: %w", id, err)
	}
	return o, nil
}

func (o *Object) readHead() (err error) {
	if o.offset, err = o.prefaceLength(); err != nil {
		return err
	}
	head := bufio.NewReader(io.NewSectionReader(o.volume, 0, o.offset))
	if o.names, _, err = dicom.ReadPreface(head); errors.Is(err, dicom.ErrNotPart10) {
		o.volume.damaged()
	}
	return err
}

// prefaceLength believes the group length (0002,0000), because dicom.Preface
// wrote it: a data set may itself begin with bytes that look like group 0002.
func (o *Object) prefaceLength() (int64, error) {
	const fixed = 128 + 4 + 12 // preamble, "DICM", the group length element
	var head [fixed]byte
	if _, err := o.volume.ReadAt(head[:], 0); err == io.EOF {
		o.volume.damaged()
		return 0, fmt.Errorf("a file of %d bytes: %w", o.Size(), dicom.ErrNotPart10)
	} else if err != nil {
		return 0, err
	}
	n := fixed + int64(binary.LittleEndian.Uint32(head[fixed-4:]))
	if n > o.Size() {
		o.volume.damaged()
		return 0, fmt.Errorf("preface of %d bytes in a file of %d: %w", n, o.Size(), dicom.ErrNotPart10)
	}
	return n, nil
}

// Names are the three UIDs of the object.
func (o *Object) Names() dicom.Names { return o.names }

// DataOffset is where the data set begins in the file.
func (o *Object) DataOffset() int64 { return o.offset }

// Size is the length of the whole file, preamble and File Meta included.
func (o *Object) Size() int64 { return o.volume.size() }

// Length is the length of the data set.
func (o *Object) Length() int64 { return o.Size() - o.offset }

// ReadAt reads from the whole file. From a bucket one read after the other costs no more
// than one request, anything else a request each.
func (o *Object) ReadAt(b []byte, off int64) (int, error) { return o.volume.ReadAt(b, off) }

// Close closes the file, and ends what DataSet still reads.
func (o *Object) Close() error { return o.volume.Close() }

// DataSet reads the data set from its first byte and compares the digest in
// passing: the reader ends with ErrDigest in place of io.EOF when it does not hold (P14).
func (o *Object) DataSet() io.Reader {
	return &proven{id: o.id, hash: o.names.NewHash(), r: o.volume.from(o.offset), bad: o.volume.damaged}
}

// Verify reads the whole object and compares its digest.
func (o *Object) Verify() error {
	_, err := io.Copy(io.Discard, o.DataSet())
	return err
}

type proven struct {
	id   dicom.ID
	hash hash.Hash
	r    io.Reader
	bad  func()
}

// Read implements io.Reader.
func (p *proven) Read(b []byte) (int, error) {
	n, err := p.r.Read(b)
	p.hash.Write(b[:n])
	if err == io.EOF && dicom.ID(p.hash.Sum(nil)) != p.id {
		p.bad()
		return n, fmt.Errorf("object %s: %w", p.id, ErrDigest)
	}
	return n, err
}
