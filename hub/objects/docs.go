package objects

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
)

// maxDocument bounds a document, and the memory of whoever reads one.
const maxDocument = 16 << 20

// Put makes a small document durable under a name below docs/, in place of what was
// there. Put again it changes nothing. A reader sees the old or the new one, whole.
//
// A name is made of segments of a-z, 0-9, '-', '_' and '.', that begin with neither '.'
// nor '-', with '/' between them: no byte of a peer belongs into it.
func (s *Store) Put(ctx context.Context, name string, b []byte) error {
	if err := checkName(name); err != nil {
		return err
	}
	if len(b) > maxDocument {
		return fmt.Errorf("document %s has %d bytes: at most %d", name, len(b), maxDocument)
	}
	if err := s.Failed(); err != nil {
		return err
	}
	if err := s.shelf.put(ctx, name, b); err != nil {
		return fmt.Errorf("put document %s: %w", name, err)
	}
	return nil
}

// Get reads a document. The error wraps fs.ErrNotExist exactly when there is none.
func (s *Store) Get(ctx context.Context, name string) ([]byte, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	b, err := s.shelf.get(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("get document %s: %w", name, err)
	}
	return b, nil
}

// List returns the names of all documents that begin with prefix, sorted.
func (s *Store) List(ctx context.Context, prefix string) ([]string, error) {
	names, err := s.shelf.list(ctx, prefix)
	if err != nil {
		return nil, fmt.Errorf("list documents: %w", err)
	}
	slices.Sort(names)
	return names, nil
}

// errName means that a name is not one of a document.
var errName = errors.New("no name of a document")

func checkName(name string) error {
	ok := len(name) <= 200
	for segment := range strings.SplitSeq(name, "/") {
		ok = ok && segment != "" && segment[0] != '.' && segment[0] != '-'
		for i := range len(segment) {
			c := segment[i]
			ok = ok && (c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.')
		}
	}
	if !ok {
		return fmt.Errorf("%q: %w", name, errName)
	}
	return nil
}

// newDocs is where documents are before they have their names.
const newDocs = "docs/.new"

// put is: write docs/.new/RANDOM, fsync it, make the directories of the name durable,
// rename, fsync the directory. The last is the commit point.
func (d directory) put(_ context.Context, name string, b []byte) error {
	tmp, to := newDocs+"/"+rand.Text(), "docs/"+name
	err := d.write(tmp, b)
	if err == nil {
		err = d.makeDirs(path.Dir(to))
	}
	if err == nil {
		err = d.s.root.Rename(tmp, to)
	}
	if err != nil {
		return errors.Join(full(err), absent(d.s.root.Remove(tmp)))
	}
	return d.sync(path.Dir(to))
}

func (d directory) write(name string, b []byte) error {
	f, err := d.s.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if _, err := f.Write(b); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := d.s.fdatasync(int(f.Fd())); err != nil {
		if !errors.Is(full(err), ErrFull) {
			err = d.s.fail(fmt.Errorf("fdatasync: %w", err))
		}
		return errors.Join(err, f.Close())
	}
	return f.Close()
}

// makeDirs makes dir and all above it, each durable in the one above.
func (d directory) makeDirs(dir string) error {
	if info, err := d.s.root.Stat(dir); err == nil && info.IsDir() {
		return nil
	}
	if err := d.makeDirs(path.Dir(dir)); err != nil {
		return err
	}
	if err := mkdir(d.s.root, dir); err != nil {
		return err
	}
	return d.sync(path.Dir(dir))
}

// sync flushes a directory; an error is final (P8).
func (d directory) sync(dir string) error {
	f, err := d.s.root.Open(dir)
	if spent(err) { // nothing was tried
		return full(err)
	}
	if err == nil {
		err = errors.Join(f.Sync(), f.Close())
	}
	if err != nil {
		return d.s.fail(fmt.Errorf("fsync %s: %w", dir, err))
	}
	return nil
}

func absent(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func (d directory) get(_ context.Context, name string) ([]byte, error) {
	f, err := d.s.root.Open("docs/" + name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return limited(f)
}

// limited reads a document, and no more than one may have.
func limited(r io.Reader) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxDocument+1))
	if err == nil && len(b) > maxDocument {
		err = fmt.Errorf("more than %d bytes", maxDocument)
	}
	return b, err
}

func (d directory) list(_ context.Context, prefix string) (names []string, err error) {
	err = fs.WalkDir(d.s.root.FS(), path.Dir("docs/"+prefix), func(name string, e fs.DirEntry, err error) error {
		if e != nil && e.IsDir() && name == newDocs {
			return fs.SkipDir
		}
		if name, ok := strings.CutPrefix(name, "docs/"); err == nil && !e.IsDir() && ok && strings.HasPrefix(name, prefix) {
			names = append(names, name)
		}
		return absent(err)
	})
	return names, err
}

// makeDocs makes the directories of documents and forgets those without a name.
func (s *Store) makeDocs() error {
	for _, dir := range []string{"docs", newDocs} {
		if err := mkdir(s.root, dir); err != nil {
			return err
		}
	}
	left, err := fs.ReadDir(s.root.FS(), newDocs)
	for _, e := range left {
		err = errors.Join(err, s.root.Remove(newDocs+"/"+e.Name()))
	}
	return errors.Join(err, syncDir(s.root, "docs"))
}
