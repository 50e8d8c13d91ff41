package spool

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"sync"
)

// Content reads one object. It stays readable when the object is forgotten
// meanwhile. Close it.
type Content struct {
	f       *blob
	c       *container
	read    *io.SectionReader
	damaged func(error) // told when the bytes prove wrong; may be nil
	told    sync.Once
}

// Open opens the object's content for reading at any offset.
func (s *Spool) Open(id ID) (*Content, error) {
	s.mu.Lock()
	e, err := s.find(id)
	var seq uint64
	if err == nil {
		seq = e.seq
	}
	if err == nil && e.fate != inPlace {
		err = fmt.Errorf("%w: %s", ErrCorrupt, e.reason)
	}
	err = errors.Join(err, s.usableForReading())
	s.mu.Unlock()
	if err != nil {
		return nil, fmt.Errorf("open object %s: %w", id, err)
	}
	c, err := openContent(s.fs, s.keys, seq)
	if err == nil && c.c.id != id {
		c.Close()
		err = fmt.Errorf("%w: the file holds another object", ErrCorrupt)
	}
	if err != nil {
		return nil, s.readError(id, seq, err)
	}
	c.damaged = func(why error) { s.logged(s.markDamaged(id, seq, why)) }
	return c, nil
}

// usableForReading: a failed spool is still read, a closed one is not. Guarded by mu.
func (s *Spool) usableForReading() error {
	if s.closed {
		return ErrClosed
	}
	return nil
}

// readError quarantines what has lost its seal and passes other errors on.
func (s *Spool) readError(id ID, seq uint64, err error) error {
	if !errors.Is(err, errNotSealed) && !errors.Is(err, ErrCorrupt) {
		return fmt.Errorf("open object %s: %w", id, err)
	}
	s.logged(s.markDamaged(id, seq, err))
	return fmt.Errorf("open object %s: %w: %w", id, ErrCorrupt, err)
}

func (s *Spool) logged(err error) {
	if err != nil {
		s.cfg.Logger.Error("damage not recorded", "error", err)
	}
}

func openContent(fs FS, keys *keyring, seq uint64) (*Content, error) {
	b, c, err := openObject(fs, keys, seq)
	if err != nil {
		if b != nil {
			b.Close()
		}
		return nil, err
	}
	out := &Content{f: b, c: c}
	out.read = out.section(c.start, c.content)
	return out, nil
}

// Close frees the file.
func (c *Content) Close() error { return c.f.Close() }

// section reads n bytes from off on, and tells when they prove damaged: what is
// encrypted shows it at the first wrong chunk, long before its digest would.
func (c *Content) section(off, n int64) *io.SectionReader {
	return io.NewSectionReader(tellingReader{c}, off, n)
}

type tellingReader struct{ c *Content }

func (r tellingReader) ReadAt(p []byte, off int64) (int, error) {
	n, err := r.c.f.ReadAt(p, off)
	if errors.Is(err, ErrCorrupt) {
		r.c.tell(err)
	}
	return n, err
}

func (c *Content) tell(err error) {
	if c.damaged != nil {
		c.told.Do(func() { c.damaged(err) })
	}
}

// Size is the number of content bytes.
func (c *Content) Size() int64 { return c.c.content }

// Meta is what Create got.
func (c *Content) Meta() []byte { return c.c.meta }

// Preface is what Create got.
func (c *Content) Preface() []byte { return c.c.preface }

// End is what Writer.End got; zero: nothing.
func (c *Content) End() End { return c.c.end }

// Seed is what Create got.
func (c *Content) Seed() []byte { return c.c.seed }

// Read reads the content from where the last Read ended. It checks nothing;
// what leaves the appliance is read through Checked.
func (c *Content) Read(p []byte) (int, error) { return c.read.Read(p) }

// Seek is io.Seeker for Read.
func (c *Content) Seek(offset int64, whence int) (int64, error) { return c.read.Seek(offset, whence) }

// ReadAt reads content bytes at any offset. It checks nothing.
func (c *Content) ReadAt(p []byte, off int64) (int, error) { return c.read.ReadAt(p, off) }

// File reads preface and content as the one run that they are on the disk: with
// a Part 10 preface that is a Part 10 file.
func (c *Content) File() *io.SectionReader {
	n := c.c.parts.preface
	return c.section(c.c.start-n, n+c.c.content)
}

// Checked reads the content from offset on and hashes all of it in passing, what
// stands before offset too, so that sending needs no second read. When the
// digest proves wrong the last bytes are withheld: the reader ends with
// ErrCorrupt, the object is quarantined, and nobody ever gets all of a damaged
// object (P14).
func (c *Content) Checked(offset int64) io.Reader {
	h := sha256.New()
	h.Write(c.c.seed)
	return &checked{c: c, hash: h, skip: offset, from: c.section(c.c.start, c.c.content)}
}

type checked struct {
	c    *Content
	hash hash.Hash
	skip int64 // bytes still to be hashed and not passed on
	from io.Reader
	n    int64 // bytes hashed
	err  error
}

func (k *checked) Read(p []byte) (int, error) {
	if k.err == nil && k.skip > 0 {
		k.err = k.hashOnly()
	}
	if k.err != nil || len(p) == 0 {
		return 0, k.err
	}
	n, err := k.from.Read(p)
	k.hash.Write(p[:n])
	k.n += int64(n)
	if err != nil && err != io.EOF {
		k.err = err
		return 0, err
	}
	if err == io.EOF || k.n == k.c.c.content {
		k.err = k.finish()
		if k.err != io.EOF {
			return 0, k.err
		}
		if n > 0 {
			return n, nil
		}
	}
	return n, k.err
}

func (k *checked) hashOnly() error {
	n, err := io.CopyBuffer(onlyWriter{k.hash}, io.LimitReader(k.from, k.skip), make([]byte, 64<<10))
	k.n += n
	k.skip = 0
	if err == nil && k.n >= k.c.c.content {
		err = k.finish()
	}
	return err
}

// finish returns io.EOF when the digest is right.
func (k *checked) finish() error {
	if k.n == k.c.c.content && ID(k.hash.Sum(nil)) == k.c.c.id {
		return io.EOF
	}
	err := fmt.Errorf("%w: content does not match its digest", ErrCorrupt)
	k.c.tell(err)
	return err
}

// Verify reads the object again and checks seal and digest (P14). A mismatch is
// ErrCorrupt, and the object is quarantined. One that was taken for damaged and is
// whole is an object again.
func (s *Spool) Verify(ctx context.Context, id ID) error {
	s.mu.Lock()
	e, err := s.find(id)
	wrong := 0
	if err == nil {
		wrong = int(e.wrong)
	}
	s.mu.Unlock()
	if err == nil {
		askDisk(s.fs, e.seq)
	}
	c, err := s.Open(id)
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = io.CopyBuffer(onlyWriter{io.Discard}, contextReader{ctx, c.Checked(0)}, make([]byte, 256<<10))
	if err != nil {
		return fmt.Errorf("verify object %s: %w", id, err)
	}
	s.provedWhole(id, c.c.seq, wrong)
	return nil
}

type contextReader struct {
	ctx context.Context
	io.Reader
}

func (r contextReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.Reader.Read(p)
}

// meta reads the Meta of an object, from the index when it has it. It is nil
// when the file cannot be read; whoever opens the object learns why.
func (s *Spool) meta(seq uint64) []byte {
	if m, ok := s.index.meta(seq); ok {
		return m
	}
	return s.metaFromFile(seq)
}

func (s *Spool) metaFromFile(seq uint64) []byte {
	c, err := openContent(s.fs, s.keys, seq)
	if err != nil {
		return nil
	}
	defer c.Close()
	return c.Meta()
}
