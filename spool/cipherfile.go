package spool

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
)

// outlet stands between a Writer's buffer and its file. It counts the bytes that
// went to the file and, with a cipher, encrypts them.
type outlet struct {
	f    File
	n    int64   // bytes written to the file
	seal *sealer // nil: plain
}

func (k *keyring) outlet(f File) *outlet {
	if k == nil {
		return &outlet{f: f}
	}
	return &outlet{f: f, seal: newSealer(k.newFile())}
}

func (o *outlet) Write(p []byte) (int, error) {
	if o.seal != nil {
		return o.seal.write(p, o.write)
	}
	return o.write(p)
}

func (o *outlet) write(p []byte) (int, error) {
	n, err := o.f.Write(p)
	o.n += int64(n)
	return n, err
}

// finish writes what was held back: only the last chunk says that it is the last.
func (o *outlet) finish() error {
	if o.seal == nil {
		return nil
	}
	return o.seal.finish(o.write)
}

func (o *outlet) release() {
	if o.seal != nil {
		o.seal.release()
		o.seal = nil
	}
}

// sealBatch is how many chunks are written with one call: what a Writer's buffer
// holds, and the one that was held back before.
const sealBatch = writeBuffer/chunkSize + 1

// sealBuffers are what a sealer needs; most of its memory is shared by writers
// that follow each other.
type sealBuffers struct {
	held [chunkSize]byte
	out  [cipherHeader + sealBatch*sealedChunk]byte
}

var sealPool = sync.Pool{New: func() any { return new(sealBuffers) }}

// sealer cuts a stream into chunks and seals each once, in order. A full chunk is
// held back until another byte or the end comes. After an error nothing more is
// sealed: what was sealed may be in the file, and the same nonce with other bytes
// must never follow it there.
type sealer struct {
	c    *fileCipher
	buf  *sealBuffers
	held []byte // plaintext of the chunk that is being filled
	out  []byte // sealed and not yet written
	n    int64  // chunks sealed
	err  error
}

func newSealer(c *fileCipher) *sealer {
	b := sealPool.Get().(*sealBuffers)
	s := &sealer{c: c, buf: b, held: b.held[:0]}
	s.out = append(b.out[:0], c.header...)
	return s
}

func (s *sealer) write(p []byte, write func([]byte) (int, error)) (n int, err error) {
	for len(p) > 0 && s.err == nil {
		if len(s.held) == chunkSize {
			s.chunk(s.held, false, write)
			s.held = s.held[:0]
		}
		if len(s.held) == 0 && len(p) > chunkSize { // no need to copy it first
			s.chunk(p[:chunkSize], false, write)
			p, n = p[chunkSize:], n+chunkSize
			continue
		}
		m := min(len(p), chunkSize-len(s.held))
		s.held = append(s.held, p[:m]...)
		p, n = p[m:], n+m
	}
	if s.n > 0 { // until then there is only the header, which can wait
		s.flush(write)
	}
	return n, s.err
}

// chunk seals one and writes what has piled up when there is no room for another.
func (s *sealer) chunk(plain []byte, last bool, write func([]byte) (int, error)) {
	if s.err == nil && len(s.out)+sealedChunk > cap(s.out) {
		s.flush(write)
	}
	if s.err == nil {
		s.out = s.c.seal(s.out, plain, s.n, last)
		s.n++
	}
}

func (s *sealer) flush(write func([]byte) (int, error)) {
	if s.err != nil || len(s.out) == 0 {
		return
	}
	_, s.err = write(s.out)
	s.out = s.out[:0]
}

var errFinished = errors.New("encrypted file is finished")

// finish seals the last chunk, which may be full. Something was written before.
func (s *sealer) finish(write func([]byte) (int, error)) error {
	s.chunk(s.held, true, write)
	s.flush(write)
	err := s.err
	if err == nil {
		s.err = errFinished
	}
	return err
}

// release gives the buffers back, without what was in them.
func (s *sealer) release() {
	clear(s.buf.held[:])
	sealPool.Put(s.buf)
	s.buf, s.held, s.out, s.err = nil, nil, nil, errFinished
}

// blob is what is in a file of objects: the file itself, or what it holds
// encrypted. It reads at any offset, from any goroutine.
type blob struct {
	f    File
	disk int64       // bytes of the file
	size int64       // bytes inside
	c    *fileCipher // nil: plain
	keys *keyring    // nil: there are none

	mu   sync.Mutex       // guards all below, held while chunks are read
	kept *[chunkSize]byte // plaintext of the chunk that was read in part last
	at   int64            // its number; -1: none
	end  bool             // closed
}

// bulkChunks bounds what is read with one call, 256 KiB.
const bulkChunks = 16

var (
	chunkPool = sync.Pool{New: func() any { return new([chunkSize]byte) }}
	bulkPool  = sync.Pool{New: func() any { return new([bulkChunks * sealedChunk]byte) }}
)

// openBlob opens a file of objects, plain or encrypted. The blob is nil if the
// file cannot be opened. With any other error there is one, too, to be closed.
func openBlob(fs FS, keys *keyring, name string) (*blob, error) {
	f, err := fs.Open(name)
	if err != nil {
		return nil, err
	}
	return keys.blob(f)
}

// blob looks into f. It is never nil.
func (k *keyring) blob(f File) (*blob, error) {
	disk, err := f.Size()
	b := &blob{f: f, disk: disk, size: disk, keys: k, at: -1}
	if err != nil {
		return b, err
	}
	if disk < cipherHeader {
		return b, nil // whatever that is, readContainer says what it thinks of it
	}
	header := make([]byte, cipherHeader)
	if err := readFull(f, header, 0); err != nil || !isEncrypted(header) {
		return b, err
	}
	if b.c, err = k.openFile(header); err == nil {
		b.size, err = sizeInside(disk)
	}
	return b, err
}

// readFull reads all of p. An end before that is an error: the length was known.
func readFull(r io.ReaderAt, p []byte, off int64) error {
	n, err := r.ReadAt(p, off)
	switch {
	case n == len(p):
		return nil
	case err == nil || err == io.EOF:
		return io.ErrUnexpectedEOF
	}
	return err
}

// Close frees the file.
func (b *blob) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.kept != nil {
		clear(b.kept[:])
		chunkPool.Put(b.kept)
		b.kept, b.at = nil, -1
	}
	b.end = true
	return b.f.Close()
}

// ReadAt decrypts the chunks that p touches and no others. A chunk that does not
// authenticate is ErrCorrupt, and nothing of it is in p; what the disk says when
// it cannot read stays what it is.
func (b *blob) ReadAt(p []byte, off int64) (n int, err error) {
	if b.c == nil {
		return b.f.ReadAt(p, off)
	}
	if off < 0 {
		return 0, fmt.Errorf("read at offset %d", off)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.end {
		return 0, os.ErrClosed
	}
	want := p[:max(0, min(int64(len(p)), b.size-off))]
	for n < len(want) && err == nil {
		var m int
		m, err = b.run(want[n:], off+int64(n))
		n += m
	}
	if err == nil && n < len(p) {
		err = io.EOF
	}
	return n, err
}

// run fills the beginning of p, which lies inside, with one read of the disk or
// from the chunk that was kept. Guarded by mu.
func (b *blob) run(p []byte, off int64) (n int, err error) {
	first, last := off/chunkSize, (off+int64(len(p))-1)/chunkSize
	if first == b.at {
		return copy(p, b.kept[off%chunkSize:]), nil
	}
	if last == b.at {
		last--
	}
	last = min(last, first+bulkChunks-1)
	bulk := bulkPool.Get().(*[bulkChunks * sealedChunk]byte)
	defer bulkPool.Put(bulk)
	start := cipherHeader + first*sealedChunk
	sealed := bulk[:min((last+1-first)*sealedChunk, b.disk-start)]
	if err := readFull(b.f, sealed, start); err != nil {
		return 0, err
	}
	for i := first; i <= last && err == nil; i++ {
		var m int
		one := sealed[:min(sealedChunk, len(sealed))]
		m, err = b.open(p[n:], one, i, off+int64(n))
		n, sealed = n+m, sealed[len(one):]
	}
	return n, err
}

// open decrypts chunk i into p, and by way of the kept chunk when p does not take
// all of it. Guarded by mu.
func (b *blob) open(p, sealed []byte, i, off int64) (int, error) {
	from, size := int(off-i*chunkSize), len(sealed)-chunkTag
	last := cipherHeader+i*sealedChunk+int64(len(sealed)) == b.disk
	if from == 0 && len(p) >= size {
		_, err := b.c.open(p[:0:size], sealed, i, last)
		if err != nil {
			return 0, err
		}
		return size, nil
	}
	if b.kept == nil {
		b.kept = chunkPool.Get().(*[chunkSize]byte)
	}
	b.at = -1
	if _, err := b.c.open(b.kept[:0], sealed, i, last); err != nil {
		return 0, err
	}
	b.at = i
	return copy(p, b.kept[from:size]), nil
}
