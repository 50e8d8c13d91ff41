package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"edged/internal/tools/lab"
)

// The slow disk is a file of a file system of its own, in a process of its own (a
// process must not wait for a disk that it serves itself): what is written and read
// goes to the image below, and each flush is a real one that takes longer.
const slowDiskVerb = "slow-disk"

const slowDiskName = "disk"

// slow puts the slow disk between image and loop device and returns its path.
func (d *blockDisk) slow(ctx context.Context, l *lab.Lab, base, image string, delay time.Duration) (string, error) {
	at := filepath.Join(base, "slow")
	if err := os.Mkdir(at, 0o700); err != nil {
		return "", err
	}
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	// It must outlive the file system on it, also when the bench was told to stop.
	p, err := l.Start(context.WithoutCancel(ctx), "slow-disk", nil, nil, self, slowDiskVerb, at, image, delay.String())
	if err != nil {
		return "", err
	}
	d.after(func() error { p.Stop(); return nil })
	path := filepath.Join(at, slowDiskName)
	err = lab.Await(ctx, 10*time.Second, "the slow disk", func() bool { _, err := os.Stat(path); return err == nil })
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, p.Said())
	}
	return path, nil
}

// slowDisk is `MOUNTPOINT IMAGE DELAY`. It serves until it is told to end.
func slowDisk(args []string) error {
	if len(args) != 3 {
		return errors.New("want MOUNTPOINT IMAGE DELAY")
	}
	delay, err := time.ParseDuration(args[2])
	if err != nil {
		return err
	}
	image, err := os.OpenFile(args[1], os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer image.Close()
	signal.Ignore(os.Interrupt) // a terminal sends it to all; who started this ends it in order
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGTERM)
	server, err := mountSlow(args[0], &slowFile{image: image, delay: delay})
	if err != nil {
		return err
	}
	<-end
	return server.Unmount()
}

func mountSlow(at string, file *slowFile) (*fuse.Server, error) {
	root := &fs.Inode{}
	o := &fs.Options{MountOptions: fuse.MountOptions{MaxWrite: 1 << 20, DirectMountStrict: true, FsName: "edged-bench", Name: "slowdisk"}}
	o.OnAdd = func(ctx context.Context) {
		root.AddChild(slowDiskName, root.NewPersistentInode(ctx, file, fs.StableAttr{Mode: syscall.S_IFREG}), true)
	}
	return fs.Mount(at, root, o)
}

// slowFile is the disk. What is written goes on to the real one at once, as behind
// the cache of a disk, so that a flush costs the delay and not the writing of all
// that came since the last.
type slowFile struct {
	fs.Inode
	image *os.File
	delay time.Duration
}

var (
	_ fs.NodeOpener    = (*slowFile)(nil)
	_ fs.NodeGetattrer = (*slowFile)(nil)
	_ fs.NodeReader    = (*slowFile)(nil)
	_ fs.NodeWriter    = (*slowFile)(nil)
	_ fs.NodeFsyncer   = (*slowFile)(nil)
)

func (s *slowFile) Open(context.Context, uint32) (fs.FileHandle, uint32, syscall.Errno) {
	return nil, fuse.FOPEN_DIRECT_IO, 0
}

func (s *slowFile) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	info, err := s.image.Stat()
	if err != nil {
		return fs.ToErrno(err)
	}
	out.Mode, out.Size = syscall.S_IFREG|0o600, uint64(info.Size())
	return 0
}

func (s *slowFile) Read(_ context.Context, _ fs.FileHandle, b []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	return fuse.ReadResultFd(s.image.Fd(), off, len(b)), 0
}

func (s *slowFile) Write(_ context.Context, _ fs.FileHandle, b []byte, off int64) (uint32, syscall.Errno) {
	n, err := s.image.WriteAt(b, off)
	if err == nil {
		err = unix.SyncFileRange(int(s.image.Fd()), off, int64(n), unix.SYNC_FILE_RANGE_WRITE)
	}
	return uint32(n), fs.ToErrno(err)
}

func (s *slowFile) Fsync(context.Context, fs.FileHandle, uint32) syscall.Errno {
	err := unix.Fdatasync(int(s.image.Fd()))
	time.Sleep(s.delay)
	return fs.ToErrno(err)
}
