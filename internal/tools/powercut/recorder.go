package main

import (
	"context"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

type opKind byte

const (
	opWrite opKind = iota // bytes in the disk's cache
	opFlush               // whatever was written before is durable
	opDoubt               // a flush failed: what was written since the last one may be lost for good
	opMark                // the sender has heard Success
)

// op is one line of a recording.
type op struct {
	kind opKind
	at   time.Time
	off  int64  // of a write
	data []byte // of a write
	mark int    // of a mark: the number of the object
}

// recorder is a disk in memory as a file of a FUSE file system. It logs writes
// and flushes in the order in which they take effect, and fails or delays them
// when told to.
//
// A flush is logged when it begins: a write that arrives while it runs is not
// covered by it. A mark is logged by the sender when it has read the answer, so
// whatever a mark may count on stands before it.
type recorder struct {
	fs.Inode

	mu        sync.Mutex // guards what follows
	disk      *image
	recording bool
	log       []op
	faults    faults
	flushes   int
}

// faults is what goes wrong with the disk from now on.
type faults struct {
	flushDelay  time.Duration // added to every flush
	failFlushes int           // so many flushes fail with EIO
	failWrites  int           // so many writes fail with EIO
	failFrom    int           // of those of this many bytes or more
	failedSoFar int
}

var (
	_ fs.NodeOpener    = (*recorder)(nil)
	_ fs.NodeGetattrer = (*recorder)(nil)
	_ fs.NodeSetattrer = (*recorder)(nil)
	_ fs.NodeReader    = (*recorder)(nil)
	_ fs.NodeWriter    = (*recorder)(nil)
	_ fs.NodeFsyncer   = (*recorder)(nil)
	_ fs.NodeAllocater = (*recorder)(nil)
)

func (d *recorder) Open(context.Context, uint32) (fs.FileHandle, uint32, syscall.Errno) {
	return nil, fuse.FOPEN_DIRECT_IO, 0
}

func (d *recorder) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	out.Mode = syscall.S_IFREG | 0o600
	out.Size, out.Blocks = uint64(d.disk.size), uint64(d.disk.size/512)
	return 0
}

func (d *recorder) Setattr(ctx context.Context, f fs.FileHandle, _ *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	return d.Getattr(ctx, f, out)
}

func (d *recorder) Read(_ context.Context, _ fs.FileHandle, p []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	d.mu.Lock()
	defer d.mu.Unlock()
	p = p[:max(0, min(int64(len(p)), d.disk.size-off))]
	d.disk.read(p, off)
	return fuse.ReadResultData(p), 0
}

func (d *recorder) Write(_ context.Context, _ fs.FileHandle, p []byte, off int64) (uint32, syscall.Errno) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.faults.failWrites > 0 && len(p) >= d.faults.failFrom {
		d.faults.failWrites--
		d.faults.failedSoFar++
		return 0, syscall.EIO
	}
	d.disk.write(p, off)
	if d.recording {
		d.log = append(d.log, op{kind: opWrite, at: time.Now(), off: off, data: slices.Clone(p)})
	}
	return uint32(len(p)), 0
}

func (d *recorder) Fsync(context.Context, fs.FileHandle, uint32) syscall.Errno {
	delay, errno := d.flush()
	time.Sleep(delay) // the disk's own time: the log is not locked
	return errno
}

func (d *recorder) flush() (time.Duration, syscall.Errno) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.flushes++
	if d.faults.failFlushes > 0 {
		d.faults.failFlushes--
		d.faults.failedSoFar++
		d.note(op{kind: opDoubt})
		return d.faults.flushDelay, syscall.EIO
	}
	d.note(op{kind: opFlush})
	return d.faults.flushDelay, 0
}

// Allocate refuses to punch holes, so that a discard is none.
func (d *recorder) Allocate(context.Context, fs.FileHandle, uint64, uint64, uint32) syscall.Errno {
	return syscall.EOPNOTSUPP
}

// note adds a line to the log. Guarded by mu.
func (d *recorder) note(o op) {
	if d.recording {
		o.at = time.Now()
		d.log = append(d.log, o)
	}
}

// mark tells that the sender has heard Success for an object.
func (d *recorder) mark(object int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.note(op{kind: opMark, mark: object})
}

// fail sets what goes wrong from now on.
func (d *recorder) fail(f faults) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.faults = f
}

// failed is how many operations were failed since the last call of fail.
func (d *recorder) failed() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.faults.failedSoFar
}

// record begins the log and returns the disk as it is now.
func (d *recorder) record() *image {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.recording, d.log = true, nil
	return d.disk.clone()
}

// stop ends the log and returns it.
func (d *recorder) stop() []op {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.recording = false
	return d.log
}

// flushed is how many flushes there were.
func (d *recorder) flushed() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.flushes
}
