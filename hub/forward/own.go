package forward

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"syscall"

	"edged/hub/ledger"
	"edged/hub/objects"
	"edged/internal/dicom"
)

// opened is the object of a job. When the hub's own copy cannot be opened it is
// an outcome or an error in its place, see ownFault.
func (f *Forwarder) opened(j ledger.Job) (Object, *outcome, error) {
	o, err := f.Open(j.Object.ID)
	if err == nil {
		return o, nil, nil
	}
	out, err := ownFault(err)
	return nil, &out, err
}

// ownFault says what an error of opening or reading the hub's own copy means. A
// copy that is missing, or whose bytes prove wrong, is lost: the appliances still
// have it (P14). Without descriptors or memory no object is judged, and the
// destination waits. Anything else, as a disk that does not answer, delays this
// object alone (P6) and says nothing about its bytes.
func ownFault(err error) (outcome, error) {
	for _, e := range []error{fs.ErrNotExist, objects.ErrDigest, dicom.ErrNotPart10} {
		if errors.Is(err, e) {
			return outcome{verdict: lost, why: errDamaged.Error(), words: err.Error()}, nil
		}
	}
	for _, e := range exhausted {
		if errors.Is(err, e) {
			return outcome{}, fmt.Errorf("open the hub's copy: %w", e)
		}
	}
	return outcome{verdict: transient, ours: true, why: "the hub's copy cannot be read now", words: fmt.Sprintf("the hub cannot read its copy: %v", err)}, nil
}

// exhausted are the errors of a process or machine that has too much open.
var exhausted = []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM}

// errDamaged words an object that is lost.
var errDamaged = errors.New("the hub's copy is missing or damaged")

// ownError is an error of reading the hub's own copy.
type ownError struct{ err error }

func (e *ownError) Error() string { return e.err.Error() }
func (e *ownError) Unwrap() error { return e.err }

// ownReader remembers an error of reading, to tell it from one of writing.
type ownReader struct {
	r   io.Reader
	err error
}

// Read implements io.Reader.
func (o *ownReader) Read(b []byte) (int, error) {
	n, err := o.r.Read(b)
	if err != nil && err != io.EOF {
		err = &ownError{err}
		o.err = err
	}
	return n, err
}
