package spool

import (
	"crypto/cipher"
	"errors"
	"fmt"
	"io"
	"os"
)

// Raw reads what is left of the file of an object, whole or not, in its place or
// in the quarantine folder: for somebody who keeps a copy of what cannot be read
// before it is discarded. Nothing about it is proved. Of an encrypted file it gives
// the plaintext, also of chunks that do not authenticate: with AES-GCM a flipped bit
// spoils that bit alone (NIST SP 800-38D §7.2 is counter mode and a tag). What the
// disk does not give is zeros, 4 KiB at a time.
func (s *Spool) Raw(seq uint64) (io.ReadCloser, error) { return openRaw(s.fs, s.keys, seq) }

// Raw is that of Spool.
func (r *Reader) Raw(seq uint64) (io.ReadCloser, error) { return openRaw(r.fs, r.keys, seq) }

func openRaw(fs FS, keys *keyring, seq uint64) (io.ReadCloser, error) {
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
	return rawFile{rawReader(wreck{f}, size, keys), f}, nil
}

type rawFile struct {
	io.Reader
	io.Closer
}

// rawReader gives the plaintext of what begins as an encrypted file that k opens,
// and everything else as it is.
func rawReader(f io.ReaderAt, size int64, k *keyring) io.Reader {
	whole := io.NewSectionReader(f, 0, size)
	header := make([]byte, cipherHeader)
	if k == nil || readFull(f, header, 0) != nil || !isEncrypted(header) {
		return whole
	}
	c, err := k.openFile(header)
	if err != nil {
		return whole
	}
	ctr := k.block(header[24:24+saltSize], infoObject)
	return &salvage{sealed: io.NewSectionReader(f, cipherHeader, size-cipherHeader), left: size - cipherHeader, c: c, block: ctr}
}

// salvage decrypts chunk after chunk.
type salvage struct {
	sealed io.Reader
	left   int64 // of sealed
	c      *fileCipher
	block  cipher.Block
	n      int64  // the next chunk
	plain  []byte // of the one before, what was not yet given
}

func (s *salvage) Read(p []byte) (int, error) {
	for len(s.plain) == 0 {
		if s.left <= 0 {
			return 0, io.EOF
		}
		one := make([]byte, min(sealedChunk, s.left))
		if _, err := io.ReadFull(s.sealed, one); err != nil {
			return 0, err
		}
		s.left -= int64(len(one))
		s.plain = s.chunk(one)
		s.n++
	}
	n := copy(p, s.plain)
	s.plain = s.plain[n:]
	return n, nil
}

// chunk opens one, or unlocks it without proof. The last one that is there was
// meant to be the last if it ends with a seal; if not, the file was cut off, most
// likely in a chunk that was not. Where that is wrong, these 16 KiB are noise.
func (s *salvage) chunk(sealed []byte) []byte {
	end := s.left == 0
	for _, last := range []bool{end, false} {
		if plain, err := s.c.open(nil, sealed, s.n, last); err == nil {
			return plain
		}
	}
	if last := s.unlock(sealed, true); end && len(last) >= sealSize && string(last[len(last)-sealSize:][:len(sealMagic)]) == sealMagic {
		return last
	}
	return s.unlock(sealed, false)
}

// unlock is the decryption of GCM without its tag: counter mode from 2 on behind
// a nonce of 96 bits (NIST SP 800-38D §7.1).
func (s *salvage) unlock(sealed []byte, last bool) []byte {
	nonce := chunkNonce(s.n, last)
	first := append(nonce[:], 0, 0, 0, 2)
	plain := make([]byte, max(0, len(sealed)-chunkTag))
	cipher.NewCTR(s.block, first).XORKeyStream(plain, sealed[:len(plain)])
	return plain
}

// wreck reads what a disk still gives.
type wreck struct{ f io.ReaderAt }

const wreckStep = 4 << 10 // a sector, or a page of it

// ReadAt gives zeros for the steps that cannot be read.
func (w wreck) ReadAt(p []byte, off int64) (int, error) {
	n, err := w.f.ReadAt(p, off)
	if err == nil || err == io.EOF || errors.Is(err, os.ErrClosed) {
		return n, err
	}
	for n = 0; n < len(p); {
		piece := p[n:min(len(p), n+wreckStep-int((off+int64(n))%wreckStep))]
		m, err := w.f.ReadAt(piece, off+int64(n))
		switch {
		case err == nil:
		case err == io.EOF || errors.Is(err, os.ErrClosed):
			return n + m, err
		default:
			clear(piece)
		}
		n += len(piece)
	}
	return n, nil
}
