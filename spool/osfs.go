//go:build linux

package spool

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// osFS is the real file system below one directory. Every directory is opened
// through an os.Root: a name that would leave the spool is an error of the
// kernel's path walk, not of our string handling (SPOOL-10).
type osFS struct {
	dir  string
	root *os.Root
	dirs *openDirs
}

var _ FS = (*osFS)(nil)

func openOSFS(dir string) (*osFS, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open spool directory: %w", err)
	}
	return &osFS{dir: dir, root: root, dirs: &openDirs{root: root, open: map[string]*openDir{}}}, nil
}

func (o *osFS) Create(name string) (File, error) {
	return o.open(name, os.O_RDWR|os.O_CREATE|os.O_EXCL)
}

func (o *osFS) Open(name string) (File, error) { return o.open(name, os.O_RDONLY) }

func (o *osFS) open(name string, flag int) (f File, err error) {
	err = o.dirs.at("open", name, flag&os.O_CREATE != 0, func(dir int, base string) error {
		fd, err := unix.Openat(dir, base, flag|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0o600)
		if err == nil {
			f = osFile{os.NewFile(uintptr(fd), name)}
		}
		return err
	})
	return f, err
}

// Rename has both directories open before it changes anything, and that of
// newName stays open for its SyncDir.
func (o *osFS) Rename(oldName, newName string) error {
	return o.dirs.at("rename", oldName, false, func(from int, a string) error {
		return o.dirs.at("rename", newName, true, func(to int, b string) error {
			return unix.Renameat(from, a, to, b)
		})
	})
}

func (o *osFS) Remove(name string) error { return o.dirs.removeAt(name) }

func (o *osFS) Mkdir(name string) error {
	return o.dirs.at("mkdir", name, true, func(dir int, base string) error {
		if err := unix.Mkdirat(dir, base, 0o700); err != nil && err != unix.EEXIST {
			return err
		}
		return nil
	})
}

func (o *osFS) ReadDir(name string) ([]string, error) {
	d, err := o.root.Open(name)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	return d.Readdirnames(-1)
}

func (o *osFS) SyncDir(name string) error { return o.dirs.sync(name) }

func (o *osFS) SyncFS() error {
	d, err := o.dirs.take(".")
	if err != nil {
		return err
	}
	defer o.dirs.give(d, false)
	return unix.Syncfs(d.fd)
}

// Free counts what an unprivileged writer may take, also when we are root: the
// blocks that the administrator reserved are not ours.
func (o *osFS) Free() (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(o.dir, &st); err != nil {
		return 0, err
	}
	return int64(st.Bavail) * st.Bsize, nil
}

func (o *osFS) Lock(shared bool) (io.Closer, error) {
	flag, how := os.O_RDWR|os.O_CREATE, unix.LOCK_EX
	if shared {
		flag, how = os.O_RDONLY, unix.LOCK_SH
	}
	f, err := o.root.OpenFile(lockName, flag, 0o600)
	if shared && errors.Is(err, os.ErrNotExist) {
		return io.NopCloser(nil), nil // nobody ever ran here
	}
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), how|unix.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, ErrLocked
		}
		return nil, err
	}
	return fileLock{f}, nil
}

// fileLock frees the lock itself: a child that is being started has every
// descriptor as well until its exec, and would keep a lock that is only closed.
type fileLock struct{ f *os.File }

func (l fileLock) Close() error {
	return errors.Join(unix.Flock(int(l.f.Fd()), unix.LOCK_UN), l.f.Close())
}

func (o *osFS) close() error {
	o.dirs.close()
	return o.root.Close()
}

type osFile struct{ *os.File }

func (f osFile) Sync() error {
	err := unix.Fdatasync(int(f.Fd()))
	runtime.KeepAlive(f.File)
	return err
}

func (f osFile) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// DropCache drops pages that are clean, as those of a synced file are. What another
// reader has mapped or locked stays.
func (f osFile) DropCache() {
	_ = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
	runtime.KeepAlive(f.File)
}

// StartWrite begins writeback and waits for nothing. Its error is not looked
// at: the Sync that follows reports what went wrong.
func (f osFile) StartWrite(off, n int64) {
	_ = unix.SyncFileRange(int(f.Fd()), off, n, unix.SYNC_FILE_RANGE_WRITE)
	runtime.KeepAlive(f.File)
}
