package objects

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"sync"
	"time"

	"github.com/minio/minio-go/v7"

	"edged/internal/dicom"
)

const (
	headBytes  = 16 << 10         // of each object that are kept while it is open: its File Meta
	readWait   = 30 * time.Second // for the next bytes
	readTries  = 4                // without a byte between them
	removeWait = 8                // requests at the same time
)

// open asks for the whole object and reads its head. The rest comes as it is read.
func (b *bucket) open(id dicom.ID) (volume, error) {
	v := &remote{b: b, id: id, key: b.objectKey(id)}
	first := v.cursor(0)
	if err := first.dial(); err != nil {
		first.close()
		if errors.Is(err, fs.ErrNotExist) && b.hold {
			return b.old.open(id)
		}
		return nil, err
	}
	head := make([]byte, min(headBytes, v.length))
	if _, err := io.ReadFull(first, head); err != nil {
		v.Close()
		return nil, err
	}
	v.head, v.next = head, first
	return v, nil
}

// missing makes certain of a 404, and is an error that wraps fs.ErrNotExist only then.
func (b *bucket) missing(ctx context.Context, key string, err error) error {
	if !absentKey(err) {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, requestWait)
	defer cancel()
	switch size, e := b.there(ctx, key); {
	case e != nil:
		return e
	case size >= 0:
		return fmt.Errorf("the server has it and does not give it: %s", strings.ReplaceAll(err.Error(), "\n", " "))
	}
	return fs.ErrNotExist
}

// remote is a volume of a bucket.
type remote struct {
	b      *bucket
	id     dicom.ID
	key    string
	length int64
	head   []byte

	mu   sync.Mutex // guards what follows; next is used under it
	next *cursor    // goes on behind what ReadAt, or open, read last
	all  []*cursor
}

func (v *remote) size() int64 { return v.length }

// Close ends all requests.
func (v *remote) Close() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, c := range v.all {
		c.close()
	}
	return nil
}

// from reads the head from memory and goes on with the request of open when that still
// stands there: one request for who reads an object from start to end.
func (v *remote) from(off int64) io.Reader {
	have := int64(len(v.head))
	v.mu.Lock()
	defer v.mu.Unlock()
	c := v.next
	if c == nil || c.pos != max(off, have) {
		c = v.newCursor(max(off, have))
	} else {
		v.next = nil
	}
	return io.MultiReader(bytes.NewReader(v.head[min(off, have):]), c)
}

// ReadAt implements io.ReaderAt.
func (v *remote) ReadAt(b []byte, off int64) (n int, err error) {
	if off < int64(len(v.head)) {
		n = copy(b, v.head[off:])
	}
	if n == len(b) {
		return n, nil
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	at := off + int64(n)
	if v.next == nil || v.next.pos != at {
		if v.next != nil {
			v.next.close()
		}
		v.next = v.newCursor(at)
		v.next.only = int64(len(b) - n) // who reads on after this gets the rest
	}
	m, err := io.ReadFull(v.next, b[n:])
	if err == io.ErrUnexpectedEOF {
		err = io.EOF
	}
	return n + m, err
}

// damaged leaves a mark, so that the object is stored again when its appliance sends it again.
func (v *remote) damaged() {
	ctx, cancel := context.WithTimeout(v.b.ctx, requestWait)
	defer cancel()
	if err := v.b.store(ctx, v.b.mark(v.id), nil); err != nil {
		v.b.s.log.Warn("a damaged object is not marked: its next reader will try", "object", v.id, "error", err)
	}
}

func (v *remote) cursor(pos int64) *cursor {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.newCursor(pos)
}

// newCursor needs v.mu.
func (v *remote) newCursor(pos int64) *cursor {
	c := &cursor{v: v, pos: pos}
	v.all = append(v.all, c)
	return c
}

// cursor reads a volume from a position on, with as few requests as the line allows: a
// request that was cut is made again from where it ended.
type cursor struct {
	v    *remote
	pos  int64
	only int64 // bytes that the first request is for; if zero, all

	mu     sync.Mutex // guards what follows: close may come while Read waits
	body   io.ReadCloser
	cancel context.CancelFunc
	closed bool
}

// Read implements io.Reader.
func (c *cursor) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	if c.pos >= c.v.length {
		return 0, io.EOF
	}
	var last error
	for try := range readTries {
		if try > 0 && !pause(c.v.b.ctx, 100*time.Millisecond<<(2*(try-1))) {
			break
		}
		n, err := c.read(b)
		if n > 0 {
			return n, nil
		}
		if last = err; err == errClosed || errors.Is(err, fs.ErrNotExist) || !understand(err).again {
			break
		}
	}
	return 0, fmt.Errorf("read object %s: %w", c.v.id, last)
}

func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// read returns bytes, or an error.
func (c *cursor) read(b []byte) (n int, err error) {
	body, cancel := c.request()
	if body == nil {
		if err := c.dial(); err != nil {
			return 0, err
		}
		if body, cancel = c.request(); body == nil {
			return 0, errClosed
		}
	}
	late := time.AfterFunc(readWait, cancel)
	n, err = body.Read(b)
	inTime := late.Stop()
	c.pos += int64(n)
	if err == nil {
		return n, nil
	}
	c.hangUp()
	switch {
	case c.isClosed():
		err = errClosed
	case !inTime:
		err = context.DeadlineExceeded
	case err == io.EOF:
		err = io.ErrUnexpectedEOF // of this request; the object goes on
	}
	return n, err
}

func (c *cursor) request() (io.ReadCloser, context.CancelFunc) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.body, c.cancel
}

func (c *cursor) isClosed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}

// errClosed means that somebody reads from what was closed.
var errClosed = fmt.Errorf("the object is closed: %w", fs.ErrClosed)

// dial asks for the rest of the object. The first time it learns its size.
func (c *cursor) dial() error {
	ctx, cancel := context.WithCancel(c.v.b.ctx)
	c.mu.Lock()
	if c.cancel = cancel; c.closed {
		cancel()
	}
	c.mu.Unlock()
	late := time.AfterFunc(requestWait, cancel)
	var opts minio.GetObjectOptions
	if err := c.limit(&opts); err != nil {
		return err
	}
	body, info, header, err := c.v.b.core.GetObject(ctx, c.v.b.Name, c.v.key, opts)
	if inTime := late.Stop(); err != nil {
		cancel()
		if !inTime {
			return context.DeadlineExceeded
		}
		return c.refused(err)
	}
	c.mu.Lock()
	c.body = body
	c.mu.Unlock()
	if c.pos == 0 && c.only == 0 {
		c.v.length = info.Size
		return nil
	}
	if !strings.HasPrefix(header.Get("Content-Range"), fmt.Sprintf("bytes %d-", c.pos)) {
		c.hangUp()
		return errors.New("the server does not answer with the range that was asked for")
	}
	return nil
}

// limit sets the range of the request.
func (c *cursor) limit(opts *minio.GetObjectOptions) error {
	switch only := c.only; {
	case only > 0:
		c.only = 0
		return opts.SetRange(c.pos, min(c.pos+only, c.v.length)-1)
	case c.pos > 0:
		return opts.SetRange(c.pos, c.v.length-1)
	}
	return nil
}

func (c *cursor) refused(err error) error {
	if c.isClosed() {
		return errClosed
	}
	return c.v.b.missing(c.v.b.ctx, c.v.key, err)
}

// hangUp ends the request.
func (c *cursor) hangUp() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cancel != nil {
		c.cancel()
	}
	if c.body != nil {
		c.body.Close()
		c.body = nil
	}
}

func (c *cursor) close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.hangUp()
}

// remove deletes the objects, also those from before there was a bucket.
func (b *bucket) remove(ids []dicom.ID) (gone []dicom.ID, err error) {
	errs := make([]error, len(ids))
	inParallel(len(ids), removeWait, func(i int) {
		errs[i] = within(b.ctx, requestWait, 2, func(ctx context.Context) error {
			return b.core.RemoveObject(ctx, b.Name, b.objectKey(ids[i]), minio.RemoveObjectOptions{})
		})
	})
	for i, e := range errs {
		if e == nil || absentKey(e) {
			gone = append(gone, ids[i])
			continue
		}
		err = errors.Join(err, fmt.Errorf("remove object %s: %w", ids[i], e))
	}
	if b.hold {
		var old error
		gone, old = b.old.remove(gone)
		err = errors.Join(err, old)
	}
	return gone, err
}
