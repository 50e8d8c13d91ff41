//go:build linux

package spool

import (
	"errors"
	"os"
	"path"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"
)

// maxOpenDirs bounds the directories that are kept open: tmp, journal, the shard
// that objects go to, and the shards that are being read.
const maxOpenDirs = 64

// openDirs keeps directories open. Two reasons:
//
// A sync must never need a descriptor. A process that has none left could not
// open the directory for its fsync, and would have to call an object lost that
// the disk never refused. So a directory in which a name was made stays open
// until SyncDir has been called for it, whatever the bound says.
//
// And a path walk costs: from an os.Root each operation opened, and closed
// again, every directory on its way, ten openat for one object. A directory is
// still opened through the Root; below it there is one name without a slash,
// and symbolic links are not followed (SPOOL-10).
//
// A descriptor that lives longer reports more: Linux tells an error of an earlier
// writeback to whoever had the file open at that time (P8).
type openDirs struct {
	root *os.Root

	mu     sync.Mutex // guards all below, held while a directory is opened
	open   map[string]*openDir
	clock  uint64
	closed bool
}

// openDir is one of them. Guarded by openDirs.mu, but for f and fd.
type openDir struct {
	f        *os.File
	fd       int
	users    int
	used     uint64 // by the clock; the least goes first
	unsynced bool   // a name was made in it and SyncDir was not called yet
	dropped  bool   // no longer in the map; its last user closes it
}

// take opens a directory, or finds it open. It ends with give.
func (o *openDirs) take(name string) (*openDir, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	d := o.open[name]
	if d == nil {
		if o.closed {
			return nil, os.ErrClosed
		}
		f, err := o.root.OpenFile(name, os.O_RDONLY|unix.O_DIRECTORY, 0)
		if err != nil {
			return nil, err
		}
		d = &openDir{f: f, fd: int(f.Fd())}
		o.open[name] = d
	}
	o.clock++
	d.users, d.used = d.users+1, o.clock
	o.bound()
	return d, nil
}

// give ends a take; unsynced: a name was made meanwhile.
func (o *openDirs) give(d *openDir, unsynced bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	d.users--
	d.unsynced = d.unsynced || unsynced
	if d.dropped && d.users == 0 {
		d.f.Close()
	}
}

// bound closes what was not used for longest. Guarded by mu.
func (o *openDirs) bound() {
	if len(o.open) <= maxOpenDirs {
		return
	}
	oldest := ""
	for name, d := range o.open {
		if d.users == 0 && !d.unsynced && (oldest == "" || d.used < o.open[oldest].used) {
			oldest = name
		}
	}
	if oldest != "" {
		o.drop(oldest)
	}
}

// drop forgets a directory. Guarded by mu.
func (o *openDirs) drop(name string) {
	d := o.open[name]
	if d == nil {
		return
	}
	delete(o.open, name)
	if d.dropped = true; d.users == 0 {
		d.f.Close()
	}
}

// removed tells that a directory is gone: one that is made anew under its name
// is another.
func (o *openDirs) removed(name string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.drop(path.Clean(name))
}

// sync is fsync of a directory. Names made from here on need the next one.
func (o *openDirs) sync(name string) error {
	d, err := o.take(name)
	if err != nil {
		return err
	}
	defer o.give(d, false)
	o.mu.Lock()
	d.unsynced = false
	o.mu.Unlock()
	return d.f.Sync()
}

func (o *openDirs) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	for name := range o.open {
		o.drop(name)
	}
}

// at does one operation on the last part of name, in the open directory before
// it. makes: it makes a name there.
func (o *openDirs) at(what, name string, makes bool, do func(dir int, base string) error) error {
	if !filepath.IsLocal(name) {
		return &os.PathError{Op: what, Path: name, Err: unix.EINVAL}
	}
	dir, base := path.Split(path.Clean(name))
	d, err := o.take(path.Clean(dir))
	if err != nil {
		return err
	}
	err = do(d.fd, base)
	for err == unix.EINTR {
		err = do(d.fd, base)
	}
	o.give(d, makes && err == nil)
	if err != nil {
		return &os.PathError{Op: what, Path: name, Err: err}
	}
	return nil
}

// removeAt removes a file or an empty directory.
func (o *openDirs) removeAt(name string) error {
	return o.at("remove", name, false, func(dir int, base string) error {
		err := unix.Unlinkat(dir, base, 0)
		if errors.Is(err, unix.EISDIR) {
			if err = unix.Unlinkat(dir, base, unix.AT_REMOVEDIR); err == nil {
				o.removed(name)
			}
		}
		return err
	})
}
