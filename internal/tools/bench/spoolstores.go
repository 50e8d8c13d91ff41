package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	bolt "go.etcd.io/bbolt"
	"golang.org/x/sys/unix"

	"edged/spool"
)

// store keeps objects in one folder. put is called by many goroutines at once and
// returns when the object is as safe as this store makes it. run does what the
// store puts off, until ctx ends; close follows it.
type store interface {
	put(ctx context.Context, n int64, c content) error
	run(ctx context.Context) error
	close() error
}

// storeKind is a way to keep objects.
type storeKind struct {
	name string
	open func(ctx context.Context, dir string) (store, error)
}

// The stores, and the names by which rows are compared.
var (
	spoolPlain     = storeKind{"spool", func(ctx context.Context, dir string) (store, error) { return openSpool(ctx, dir, nil) }}
	spoolEncrypted = storeKind{"spool, encrypted", func(ctx context.Context, dir string) (store, error) { return openSpool(ctx, dir, benchKey) }}
	naive          = storeKind{"naive", openNaive}
	unsafeStore    = storeKind{"no fsync", func(_ context.Context, dir string) (store, error) { return openFiles(dir, false) }}
	rawStore       = storeKind{"raw loop", func(_ context.Context, dir string) (store, error) { return openFiles(dir, true) }}
)

var benchKey = []byte("the key of the bench is no secret")[:32]

// content is what objects are made of: size bytes, the block again and again.
type content struct {
	size  int64
	block []byte
}

// pieceBytes is how an object arrives, as from a connection; a block is no less.
const pieceBytes = 64 << 10

// pieces writes object n, which differs from every other by its first bytes.
func (c content) pieces(ctx context.Context, n int64, write func([]byte) (int, error)) error {
	first := binary.BigEndian.AppendUint64(nil, uint64(n))
	if _, err := write(first); err != nil {
		return err
	}
	for at := int64(len(first)); at < c.size && ctx.Err() == nil; {
		from := at % int64(len(c.block))
		part := c.block[from:min(from+pieceBytes, from+c.size-at, int64(len(c.block)))]
		if _, err := write(part); err != nil {
			return err
		}
		at += int64(len(part))
	}
	return ctx.Err()
}

// What lies beside the content of an object, about as large as the appliance's.
var (
	benchMeta    = make([]byte, 300)
	benchPreface = make([]byte, 400)
)

const objectsInStudy = 200

// spoolStore is package spool as the appliance uses it, its Run beside the writers.
type spoolStore struct{ *spool.Spool }

func openSpool(ctx context.Context, dir string, key []byte) (store, error) {
	s, err := spool.Open(ctx, spoolConfig(dir, key))
	return spoolStore{s}, err
}

// spoolConfig is the default one. The file system was chosen for the bench.
func spoolConfig(dir string, key []byte) spool.Config {
	return spool.Config{Dir: filepath.Join(dir, "spool"), Key: key, AllowUnsafeFilesystem: true}
}

func (s spoolStore) put(ctx context.Context, n int64, c content) error {
	w, err := s.Create(spool.New{Group: fmt.Sprint("study ", n/objectsInStudy), Part: "series", Meta: benchMeta, Preface: benchPreface})
	if err != nil {
		return err
	}
	defer w.Abort()
	if err := c.pieces(ctx, n, w.Write); err != nil {
		return err
	}
	_, _, err = w.Commit(ctx)
	return err
}

func (s spoolStore) run(ctx context.Context) error { return s.Run(ctx) }
func (s spoolStore) close() error                  { return s.Close() }

// fileStore is a folder of files, each written under another name first. durable:
// the shortest way of one writer alone to a safe file, which flushes the file and
// its folder and shares nothing.
type fileStore struct {
	dir     string
	folder  *os.File
	durable bool
}

func openFiles(dir string, durable bool) (*fileStore, error) {
	s := &fileStore{dir: dir, durable: durable}
	for _, name := range []string{"tmp", "objects"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			return nil, err
		}
	}
	var err error
	s.folder, err = os.Open(filepath.Join(dir, "objects"))
	return s, err
}

// names are where an object is written and where it stays.
func (s *fileStore) names(n int64) (tmp, final string) {
	return filepath.Join(s.dir, "tmp", fmt.Sprint(n)), filepath.Join(s.dir, "objects", fmt.Sprint(n))
}

func (s *fileStore) put(ctx context.Context, n int64, c content) error {
	tmp, final := s.names(n)
	f, err := os.Create(tmp)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := c.pieces(ctx, n, f.Write); err != nil {
		return err
	}
	if err := os.Rename(tmp, final); err != nil || !s.durable {
		return err
	}
	if err := unix.Fdatasync(int(f.Fd())); err != nil {
		return err
	}
	return s.folder.Sync()
}

func (s *fileStore) run(ctx context.Context) error { <-ctx.Done(); return nil }
func (s *fileStore) close() error                  { return s.folder.Close() }

// naiveStore does what one writes down first: flush the file, name it, flush the
// folder, note it in a database, and answer. It computes no digest.
type naiveStore struct {
	*fileStore
	db *bolt.DB
}

var naiveBucket = []byte("objects")

func openNaive(_ context.Context, dir string) (store, error) {
	files, err := openFiles(dir, true)
	if err != nil {
		return nil, err
	}
	db, err := bolt.Open(filepath.Join(dir, "index.db"), 0o600, &bolt.Options{Timeout: time.Second})
	if err != nil {
		return nil, err
	}
	return &naiveStore{files, db}, db.Update(func(tx *bolt.Tx) error {
		_, err := tx.CreateBucket(naiveBucket)
		return err
	})
}

func (s *naiveStore) put(ctx context.Context, n int64, c content) error {
	tmp, final := s.names(n)
	if err := s.write(ctx, tmp, n, c); err != nil {
		return err
	}
	if err := os.Rename(tmp, final); err != nil {
		return err
	}
	if err := s.folder.Sync(); err != nil {
		return err
	}
	return s.db.Update(func(tx *bolt.Tx) error {
		return tx.Bucket(naiveBucket).Put(binary.BigEndian.AppendUint64(nil, uint64(n)), benchMeta)
	})
}

func (s *naiveStore) write(ctx context.Context, tmp string, n int64, c content) error {
	f, err := os.Create(tmp)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := c.pieces(ctx, n, f.Write); err != nil {
		return err
	}
	return f.Sync()
}

func (s *naiveStore) close() error { return errors.Join(s.db.Close(), s.fileStore.close()) }
