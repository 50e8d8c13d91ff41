package objects

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"edged/internal/dicom"
)

// shelf is where whole objects are. What it promises is in doc.go; the suite in
// conformance_test.go holds both to it.
type shelf interface {
	// seal makes complete partial objects durable under their IDs; errs has one for each.
	seal(claims []*Partial, errs []error)
	// open returns an error that wraps fs.ErrNotExist exactly when there is no such object.
	open(id dicom.ID) (volume, error)
	// remove returns those that are gone for good; what was not there counts.
	remove(ids []dicom.ID) (gone []dicom.ID, err error)
	documents
}

// documents are small files beside the objects. Names were checked.
type documents interface {
	put(ctx context.Context, name string, b []byte) error
	get(ctx context.Context, name string) ([]byte, error)
	list(ctx context.Context, prefix string) ([]string, error)
	drop(ctx context.Context, name string) error
}

// volume is a whole object, open for reading.
type volume interface {
	io.ReaderAt
	io.Closer
	size() int64
	// from reads from off to the end, once; it ends with Close.
	from(off int64) io.Reader
	// damaged is called when the digest of what was read does not hold.
	damaged()
}

var (
	_ shelf = directory{}
	_ shelf = (*bucket)(nil)
)

// directory is the shelf of files below the store's own directory.
type directory struct{ s *Store }

func (d directory) open(id dicom.ID) (volume, error) {
	f, err := d.s.root.Open(objectPath(id))
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, err
	}
	return file{f, info.Size()}, nil
}

// file is a volume of a directory.
type file struct {
	*os.File
	length int64
}

func (f file) size() int64              { return f.length }
func (f file) from(off int64) io.Reader { return io.NewSectionReader(f.File, off, f.length-off) }
func (f file) damaged()                 {}

// remove unlinks the files and flushes their directories.
func (d directory) remove(ids []dicom.ID) (gone []dicom.ID, err error) {
	dirs := map[string][]dicom.ID{}
	for _, id := range ids {
		if e := d.s.root.Remove(objectPath(id)); e != nil && !errors.Is(e, fs.ErrNotExist) {
			err = errors.Join(err, fmt.Errorf("remove object %s: %w", id, e))
			continue
		}
		dirs[objectDir(id)] = append(dirs[objectDir(id)], id)
	}
	for dir, members := range dirs {
		if e := syncDir(d.s.root, dir); e != nil {
			err = errors.Join(err, e) // they may come back at a power cut, no more
			continue
		}
		gone = append(gone, members...)
	}
	return gone, err
}
