package steps

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"io"
	"time"

	"edged/dimse/dataset"
)

// Step is one procedure step as it is kept.
type Step struct {
	UID        string
	Calling    string // AE title of the modality
	Attributes dataset.Set
	Age        time.Duration // as far as an engine was running; whole seconds
}

// Status is IN PROGRESS, COMPLETED or DISCONTINUED.
func (s *Step) Status() string { return s.Attributes.Text(tagStatus) }

// Summary is what a step says about a study. Who is given one does not change it.
type Summary struct {
	Step      string // SOP Instance UID of the step
	Calling   string
	Study     string // Study Instance UID; "" when the step names none or several
	Instances int    // that this step has made of it
	Status    string // IN PROGRESS, COMPLETED or DISCONTINUED
	Series    []Made // where Instances are, as far as the step says
}

// Made is how many instances of a series a step has made.
type Made struct {
	Series    string // Series Instance UID
	Instances int    // more than none
}

// Ended says that nothing comes any more.
func (s *Summary) Ended() bool { return ended(s.Status) }

// Summary is what the step says.
func (s *Step) Summary() Summary {
	n, made := instances(s.Attributes)
	return Summary{s.UID, s.Calling, study(s.Attributes), n, s.Status(), made}
}

const version1 = 1

var errMalformed = errors.New("malformed procedure step")

// maxInflated bounds what Parse inflates: attributes, and what stands before them.
const maxInflated = dataset.MaxBytes + 64<<10

// Append writes the step behind b, as doc.go draws it. A step of 5000 images takes
// some 50 KB.
func (s *Step) Append(b []byte) ([]byte, error) {
	p := binary.AppendUvarint(nil, uint64(max(s.Age, 0)/time.Second))
	p, err := s.Attributes.Append(appendString(appendString(p, s.Calling), s.UID), dataset.ExplicitVRLittleEndian)
	if err != nil {
		return nil, err
	}
	out := bytes.NewBuffer(append(b, version1))
	w, _ := flate.NewWriter(out, flate.DefaultCompression) // the level is valid
	w.Write(p)                                             // a Buffer takes everything
	w.Close()
	return out.Bytes(), nil
}

// Parse reads what Append wrote.
func Parse(b []byte) (s Step, err error) {
	if len(b) == 0 || b[0] != version1 {
		return s, errMalformed
	}
	p, err := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(b[1:])), maxInflated+1))
	seconds, n := binary.Uvarint(p)
	if err != nil || len(p) > maxInflated || n <= 0 {
		return s, errMalformed
	}
	s.Age = time.Duration(min(seconds, 1<<32)) * time.Second
	calling, rest, ok := cutString(p[n:])
	uid, rest, ok2 := cutString(rest)
	if !ok || !ok2 || uid == "" {
		return s, errMalformed
	}
	s.Calling, s.UID = calling, uid
	s.Attributes, err = dataset.Parse(rest, dataset.ExplicitVRLittleEndian)
	return s, err
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func cutString(b []byte) (s string, rest []byte, ok bool) {
	length, n := binary.Uvarint(b)
	if n <= 0 || length > uint64(len(b)-n) {
		return "", nil, false
	}
	b = b[n:]
	return string(b[:length]), b[length:], true
}
