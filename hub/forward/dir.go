package forward

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"syscall"

	"edged/hub"
	"edged/hub/ledger"
	"edged/internal/dicom"
)

// DirConfig is a directory as an archive: PATH/STUDY/ID.dcm.
type DirConfig struct {
	Name string
	Path string
	// Node is this one's name among several that deliver to the same place. If empty,
	// there is one.
	Node string
	// Create makes Path before its first use. If false, a missing one is waited for.
	Create bool
	// Used reports whether an object was ever delivered here, also by an earlier
	// process; then a missing directory is never made. If nil, none was.
	Used func() (bool, error)
}

// Dir is a destination of files.
type Dir struct {
	c    DirConfig
	step func(string) // of tests, else nil

	mu     sync.Mutex // guards what follows
	place  *place     // nil while it is away
	swept  bool       // incoming was emptied by this process
	stored bool       // an object was delivered by this process
	broken error      // a flush has failed: nothing is believed until hubd has started again (P8)
}

// maxKnown bounds the memory of study directories; a forgotten one costs a flush.
const maxKnown = 10_000

// NewDir returns the destination. It looks for the directory; if that is away, so
// is the destination until it comes.
func NewDir(c DirConfig) *Dir {
	d := &Dir{c: c}
	_, _ = d.find() // each worker asks again, and shows what is wrong
	return d
}

func (d *Dir) Name() string              { return d.c.Name }
func (d *Dir) Workers() int              { return 4 }
func (d *Dir) open(f *Forwarder) session { return &dirSession{Dir: d, f: f} }

type dirSession struct {
	*Dir
	f     *Forwarder
	place *place // where the objects in hand go
}

// idle shows that the directory is away before an object has to wait for it.
func (s *dirSession) idle() {
	g := s.f.gates[s.c.Name]
	if _, err := s.find(); err == nil {
		g.recovered(errAway)
	} else if g.status(s.c.Name).Error == "" {
		s.f.unreachable(s.c.Name, err)
	}
}

func (s *dirSession) close() {}

// insteadOfOurs looks whether the archive has an object that the hub lost: after the
// loss of a disk and a restore of the rows its appliances may have forgotten it,
// because it was archived. Its digest says that it is this one.
func (s *dirSession) insteadOfOurs(j ledger.Job, bad outcome) outcome {
	study := studyName(j.Object.Study)
	if bad.verdict != lost || !s.proven(study+"/"+j.Object.ID.String()+".dcm", j.Object.ID) || s.flush(study) != nil {
		return bad
	}
	return outcome{verdict: done}
}

// proven reports whether a file of the archive is the whole object, and makes it durable.
func (s *dirSession) proven(name string, id hub.ID) bool {
	f, err := s.place.root.Open(name)
	if err != nil {
		return false
	}
	defer f.Close()
	r := bufio.NewReaderSize(f, 64<<10)
	names, _, err := dicom.ReadPreface(r)
	if err != nil {
		return false
	}
	h := names.NewHash()
	if _, err := io.Copy(h, r); err != nil || hub.ID(h.Sum(nil)) != id {
		return false
	}
	return s.flushed(f.Sync()) == nil
}

// judge tells what is wrong with one object, with one study's directory, and
// with the disk: the last alone stops the others.
func (s *dirSession) judge(err error) (outcome, error) {
	var own *ownError
	switch {
	case err == nil:
		s.mu.Lock()
		defer s.mu.Unlock()
		s.stored = true
		return outcome{verdict: done}, nil
	case errors.As(err, &own):
		return ownFault(own)
	case errors.Is(err, errOther):
		return outcome{verdict: permanent, why: errOther.Error(), words: err.Error()}, nil
	case s.failed() != nil:
		return outcome{}, s.failed()
	}
	for _, whole := range []error{syscall.ENOSPC, syscall.EDQUOT, syscall.EROFS, syscall.EIO, syscall.EMFILE, syscall.ENFILE} {
		if errors.Is(err, whole) {
			return outcome{}, fmt.Errorf("%s: %w", s.c.Path, whole)
		}
	}
	return outcome{verdict: transient, why: "its directory or file cannot be written", words: err.Error()}, nil
}

// errOther means that the place is taken.
var errOther = errors.New("other bytes are there: move them away and retry")

// write makes a file of o in incoming, durable, and returns its name.
func (s *dirSession) write(o Object) (tmp string, err error) {
	var random [8]byte
	rand.Read(random[:])
	tmp = incoming + "/" + s.mine(hex.EncodeToString(random[:]))
	f, err := s.place.root.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return "", err
	}
	err = copyObject(f, o)
	if err == nil {
		err = s.flushed(f.Sync())
		s.saw("file")
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return "", errors.Join(err, s.place.root.Remove(tmp))
	}
	return tmp, nil
}

// copyObject copies File Meta as it is and the data set with its digest compared.
func copyObject(w io.Writer, o Object) error {
	if _, err := io.Copy(w, &ownReader{r: io.NewSectionReader(o, 0, o.DataOffset())}); err != nil {
		return err
	}
	_, err := io.Copy(w, &ownReader{r: o.DataSet()})
	return err
}

// already reports whether target holds these bytes, and makes them durable: the
// process that wrote them may have died before it did. Other bytes are an error,
// nothing is overwritten.
func (s *dirSession) already(target string, o Object) (bool, error) {
	f, err := s.place.root.Open(target)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return false, err
	}
	same := info.Size() == o.Size()
	if same {
		same, err = equal(f, &ownReader{r: io.NewSectionReader(o, 0, o.Size())})
	}
	if err == nil && !same {
		_, err = io.Copy(io.Discard, &ownReader{r: o.DataSet()}) // whose bytes are the wrong ones?
	}
	if err != nil {
		return false, err
	}
	if !same {
		return false, fmt.Errorf("%s: %w", target, errOther)
	}
	return true, s.flushed(f.Sync())
}

func equal(a, b io.Reader) (bool, error) {
	const chunk = 64 << 10
	x, y := make([]byte, chunk), make([]byte, chunk)
	for {
		n, errA := io.ReadFull(a, x)
		m, errB := io.ReadFull(b, y)
		if err := errors.Join(unexpected(errA), unexpected(errB)); err != nil {
			return false, err
		}
		if !bytes.Equal(x[:n], y[:m]) {
			return false, nil
		}
		if errA != nil || errB != nil {
			return errA == errB, nil
		}
	}
}

// unexpected is nil for the two ways of io.ReadFull to say that it is the end.
func unexpected(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return nil
	}
	return err
}

// flush makes the names in a directory durable.
func (s *dirSession) flush(name string) error {
	f, err := s.place.root.Open(name)
	if err != nil {
		return err
	}
	s.saw("directory")
	return errors.Join(s.flushed(f.Sync()), f.Close())
}

// flushed passes on what a flush returned. After a failure the kernel may
// pretend that the next one worked, so there is no next one.
func (s *Dir) flushed(err error) error {
	if err == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var path *fs.PathError
	if errors.As(err, &path) {
		err = path.Err // without the names of studies, this is logged
	}
	s.broken = fmt.Errorf("%s: a flush failed, check the disk and start hubd again: %w", s.c.Path, err)
	return s.broken
}

func (s *Dir) failed() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.broken
}

// studyName is the directory of a study: its UID where that is a safe name, else
// a hash, also of the empty name that stands for a header nobody could read.
func studyName(uid string) string {
	if dicom.ValidUID(uid) && uid != "." {
		return uid
	}
	sum := sha256.Sum256([]byte(uid))
	return "study-" + hex.EncodeToString(sum[:16])
}
