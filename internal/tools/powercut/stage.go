package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// fileSystem is one of those that the spool runs on (D-S9).
type fileSystem struct {
	name         string
	bytes        int64
	mkfs         []string
	mountOptions string // so that copies of one disk can be mounted at the same time
}

var fileSystems = map[string]fileSystem{
	"ext4": {"ext4", 96 << 20, []string{"mkfs.ext4", "-q", "-F", "-m", "0", "-E", "lazy_itable_init=0,lazy_journal_init=0,nodiscard"}, ""},
	"xfs":  {"xfs", 320 << 20, []string{"mkfs.xfs", "-q", "-f", "-K"}, "nouuid"},
}

// stage is a recorded disk with a file system on it.
type stage struct {
	disk *recorder
	kind fileSystem
	dir  string // where it is mounted
	undo []func() error
}

// newStage makes disk and file system below dir and mounts it. size, if not
// zero, is another size than usual.
func newStage(ctx context.Context, dir string, kind fileSystem, size int64) (*stage, error) {
	if size > 0 {
		kind.bytes = size
	}
	s := &stage{disk: &recorder{disk: newImage(kind.bytes)}, kind: kind, dir: filepath.Join(dir, "disk")}
	if err := s.build(ctx, filepath.Join(dir, "fuse")); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

func (s *stage) build(ctx context.Context, fuseDir string) error {
	for _, dir := range []string{s.dir, fuseDir} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			return err
		}
	}
	file, err := s.serve(fuseDir)
	if err != nil {
		return err
	}
	defer file.Close()
	if out, err := exec.CommandContext(ctx, s.kind.mkfs[0], append(s.kind.mkfs[1:], file.Name())...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", s.kind.mkfs[0], err, out)
	}
	unmount, err := mountFile(file, s.kind, s.dir)
	if err != nil {
		return err
	}
	s.undo = append(s.undo, unmount)
	return s.settle()
}

// serve mounts the recorder and opens its one file.
func (s *stage) serve(dir string) (*os.File, error) {
	root := &fs.Inode{}
	o := &fs.Options{MountOptions: fuse.MountOptions{MaxWrite: 1 << 20, DirectMountStrict: true, FsName: "powercut", Name: "powercut"}}
	o.OnAdd = func(ctx context.Context) {
		root.AddChild("disk", root.NewPersistentInode(ctx, s.disk, fs.StableAttr{Mode: syscall.S_IFREG}), true)
	}
	server, err := fs.Mount(dir, root, o)
	if err != nil {
		return nil, fmt.Errorf("mount FUSE: %w", err)
	}
	s.undo = append(s.undo, func() error { err := unmountBusy(dir); server.Wait(); return err })
	return os.OpenFile(filepath.Join(dir, "disk"), os.O_RDWR, 0)
}

// settle writes out what is there.
func (s *stage) settle() error {
	d, err := os.Open(s.dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return unix.Syncfs(int(d.Fd()))
}

// close undoes everything, the last first.
func (s *stage) close() error {
	var errs []error
	for i := range s.undo {
		errs = append(errs, s.undo[len(s.undo)-1-i]())
	}
	s.undo = nil
	return errors.Join(errs...)
}
