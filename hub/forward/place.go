package forward

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync"
	"time"

	"edged/internal/durable"
)

// incoming holds what is being written, and marks a directory as the one that
// was used: the empty directory below a disk that is not mounted has none. It is
// made at the first use, never again, and no study has this name.
const incoming = ".incoming"

// errAway means that the directory is not there, or is another one. It is waited
// for: an archive that was written below its mount point is nobody's archive.
var errAway = errors.New("away")

// place is the directory as it was when it was found.
type place struct {
	root *os.Root // closed when nobody uses it any more: workers may still write

	mu    sync.Mutex          // guards known
	known map[string]struct{} // study directories that are durable in their parent
}

// isAt reports whether the place is still what path names.
func (p *place) isAt(path string) bool {
	there, err := os.Stat(path)
	if err != nil {
		return false
	}
	own, err := p.root.Stat(".")
	if err != nil || !os.SameFile(there, own) {
		return false
	}
	_, err = p.root.Lstat(incoming)
	return err == nil
}

// find returns the place, as long as it is there; else it looks for it again.
func (d *Dir) find() (*place, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.broken != nil {
		return nil, d.broken
	}
	if d.place != nil && d.place.isAt(d.c.Path) {
		return d.place, nil
	}
	root, err := d.openPath()
	if err != nil {
		d.place = nil
		return nil, fmt.Errorf("%w: %w", errAway, err)
	}
	d.place = &place{root: root, known: map[string]struct{}{}}
	return d.place, nil
}

// abandoned is after how long what another node was writing is swept with our own: it
// has been gone for as long.
const abandoned = 24 * time.Hour

// mine is a name in incoming that says whose it is.
func (d *Dir) mine(random string) string {
	if d.c.Node == "" {
		return random
	}
	return d.c.Node + "-" + random
}

// left reports whether a crash has left a file in incoming: ours, or that of a node that
// did not come back. What another node is writing stays.
func (d *Dir) left(e fs.DirEntry) bool {
	i := strings.LastIndexByte(e.Name(), '-')
	if i < 0 || e.Name()[:i] == d.c.Node {
		return true
	}
	info, err := e.Info()
	return err == nil && time.Since(info.ModTime()) > abandoned
}

// openPath opens the directory and empties incoming of what a crash has left half
// written. Before the first use it makes incoming, durably, and with Create the
// directory itself.
func (d *Dir) openPath() (*os.Root, error) {
	used, err := d.used()
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(d.c.Path); errors.Is(err, fs.ErrNotExist) {
		if used || !d.c.Create {
			return nil, fmt.Errorf("path %s is missing: is it mounted?", d.c.Path)
		}
		if err := durable.Mkdir(d.c.Path, 0o755); err != nil {
			return nil, err
		}
	}
	root, err := os.OpenRoot(d.c.Path)
	if err != nil {
		return nil, err
	}
	if err := d.mark(root, used); err != nil {
		return nil, errors.Join(err, root.Close())
	}
	return root, nil
}

// used reports whether an object was ever delivered here. mu is held.
func (d *Dir) used() (bool, error) {
	if d.stored || d.c.Used == nil {
		return d.stored, nil
	}
	return d.c.Used()
}

// mark finds incoming and empties it, or makes it. It is never removed and made
// again: a crash between the two would look like a disk that is not mounted. It is
// emptied once: a directory that is found again may be the same one, in use.
func (d *Dir) mark(root *os.Root, used bool) error {
	f, err := root.Open(incoming)
	switch {
	case errors.Is(err, fs.ErrNotExist) && used:
		return fmt.Errorf("path %s is not what was delivered to before, it has no %s: is it mounted? If it is right, make that folder in it", d.c.Path, incoming)
	case errors.Is(err, fs.ErrNotExist):
		d.swept = true
		return errors.Join(root.Mkdir(incoming, 0o700), durable.SyncDir(d.c.Path))
	case err != nil:
		return err
	}
	defer f.Close()
	if d.swept {
		return nil // what is there now, our own workers write
	}
	left, err := f.ReadDir(-1)
	for _, e := range left {
		if !d.left(e) {
			continue
		}
		err = errors.Join(err, root.RemoveAll(incoming+"/"+e.Name()))
	}
	d.swept = err == nil
	return err
}
