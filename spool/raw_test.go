package spool

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"testing"
)

// rawSample is the file of one object, as it is on the disk and what is in it.
func rawSample(t *testing.T, key []byte) (disk, plain []byte, keys *keyring) {
	t.Helper()
	s := open(t, Config{Dir: t.TempDir(), Key: key})
	o, _ := put(t, s, newSample(1), sample(1, 3*chunkSize+chunkSize/2))
	f, err := s.fs.Open(objectName(o.Seq))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		t.Fatal(err)
	}
	disk = make([]byte, size)
	if err := readFull(f, disk, 0); err != nil {
		t.Fatal(err)
	}
	r, err := s.Raw(o.Seq)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if plain, err = io.ReadAll(r); err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(plain, sample(1, 3*chunkSize+chunkSize/2)) || bytes.Equal(plain, disk) != (key == nil) {
		t.Fatalf("%d bytes on the disk, %d in it", len(disk), len(plain))
	}
	return disk, plain, s.keys
}

func readRaw(t *testing.T, f io.ReaderAt, size int, keys *keyring) []byte {
	t.Helper()
	b, err := io.ReadAll(rawReader(wreck{f}, int64(size), keys))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// One flipped bit costs whoever salvages the file one bit, encrypted or not.
func TestRawOfOneFlippedBitLacksOneBit(t *testing.T) {
	for _, key := range [][]byte{nil, testKey} {
		disk, plain, keys := rawSample(t, key)
		for at := cipherHeader; at < len(disk); at += 977 {
			b := bytes.Clone(disk)
			b[at] ^= 4
			got := readRaw(t, bytes.NewReader(b), len(b), keys)
			if len(got) != len(plain) {
				t.Fatalf("byte %d: %d bytes, want %d", at, len(got), len(plain))
			}
			if n := differ(got, plain); n > 1 {
				t.Fatalf("byte %d: %d bits are wrong", at, n)
			}
		}
	}
}

func differ(a, b []byte) (n int) {
	for i := range a {
		n += bits.OnesCount8(a[i] ^ b[i])
	}
	return n
}

// What is cut off is given as far as it goes.
func TestRawOfACutFileGoesAsFarAsItGoes(t *testing.T) {
	for _, key := range [][]byte{nil, testKey} {
		disk, plain, keys := rawSample(t, key)
		for size := 0; size < len(disk); size += 1009 {
			got := readRaw(t, bytes.NewReader(disk[:size]), size, keys)
			lack := 0
			if key != nil && size >= cipherHeader {
				lack = cipherHeader + (size-cipherHeader)/sealedChunk*chunkTag + chunkTag
			}
			if key != nil && size > cipherHeader+3*sealedChunk {
				got, lack = got[:3*chunkSize], size-3*chunkSize // see chunk: noise is behind it
			}
			if size >= cipherHeader && (!bytes.HasPrefix(plain, got) || len(got) < size-lack) {
				t.Fatalf("%d bytes of the file give %d, which are its beginning: %t", size, len(got), bytes.HasPrefix(plain, got))
			}
		}
	}
}

// badDisk cannot read some bytes.
type badDisk struct {
	b        []byte
	from, to int64
}

func (d badDisk) ReadAt(p []byte, off int64) (int, error) {
	if off < d.to && off+int64(len(p)) > d.from {
		return 0, errors.New("input/output error")
	}
	return bytes.NewReader(d.b).ReadAt(p, off)
}

// A sector that cannot be read costs its place; what is around it is there.
func TestRawOfABadSectorGoesOn(t *testing.T) {
	for _, key := range [][]byte{nil, testKey} {
		t.Run(fmt.Sprintf("key of %d bytes", len(key)), func(t *testing.T) {
			disk, plain, keys := rawSample(t, key)
			got := readRaw(t, badDisk{disk, 20_000, 20_512}, len(disk), keys)
			if len(got) != len(plain) {
				t.Fatalf("%d bytes, want %d", len(got), len(plain))
			}
			first, last := -1, 0
			for i := range got {
				if got[i] != plain[i] {
					if last = i; first < 0 {
						first = i
					}
				}
			}
			if first < 0 || last-first > 2*wreckStep {
				t.Errorf("bytes %d to %d are wrong, want some, and at most %d", first, last, 2*wreckStep)
			}
		})
	}
}
