package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"edged/internal/durable"
)

// What an export does to names in a folder that may be on anybody's stick: nothing
// is followed, nothing is replaced, and no sync that failed is believed when it is
// asked again (P8).

// makeFolder makes dir and its parents. One whose name could not be made durable
// goes again: the next export would find it and take it for durable.
func makeFolder(dir string) error {
	var missing []string
	for d := filepath.Clean(dir); ; d = filepath.Dir(d) {
		if _, err := os.Lstat(d); !errors.Is(err, fs.ErrNotExist) {
			break
		}
		missing = append(missing, d)
	}
	err := durable.Mkdir(dir, 0o700)
	if err != nil {
		for _, d := range missing { // the deepest first; one that holds something stays
			_ = os.Remove(d)
		}
	}
	return err
}

// settleFolder makes what was there before durable, also the names above dir: an
// export that was killed may have left them in memory only.
func settleFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := unix.Syncfs(int(d.Fd())); err != nil {
		return fmt.Errorf("sync the disk with %s: %w", dir, err)
	}
	return nil
}

// createNew makes a file that is nobody else's. What an export that was cut has
// left goes; what somebody has put there, say a link to another file, is not
// followed: the folder may be on a stick that was elsewhere before.
func createNew(name string) (*os.File, error) {
	if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_RDWR|unix.O_NOFOLLOW, 0o600)
}

// openPlain opens what is a file by itself. A link is not: what it leads to does
// not go with the folder.
func openPlain(name string) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if errors.Is(err, unix.ELOOP) {
		return nil, fmt.Errorf("%s %w", filepath.Base(name), errOtherFile)
	}
	if err != nil {
		return nil, err
	}
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		f.Close()
		return nil, errors.Join(err, fmt.Errorf("%s %w", filepath.Base(name), errOtherFile))
	}
	return f, nil
}

// nameAnew takes a name away and gives it back. Cut in between, the file is a
// NAME.part, in whose place the next export writes another.
func nameAnew(name string) error {
	part := name + ".part"
	if err := os.Remove(part); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := renameNew(name, part); err != nil {
		return err
	}
	return renameNew(part, name)
}

// renameNew renames without replacing anything. A file system that cannot
// promise that is asked first, which leaves a gap of an instant.
func renameNew(from, to string) error {
	err := unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_NOREPLACE)
	if errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("%s %w", filepath.Base(to), errOtherFile)
	}
	if !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOSYS) {
		return err
	}
	if _, err := os.Lstat(to); err == nil {
		return fmt.Errorf("%s %w", filepath.Base(to), errOtherFile)
	}
	return os.Rename(from, to)
}
