package spool

import (
	"encoding/binary"
	"fmt"
	"math"
	"path"
)

// What is plain where all is encrypted was put there by somebody who has not the
// key: it is not believed (see Encryption in doc.go).

// foreignSegments are the plain ones that a spool with a key cannot have written:
// its first start writes an encrypted segment, before any object is encrypted, and
// from then on no plain one.
func foreignSegments(fs FS, keys *keyring, gens []uint64) (map[uint64]bool, error) {
	if keys == nil {
		return nil, nil
	}
	foreign, sealed := map[uint64]bool{}, false
	for _, gen := range gens {
		switch segmentVersion(fs, gen) {
		case segmentSealed:
			sealed = true
		case segmentPlain:
			if !sealed {
				var err error
				if sealed, err = anyEncrypted(fs); err != nil {
					return nil, err
				}
			}
			if sealed {
				foreign[gen] = true
			}
		}
	}
	return foreign, nil
}

// segmentVersion is zero for what is no segment, or cannot be read: readSegment
// says what that means.
func segmentVersion(fs FS, gen uint64) uint32 {
	f, err := fs.Open(segmentName(gen))
	if err != nil {
		return 0
	}
	defer f.Close()
	b := make([]byte, segmentHeader)
	if readFull(f, b, 0) != nil || string(b[:8]) != segmentMagic || binary.BigEndian.Uint32(b[28:]) != checksum(b[:28]) {
		return 0
	}
	return binary.BigEndian.Uint32(b[8:])
}

// anyEncrypted passes over files that cannot be looked into: one of them must not
// keep the spool from its start.
func anyEncrypted(fs FS) (bool, error) {
	names, err := objectFiles(fs)
	for _, name := range names {
		sealed, ferr := fileIsEncrypted(fs, name)
		if starved(ferr) {
			return false, fmt.Errorf("journal: %w", ferr)
		}
		if sealed {
			return true, nil
		}
	}
	if starved(err) {
		return false, fmt.Errorf("journal: %w", err)
	}
	return false, nil
}

// keepForeign takes the segments that are not believed out of the journal, for who
// looks into what happened. One that cannot be moved is not believed at the next
// start either.
func (j *journal) keepForeign() {
	for gen := range j.foreign {
		_ = j.fs.Rename(segmentName(gen), path.Join(quarantineDir, path.Base(segmentName(gen))))
	}
	j.foreign = nil
}

// unknownFrom: no number is known yet from which on all is encrypted.
const unknownFrom = math.MaxUint64

// sealFrom notes that every object with that number or a higher one is encrypted:
// numbers rise, and what is encrypted once stays so.
func (k *keyring) sealFrom(seq uint64) {
	for k != nil {
		was := k.from.Load()
		if seq >= was || k.from.CompareAndSwap(was, seq) {
			return
		}
	}
}

// row is what a segment says of it.
func (k *keyring) row() []op {
	if k == nil {
		return nil
	}
	return []op{{kind: opSealedFrom, seq: k.from.Load()}}
}

// admit judges, by the number in its seal, whether the container in b is one that
// this spool has written.
func (b *blob) admit(seq uint64) error {
	switch {
	case b.keys == nil:
		return nil
	case b.c != nil:
		b.keys.sealFrom(seq)
		return nil
	case seq >= b.keys.from.Load():
		return fmt.Errorf("%w: it is not encrypted, and every object from number %d on is", errNotSealed, b.keys.from.Load())
	}
	return nil
}
