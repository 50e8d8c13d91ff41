package spool

import (
	"errors"
	"io"
	"syscall"
)

// FS is the part of a file system that a spool stands on. All names are
// relative to the spool's directory, with slashes. The second implementation
// is the strict one of the tests, which loses whatever was not synced. A File is
// written once from start to end and then only read at offsets; that is what
// encryption, which knows nothing of an FS, builds on (see outlet and blob).
//
// Rename and Mkdir fail before they change anything when they cannot open what
// they need, and hold the directory of the new name open until SyncDir: a sync
// needs no descriptor, so its failure is always the disk's.
//
// It has more methods than we like because each of them is one system call
// whose failure must be injectable.
type FS interface {
	Create(name string) (File, error)      // O_CREAT|O_EXCL|O_RDWR
	Open(name string) (File, error)        // O_RDONLY
	Rename(oldName, newName string) error  // atomic; durable after SyncDir of newName's directory
	Remove(name string) error              // files and empty directories
	Mkdir(name string) error               // no error if it is there; durable after SyncDir of the parent
	ReadDir(name string) ([]string, error) // any order
	SyncDir(name string) error             // fsync(directory)
	SyncFS() error                         // syncfs: all that any process wrote
	Free() (int64, error)                  // bytes that we may still write
	Lock(shared bool) (io.Closer, error)   // ErrLocked when somebody else has it; freed by the end of the process
}

// File is one file of an FS. Sync is fdatasync: bytes and length, not times.
// After Sync has failed nobody calls it again on the same File (SPOOL-4).
type File interface {
	io.Writer
	io.ReaderAt
	io.Closer
	Sync() error
	Size() (int64, error)
}

// writeStarter is a File that can begin to write out a range early, so that the
// Sync at the end of a large object has little left to do. It proves nothing.
type writeStarter interface{ StartWrite(off, n int64) }

// cacheDropper is a File that can have the kernel forget what it remembers of it,
// so that the next read asks the disk. It proves nothing when it does nothing.
type cacheDropper interface{ DropCache() }

// askDisk sees to it that an object's next read comes from the disk: a check that
// the page cache passes says nothing about what a power cut would leave.
func askDisk(fs FS, seq uint64) {
	f, err := fs.Open(objectName(seq))
	if err != nil {
		return // whoever reads it learns why
	}
	defer f.Close()
	if d, ok := f.(cacheDropper); ok {
		d.DropCache()
	}
}

// noSpace reports whether err says that the disk, or the quota, is full: the
// only errors of a write that are not fatal (P7, P8).
func noSpace(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// noDescriptor reports whether err says that nothing more can be opened now.
// Only an open says so, so nothing has happened to the disk.
func noDescriptor(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}

// starved is noDescriptor for an operation that only opens or creates, which may
// lack the kernel's memory as well.
func starved(err error) bool { return noDescriptor(err) || errors.Is(err, syscall.ENOMEM) }
