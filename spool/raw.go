package spool

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// Raw reads the file of an object as it lies on the disk, whole or not, in its
// place or in the quarantine folder: for somebody who keeps a copy of what cannot
// be read before it is discarded. What is encrypted stays so.
func (s *Spool) Raw(seq uint64) (io.ReadCloser, error) { return openRaw(s.fs, seq) }

// Raw is that of Spool.
func (r *Reader) Raw(seq uint64) (io.ReadCloser, error) { return openRaw(r.fs, seq) }

func openRaw(fs FS, seq uint64) (io.ReadCloser, error) {
	f, err := fs.Open(objectName(seq))
	if errors.Is(err, os.ErrNotExist) {
		f, err = fs.Open(asideName(seq))
	}
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("file of object %d: %w", seq, ErrUnknown)
	}
	if err != nil {
		return nil, fmt.Errorf("file of object %d: %w", seq, err)
	}
	size, err := f.Size()
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("file of object %d: %w", seq, err)
	}
	return rawFile{io.NewSectionReader(f, 0, size), f}, nil
}

type rawFile struct {
	io.Reader
	io.Closer
}
