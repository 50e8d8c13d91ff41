package objects

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"sync"
	"time"

	"edged/internal/dicom"
)

const (
	aside    = 2 << 20          // bytes of a file, above which it goes beside the others of a Seal
	single   = 16 << 20         // bytes of a file that is stored in one request, at most
	sealWait = 20 * time.Second // for all small objects of one Seal
	width    = 16               // of them at the same time, of one Seal
)

// cargo is a proven partial object on its way to the bucket. Nobody writes to its file
// any more: whoever begins anew makes another one.
type cargo struct {
	id    dicom.ID
	names dicom.Names
	file  *os.File // of its own
	size  int64
	life  int // partial.files when it was opened

	digest  hash.Hash // of the data set, as it is read again
	preface int64     // bytes before the data set
}

// seal stores the small ones and waits for the larger ones, when they were not prepared. When the bucket cannot, the
// rest of the call is not tried: what takes a second alone must not take a minute.
func (b *bucket) seal(claims []*Partial, errs []error) {
	ctx, cancel := context.WithTimeoutCause(b.ctx, b.patience, errSlow)
	defer cancel()
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	inParallel(len(claims), width, func(i int) {
		errs[i] = b.sealOne(ctx, claims[i])
		if errors.Is(errs[i], ErrFull) && !errors.Is(errs[i], ErrTooBig) {
			stop(errs[i])
		}
	})
}

var errSlow = fmt.Errorf("%w: the bucket is too slow", ErrFull)

func (b *bucket) sealOne(ctx context.Context, c *Partial) error {
	g, err := b.load(c)
	if err != nil || g == nil {
		return b.settle(c, 0, err)
	}
	if g.size > aside {
		return b.settle(c, g.life, b.carry(g, 1))
	}
	defer g.file.Close()
	return b.settle(c, g.life, b.sealSmall(ctx, g))
}

// load proves what c claims and opens its file. It returns nil when the bucket has it.
func (b *bucket) load(c *Partial) (*cargo, error) {
	p := c.p
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := c.prove(); err != nil {
		return nil, err
	}
	p.close()
	if p.stored || p.failed != nil {
		err := p.failed
		p.failed = nil
		return nil, err
	}
	f, err := b.s.root.Open(p.key.path())
	if err != nil {
		if !spent(err) {
			p.drop()
		}
		return nil, fmt.Errorf("seal: %w", full(err))
	}
	return &cargo{id: p.key.id, names: p.names, file: f, size: p.onDisk, life: p.files, preface: int64(len(p.preface))}, nil
}

// settle writes down what became of it. life is 0 when there was no cargo.
func (b *bucket) settle(c *Partial, life int, err error) error {
	if life != 0 {
		c.p.carried(life, err)
	}
	p := c.p
	defer p.store.fewer(p.key.device)
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.gone && err != nil:
		return err
	case p.owner != c || p.gone:
		return ErrPreempted
	case errors.Is(err, ErrDigest):
		p.drop()
	case errors.Is(err, ErrFull):
		p.failed = nil
		p.rest()
	}
	return err
}

// carried remembers what became of a file, unless that was given up in between.
func (p *partial) carried(life int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.gone || p.files != life {
		return
	}
	p.stored, p.failed = err == nil, err
}

// sealSmall stores an object in one request. What is there already is replaced, by the
// same bytes: to ask first would cost as much.
func (b *bucket) sealSmall(ctx context.Context, g *cargo) error {
	select {
	case b.slots <- struct{}{}:
		defer func() { <-b.slots }()
	case <-ctx.Done():
	}
	if ctx.Err() != nil {
		return busyCause(ctx)
	}
	began := time.Now()
	err := b.putWhole(ctx, g)
	if errors.Is(err, ErrDigest) || errors.Is(err, ErrFull) {
		return err
	}
	if err != nil && context.Cause(ctx) != nil && errors.Is(context.Cause(ctx), ErrFull) {
		if errors.Is(context.Cause(ctx), errSlow) {
			return b.failed(context.DeadlineExceeded)
		}
		return busyCause(ctx)
	}
	if err != nil {
		return b.failedAt(began, err)
	}
	b.worked()
	return nil
}

// putWhole stores an object in one request.
func (b *bucket) putWhole(ctx context.Context, g *cargo) error {
	g.digest = g.names.NewHash()
	sum, err := g.sum(0, g.size)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrFull, err) // the file stays: another time, or its appliance, will tell
	}
	if !g.holds() {
		return ErrDigest
	}
	return within(ctx, transferWait(g.size), 3, func(ctx context.Context) error {
		_, err := b.core.PutObject(ctx, b.Name, b.objectKey(g.id), g.section(0, g.size), g.size, "", hex.EncodeToString(sum[:]), putOptions(sum))
		return err
	})
}

// transferWait is how long n bytes may take.
func transferWait(n int64) time.Duration {
	return requestWait + time.Duration(n/slowest)*time.Second
}

// busyCause is why there is no time any more, an ErrFull in any case.
func busyCause(ctx context.Context) error {
	if cause := context.Cause(ctx); errors.Is(cause, ErrFull) {
		return cause
	}
	return fmt.Errorf("%w: the hub ends", ErrFull)
}

func (g *cargo) section(off, n int64) *io.SectionReader { return io.NewSectionReader(g.file, off, n) }

// buffers are what files are read through.
var buffers = sync.Pool{New: func() any { return new([64 << 10]byte) }}

// sum reads n bytes at off for their SHA-256, and goes on with the digest of the data
// set: what is sent after this is what its digest is of, or the server refuses it.
func (g *cargo) sum(off, n int64) (sum [sha256.Size]byte, err error) {
	h := sha256.New()
	buffer := buffers.Get().(*[64 << 10]byte)
	defer buffers.Put(buffer)
	for at := off; at < off+n; {
		b := buffer[:min(int64(len(buffer)), off+n-at)]
		if _, err := g.file.ReadAt(b, at); err != nil {
			return sum, fmt.Errorf("read partial object: %w", err)
		}
		h.Write(b)
		g.digest.Write(b[min(int64(len(b)), max(0, g.preface-at)):])
		at += int64(len(b))
	}
	h.Sum(sum[:0])
	return sum, nil
}

// holds reports whether the digest of all that was read is the object's.
func (g *cargo) holds() bool { return dicom.ID(g.digest.Sum(nil)) == g.id }
