package events

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"sync"
	"syscall"
	"time"

	"edged/internal/dicom"
)

// File is a sink of files: PATH/YYYY-MM-DD/STUDY-REVISION.json.
type File struct {
	name, path string

	mu     sync.Mutex // guards what follows
	broken error      // a flush has failed: nothing is believed until hubd has started again (P8)
	swept  time.Time
}

// dayFormat is of the directories.
const dayFormat = "2006-01-02"

// NewFile returns a sink of files below a directory, which must exist when it is used.
func NewFile(name, path string) *File { return &File{name: name, path: path} }

var _ Sink = (*File)(nil)

// Name implements Sink.
func (f *File) Name() string { return f.name }

// Workers implements Sink.
func (f *File) Workers() int { return 1 }

// Send writes one. The order is: the day's directory, durable in its parent; a file
// beside, fsync; rename; fsync of the directory, which is the commit point.
func (f *File) Send(_ context.Context, m Message) error {
	if err := f.failed(); err != nil {
		return err
	}
	root, err := os.OpenRoot(f.path)
	if err != nil {
		return &Away{"the directory cannot be opened: " + bare(err)}
	}
	defer root.Close()
	f.sweep(root)
	if err = f.store(root, m); err == nil {
		return nil
	}
	if f.failed() != nil {
		return f.failed()
	}
	return &Away{"the directory cannot be written: " + bare(err)}
}

// bare is an error of a file without its name, which has the UID of a study.
func bare(err error) string {
	var p *fs.PathError
	var l *os.LinkError
	var errno syscall.Errno
	switch {
	case errors.As(err, &errno):
		return errno.Error()
	case errors.As(err, &p):
		return p.Err.Error()
	case errors.As(err, &l):
		return l.Err.Error()
	}
	return err.Error()
}

func (f *File) store(root *os.Root, m Message) error {
	day := m.Event.At.UTC().Format(dayFormat)
	if err := root.Mkdir(day, 0o750); err == nil {
		if err := f.sync(root, "."); err != nil {
			return err
		}
	} else if !errors.Is(err, fs.ErrExist) {
		return err
	}
	digest, length, err := m.Digest()
	if err != nil {
		return err
	}
	name := path.Join(day, fileName(m))
	same, taken, err := f.already(root, name, digest, length)
	if taken && !same && err == nil {
		name = path.Join(day, fmt.Sprintf("%s-%x.json", trimJSON(fileName(m)), digest[:4]))
		same, _, err = f.already(root, name, digest, length)
	}
	if err == nil && !same {
		err = f.write(root, day, name, m)
	}
	if err != nil {
		return err
	}
	return f.sync(root, day)
}

// fileName has no byte of a peer but a legal UID.
func fileName(m Message) string {
	study := m.Event.Study
	if !dicom.ValidUID(study) || study[0] == '.' {
		sum := sha256.Sum256([]byte(study))
		study = "study-" + hex.EncodeToString(sum[:16])
	}
	return fmt.Sprintf("%s-%d.json", study, m.Event.Revision)
}

func trimJSON(name string) string { return name[:len(name)-len(".json")] }

// already reports whether a name is taken, and by the same bytes; those it makes
// durable: whoever wrote them may have ended before it did.
func (f *File) already(root *os.Root, name string, digest [sha256.Size]byte, length int64) (same, taken bool, err error) {
	file, err := root.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, false, nil
	}
	if err != nil {
		return false, false, err
	}
	defer file.Close()
	h := sha256.New()
	n, err := io.Copy(h, file)
	if same = n == length && [sha256.Size]byte(h.Sum(nil)) == digest; err == nil && same {
		err = f.flushed(file.Sync())
	}
	return same, true, err
}

// write makes name hold the event.
func (f *File) write(root *os.Root, day, name string, m Message) error {
	var random [8]byte
	rand.Read(random[:])
	tmp := path.Join(day, incoming+hex.EncodeToString(random[:]))
	file, err := root.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o640)
	if err != nil {
		return err
	}
	_, err = io.Copy(file, m.Body())
	if err == nil {
		err = f.flushed(file.Sync())
	}
	err = errors.Join(err, file.Close())
	if err == nil {
		err = root.Rename(tmp, name)
	}
	if err != nil {
		return errors.Join(err, root.Remove(tmp))
	}
	return nil
}

// What a node that has ended was writing is of nobody. What another one writes now is
// younger by far: an event that is not written within half of leaseFor is lent anew.
const (
	incoming   = ".incoming-"
	sweepAge   = 24 * time.Hour
	sweepEvery = time.Hour
	sweepDays  = 30 * 24 * time.Hour // in older directories nothing was written for so long
)

// sweep removes what was left behind by a crash, now and then. Nothing depends on it.
func (f *File) sweep(root *os.Root) {
	now := time.Now()
	if !f.mayRun(now) {
		return
	}
	days, err := fs.ReadDir(root.FS(), ".")
	for _, day := range days {
		if _, isDay := time.Parse(dayFormat, day.Name()); err == nil && isDay == nil && younger(day, now, sweepDays) {
			sweepDay(root, day.Name(), now)
		}
	}
}

// mayRun says whether it is time to sweep.
func (f *File) mayRun(now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if now.Sub(f.swept) < sweepEvery {
		return false
	}
	f.swept = now
	return true
}

func sweepDay(root *os.Root, day string, now time.Time) {
	list, err := fs.ReadDir(root.FS(), day)
	for _, e := range list {
		if err == nil && e.Type().IsRegular() && strings.HasPrefix(e.Name(), incoming) && !younger(e, now, sweepAge) {
			_ = root.Remove(path.Join(day, e.Name())) // the next sweep tries again
		}
	}
}

// younger is true where that is not known.
func younger(e fs.DirEntry, now time.Time, age time.Duration) bool {
	info, err := e.Info()
	return err != nil || now.Sub(info.ModTime()) < age
}

func (f *File) sync(root *os.Root, dir string) error {
	d, err := root.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.flushed(d.Sync()), d.Close())
}

// flushed passes on what a flush returned; after a failure the next one proves nothing.
func (f *File) flushed(err error) error {
	if err == nil {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.broken = &Away{"a flush failed, check the disk and start hubd again: " + bare(err)}
	return f.broken
}

func (f *File) failed() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.broken
}
