package vault

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"edged/internal/durable"
)

// copyError is a copy that could not be written or synced.
type copyError struct {
	which int
	err   error
}

func (e *copyError) Error() string { return fmt.Sprintf("key copy %d: %v", e.which+1, e.err) }
func (e *copyError) Unwrap() error { return e.err }

// dirError is a directory above the copies that could not be synced.
type dirError struct {
	dir string
	err error
}

func (e *dirError) Error() string { return e.err.Error() }
func (e *dirError) Unwrap() error { return e.err }

// touch changes a directory without a trace: the next fsync then has a change of its
// own to write, and with it the block in which the names of the copies stand. It does
// not only repeat what was said of the one that failed (P8).
func (c *Config) touch(dir string) {
	name := filepath.Join(dir, ".sync")
	c.takeAway(errors.Join(unlessExists(os.Mkdir(name, 0o700)), os.Remove(name)))
}

func unlessExists(err error) error {
	if errors.Is(err, os.ErrExist) {
		return nil
	}
	return err
}

// withdraw takes away what a failed Open leaves in doubt. After a failed fsync the
// kernel may call the pages clean that never reached the disk, and the next fsync,
// of this process or of another one, would return nothing wrong (P8). So the next
// Open must find no copy there, and write a new file.
//
// A key that was made just now was given to nobody: all of it goes, the directories
// too. Of an older key one copy goes, and only while the other one is good and syncs.
// What cannot be taken away stays, and is told; nothing more can be done here.
func (c *Config) withdraw(cause error, made bool) {
	if c.step("withdraw") != nil {
		return
	}
	var failed *copyError
	var above *dirError
	switch {
	case made:
		for i, p := range paths(c.Dir) {
			c.takeAway(os.Remove(p))
			_ = unix.Rmdir(dirs(c.Dir)[i]) // what is not an empty directory is not ours to remove
		}
	case errors.As(cause, &failed) && c.stands(1-failed.which):
		c.takeAway(os.Remove(paths(c.Dir)[failed.which]))
	case errors.As(cause, &above):
		c.touch(above.dir)
	}
}

// texts are both copies as they are now, nil where there is none.
func (c *Config) texts() (texts [2][]byte) {
	for i, p := range paths(c.Dir) {
		texts[i], _ = readFile(p) // what cannot be read is not what write puts there
	}
	return texts
}

// takeBack takes away what a failed Recover has written: it can be done again,
// because the wrapped key is there, and must then write new files (P8).
func (c *Config) takeBack(was [2][]byte) {
	if c.step("take back") != nil {
		return
	}
	for i, now := range c.texts() {
		if now != nil && !bytes.Equal(now, was[i]) {
			c.takeAway(os.Remove(paths(c.Dir)[i]))
		}
	}
}

// forgetPublic is for a wrapped key in doubt: without its public key the next Wrap
// writes both anew. The wrapped one stays, it may be good.
func (c *Config) forgetPublic(cause error) {
	if cause != nil && c.step("forget public") == nil {
		c.takeAway(os.Remove(filepath.Join(c.Dir, publicFile)))
	}
}

func (c *Config) takeAway(err error) {
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		c.Logger.Error("a file of the spool's keys is in doubt and cannot be taken away", "err", err)
	}
}

// stands reports whether a copy is good and on the disk, as far as one can know.
func (c *Config) stands(which int) bool {
	held, err := c.read()
	path := paths(c.Dir)[which]
	return err == nil && held[which].key != nil && syncFile(path) == nil && durable.SyncDir(dirs(c.Dir)[which]) == nil
}
