package spool

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
)

// copyToPlace: copy, fdatasync(copy), prove the copy, rename to the place of seq,
// fsync(directory). An error that lies in the source, or a copy that does not
// prove whole, is ErrCorrupt or errNotSealed, and nothing has changed then.
//
// What is encrypted is copied as it lies there, under its old header. That uses no
// nonce twice: a nonce is spoilt by a second text, and this is the first one again.
func (r *recovery) copyToPlace(from string, seq uint64) error {
	file, err := r.s.fs.Open(from)
	if err != nil {
		return err
	}
	old := &source{File: file}
	defer old.Close()
	tmp := fmt.Sprintf("%s/rewrite-%016x", tmpDir, seq)
	f, err := r.s.fs.Create(tmp)
	if err != nil {
		return err
	}
	defer f.Close()
	if err = copyFile(f, old); err == nil {
		err = synced(f.Sync())
	}
	if err == nil {
		err = r.proveCopy(f, seq)
	}
	if err == nil && from != objectName(seq) {
		err = r.s.makeShard(seq)
	}
	if err == nil {
		err = r.s.fs.Rename(tmp, objectName(seq))
	}
	if err == nil {
		return synced(r.s.fs.SyncDir(shardName(seq)))
	}
	if old.err != nil {
		err = fmt.Errorf("%w: cannot be read: %w", ErrCorrupt, old.err)
	}
	return errors.Join(err, r.s.fs.Remove(tmp))
}

// proveCopy reads f, which stays open.
func (r *recovery) proveCopy(f File, seq uint64) error {
	b, err := r.s.keys.blob(unclosed{f})
	if err != nil {
		return err
	}
	defer b.Close()
	c, err := inspect(b, seq)
	if err != nil {
		return err
	}
	return c.proveContent(contextReaderAt{r.ctx, b}, nil)
}

type unclosed struct{ File }

func (unclosed) Close() error { return nil }

// source remembers that it was the one that failed.
type source struct {
	File
	err error
}

func (s *source) ReadAt(p []byte, off int64) (int, error) {
	n, err := s.File.ReadAt(p, off)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

type contextReaderAt struct {
	ctx context.Context
	io.ReaderAt
}

func (r contextReaderAt) ReadAt(p []byte, off int64) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.ReaderAt.ReadAt(p, off)
}

// exists is true when in doubt.
func exists(fs FS, name string) bool {
	f, err := fs.Open(name)
	if err == nil {
		f.Close()
	}
	return !errors.Is(err, os.ErrNotExist)
}
