package spool

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
)

// identify says what is wrong with a file that was set aside and, when that is
// proved, which object it was.
func identify(ctx context.Context, fs FS, keys *keyring, name string, seq uint64) (ID, error) {
	f, err := openBlob(fs, keys, name)
	if f != nil {
		defer f.Close()
	}
	if err != nil {
		return ID{}, err
	}
	c, err := readContainer(f, f.size)
	switch {
	case err != nil:
		return provedID(ctx, f, f.size), err
	case c.seq != seq:
		return c.id, fmt.Errorf("%w: the seal is of object %d", errNotSealed, c.seq)
	}
	return c.id, fmt.Errorf("%w: content does not match its digest", ErrCorrupt)
}

// provedID is the ID in the seal, if the seal proves itself or the content
// proves the ID; else zero.
func provedID(ctx context.Context, f io.ReaderAt, size int64) (id ID) {
	if size < headerSize+sealSize {
		return ID{}
	}
	var first [headerSize]byte
	var tail [sealSize]byte
	_, err := f.ReadAt(tail[:], size-sealSize)
	if err != nil && err != io.EOF {
		return ID{}
	}
	if s, err := decodeSeal(tail[:]); err == nil {
		return s.id
	}
	if _, err := f.ReadAt(first[:], 0); err != nil {
		return ID{}
	}
	_, l, err := decodeHeader(first[:])
	if err != nil || l.sum() > size-sealSize || !resemblesSeal(tail[:], size-sealSize-l.sum()) {
		return ID{}
	}
	h := sha256.New()
	for _, part := range []*io.SectionReader{io.NewSectionReader(f, headerSize, l.seed), io.NewSectionReader(f, l.sum(), size-sealSize-l.sum())} {
		if _, err := io.CopyBuffer(onlyWriter{h}, contextReader{ctx, part}, make([]byte, 256<<10)); err != nil {
			return ID{}
		}
	}
	copy(id[:], tail[32:])
	if id != ID(h.Sum(nil)) {
		return ID{}
	}
	return id
}
