package objects

import (
	"cmp"
	"container/list"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"edged/internal/dicom"
)

// Config says where and how much.
type Config struct {
	Dir             string       // created when it does not exist
	MaxPartialBytes int64        // of partial objects for each appliance. If zero, 64 GiB.
	ReserveBytes    int64        // that partial objects leave free on the disk, at most a tenth of it. If zero, none.
	Logger          *slog.Logger // If nil, slog.Default.
	Bucket          *Bucket      // where whole objects and documents are. If nil, in Dir.
}

// What a caller decides on.
var (
	ErrFull      = errors.New("no space for partial objects")
	ErrPreempted = errors.New("a newer stream sends this object")
	ErrDigest    = errors.New("the bytes do not have the digest they were announced with")
	ErrLength    = errors.New("more bytes than announced")
	ErrTooBig    = fmt.Errorf("%w of this size, while smaller ones have room", ErrFull) // is an ErrFull
	ErrFailed    = errors.New("a flush failed, the object store must be restarted")
)

// Store is the directory and the shelf. Its methods may be called from many goroutines.
type Store struct {
	root *os.Root
	dir  string // of root, for statfs alone
	max  int64
	keep int64 // free on the disk
	log  *slog.Logger

	shelf  shelf
	bucket *bucket // the shelf when it is one, else nil

	reset     [32]byte
	fdatasync func(fd int) error // a test makes it fail
	statfs    func(dir string, st *unix.Statfs_t) error
	unused    time.Duration // after which a partial object may make room for others
	maxIdle   int           // partial objects of a device that nobody is at
	files     openFiles

	mu       sync.Mutex // guards what follows; never held during I/O on a partial object
	partials map[key]*partial
	idle     idle
	bytes    map[string]int64 // of partial objects, by device directory
	failed   error            // first error of a flush
}

// key names a partial object: the directory of its device, and its ID.
type key struct {
	device string
	id     dicom.ID
}

// shards directories share the objects: few, because each costs a flush for each
// batch of Seal, and ext4 holds some ten million names in one.
const shards = 16

// Open opens or creates the store in c.Dir and finds the partial objects of
// the last run.
func Open(c Config) (*Store, error) {
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("object store: %w", err)
	}
	root, err := os.OpenRoot(c.Dir)
	if err != nil {
		return nil, fmt.Errorf("object store: %w", err)
	}
	s := &Store{
		root:     root,
		dir:      c.Dir,
		max:      cmp.Or(c.MaxPartialBytes, 64<<30),
		keep:     c.ReserveBytes,
		log:      cmp.Or(c.Logger, slog.Default()),
		partials: map[key]*partial{},
		idle:     idle{of: map[string]*list.List{}},
		bytes:    map[string]int64{},
		files:    openFiles{most: allowedFiles()},

		fdatasync: unix.Fdatasync,
		statfs:    unix.Statfs,
		unused:    time.Minute,
		maxIdle:   maxIdle,
	}
	if err := errors.Join(s.makeDocs(), s.makeDirs(), s.findPartials(), s.findResetKey()); err != nil {
		root.Close()
		return nil, fmt.Errorf("object store %s: %w", c.Dir, err)
	}
	s.shelf = directory{s}
	if c.Bucket != nil {
		if s.bucket, err = openBucket(s, *c.Bucket); err != nil {
			root.Close()
			return nil, fmt.Errorf("object store: %w", err)
		}
		s.shelf = s.bucket
	}
	return s, nil
}

// Trouble says what is wrong with the bucket, "" while nothing is. It is for whoever
// looks after the hub; appliances are told that it is busy, and keep their copies.
func (s *Store) Trouble() string {
	if s.bucket == nil {
		return ""
	}
	return s.bucket.wrong()
}

// Close ends what is under way and closes the directory. Partial objects stay for the
// next Open, and so does what a bucket has of large ones.
func (s *Store) Close() error {
	if s.bucket != nil {
		s.bucket.close()
	}
	s.mu.Lock()
	all := make([]*partial, 0, len(s.partials))
	for _, p := range s.partials {
		all = append(all, p)
	}
	s.mu.Unlock()
	for _, p := range all {
		p.mu.Lock()
		p.owner = nil
		p.close()
		p.mu.Unlock()
	}
	return s.root.Close()
}

// makeDirs creates all directories and makes them durable before anything is
// put into them (D-S2).
func (s *Store) makeDirs() error {
	for _, dir := range []string{"partial", "objects"} {
		if err := mkdir(s.root, dir); err != nil {
			return err
		}
	}
	for i := range shards {
		if err := mkdir(s.root, fmt.Sprintf("objects/%x", i)); err != nil {
			return err
		}
	}
	return errors.Join(syncDir(s.root, "objects"), syncDir(s.root, "."))
}

func mkdir(root *os.Root, dir string) error {
	if err := root.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

func syncDir(root *os.Root, dir string) error {
	f, err := root.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// ResetKey is a secret that stays with the store. The listener in front of it
// tells connections of its former life with it that they are gone.
func (s *Store) ResetKey() [32]byte { return s.reset }

const resetKeyFile = "reset.key"

// findResetKey reads the key or makes one. It is not flushed: a lost one costs
// the appliances one idle timeout.
func (s *Store) findResetKey() error {
	if b, err := s.root.ReadFile(resetKeyFile); err == nil && len(b) == len(s.reset) {
		copy(s.reset[:], b)
		return nil
	}
	rand.Read(s.reset[:])
	return s.root.WriteFile(resetKeyFile, s.reset[:], 0o600)
}

// findPartials takes stock of what the last run left. What has a name that
// this package does not write is removed.
func (s *Store) findPartials() error {
	type found struct {
		*partial
		written time.Time
	}
	var all []found
	err := fs.WalkDir(s.root.FS(), "partial", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		id, err := dicom.ParseID(path.Base(name))
		if err != nil {
			return s.root.Remove(name)
		}
		k := key{path.Base(path.Dir(name)), id}
		st, ok := info.Sys().(*syscall.Stat_t)
		p := &partial{store: s, key: k, onDisk: info.Size(), sealed: ok && st.Nlink > 1, used: time.Now()}
		s.partials[k] = p
		s.bytes[k.device] += info.Size()
		all = append(all, found{p, info.ModTime()})
		return nil
	})
	slices.SortFunc(all, func(a, b found) int { return a.written.Compare(b.written) })
	for _, p := range all {
		s.idle.add(p.partial)
	}
	for _, p := range all {
		s.fewer(p.key.device)
	}
	return err
}

func (k key) path() string { return "partial/" + k.device + "/" + k.id.String() }

// deviceDir is the name of a device's directory: no byte of the id reaches a path.
func deviceDir(device string) string {
	sum := sha256.Sum256([]byte(device))
	return hex.EncodeToString(sum[:16])
}

func objectDir(id dicom.ID) string  { return fmt.Sprintf("objects/%x", id[0]>>4) }
func objectPath(id dicom.ID) string { return objectDir(id) + "/" + id.String() + ".dcm" }

// fail records the first failed flush; it is never forgotten (P8).
func (s *Store) fail(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed == nil {
		s.failed = fmt.Errorf("%w: %w", ErrFailed, err)
		s.log.Error("object store failed: restart the hub, check the disk", "error", err)
	}
	return s.failed
}

// Failed returns the error that ended the store, nil while it works.
func (s *Store) Failed() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failed
}

// full turns the two errors of a full disk into ErrFull, and those of a process or a
// machine that has too much open.
func full(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || spent(err) {
		return fmt.Errorf("%w: %w", ErrFull, err)
	}
	return err
}

// spent reports whether an error says that there is no descriptor or no memory now. It
// says nothing about any object: what has been received stays.
func spent(err error) bool {
	for _, e := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.EINTR} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
