package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// mayExportTo refuses a folder on the appliance's own ground: a plain copy there
// stays behind when the key is erased, and is where nobody looks for patients.
func (c *Config) mayExportTo(dir string) error {
	real, err := realPath(dir)
	if err != nil {
		return usagef("%s cannot take the copies: %w", dir, err)
	}
	for _, own := range []string{c.DataDir, c.spoolDir()} {
		inside, err := isInside(real, own)
		if err != nil {
			return err
		}
		if inside {
			return usagef("%s is inside data_dir (%s); take a folder or a disk outside", dir, c.DataDir)
		}
	}
	return nil
}

// realPath is where dir is, or will be when it is made: links are followed as far as
// there is something.
func realPath(dir string) (string, error) {
	real, err := filepath.EvalSymlinks(dir)
	if err == nil || !errors.Is(err, fs.ErrNotExist) || dir == filepath.Dir(dir) {
		return real, err
	}
	if _, err := os.Lstat(dir); err == nil {
		return "", fmt.Errorf("%s is a link that leads nowhere", dir)
	}
	parent, err := realPath(filepath.Dir(dir))
	return filepath.Join(parent, filepath.Base(dir)), err
}

// isInside asks the file system, not the names: the same folder may have several, by
// a bind mount for one.
func isInside(real, own string) (bool, error) {
	there, err := os.Stat(own)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	for {
		info, err := os.Stat(real)
		if err == nil && os.SameFile(info, there) {
			return true, nil
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return false, err
		}
		if real == filepath.Dir(real) {
			return false, nil
		}
		real = filepath.Dir(real)
	}
}
