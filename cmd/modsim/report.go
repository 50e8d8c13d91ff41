package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"time"

	"edged/dimse"
	"edged/internal/synth"
)

// line is what is reported of one instance.
type line struct {
	ID             string    `json:"id"` // of internal/dicom: the name under which the appliance knows it
	SOPInstanceUID string    `json:"sop_instance_uid"`
	Study          string    `json:"study"`
	Modality       string    `json:"modality"`
	Calling        string    `json:"calling"`
	TransferSyntax string    `json:"transfer_syntax"`
	Bytes          int64     `json:"bytes"`           // of the data set
	SHA256         string    `json:"sha256"`          // of the data set alone
	Status         string    `json:"status"`          // four hexadecimal digits, "" when nothing was answered
	Error          string    `json:"error,omitempty"` // why nothing was answered
	Attempts       int       `json:"attempts"`
	SentAt         time.Time `json:"sent_at"`     // of the last attempt
	AnsweredAt     time.Time `json:"answered_at"` // likewise

	id, data hash.Hash
	hashed   io.Reader // what is left to hash
}

func newLine(i synth.Instance) line {
	return line{SOPInstanceUID: i.Names.SOPInstance, Study: i.Study, Modality: i.Modality,
		Calling: i.Calling, TransferSyntax: i.Names.TransferSyntax}
}

func (l *line) ok() bool { return l.Status == "0000" && l.Error == "" }

// hashing begins the digests anew and feeds them with what is read.
func (l *line) hashing(i synth.Instance, dataSet io.Reader) io.Reader {
	l.id, l.data = i.Names.NewHash(), sha256.New()
	l.hashed = io.TeeReader(dataSet, io.MultiWriter(l.id, l.data))
	return l.hashed
}

// settle notes how the last attempt ended. A peer that answers early has not read
// all, so the rest is hashed here.
func (l *line) settle(status dimse.Status, err error) {
	l.fail(err)
	if err == nil {
		l.Status = fmt.Sprintf("%04X", uint16(status))
	}
	if l.hashed == nil {
		return
	}
	if _, err := io.Copy(io.Discard, l.hashed); err != nil {
		l.fail(err)
	}
	l.ID, l.SHA256 = hex.EncodeToString(l.id.Sum(nil)), hex.EncodeToString(l.data.Sum(nil))
	l.id, l.data, l.hashed = nil, nil, nil
}

func (l *line) fail(err error) {
	if err != nil {
		l.Error = err.Error()
	}
}

// summary is the last line.
type summary struct {
	Summary          bool    `json:"summary"`
	Instances        int     `json:"instances"`
	Answered         int     `json:"answered"` // with 0000
	Retries          int     `json:"retries"`
	Bytes            int64   `json:"bytes"` // of those answered with 0000
	Seconds          float64 `json:"seconds"`
	ObjectsPerSecond float64 `json:"objects_per_second"`
	BytesPerSecond   float64 `json:"bytes_per_second"`
}

// report writes the lines; it belongs to one goroutine.
type report struct {
	out     io.Writer
	json    bool
	start   time.Time
	s       summary
	refused int
	failed  error // of the output itself
}

func newReport(out io.Writer, json bool) *report {
	return &report{out: out, json: json, start: time.Now(), s: summary{Summary: true}}
}

// maxComplaints bounds what a run without --json says about failures.
const maxComplaints = 10

func (r *report) add(l line) error {
	r.s.Retries += l.Attempts - 1
	if l.ok() {
		r.s.Answered++
		r.s.Bytes += l.Bytes
	} else if r.refused++; !r.json && r.refused <= maxComplaints {
		fmt.Fprintf(os.Stderr, "modsim: %s instance not stored: status %q %s\n", l.Modality, l.Status, l.Error)
	}
	if r.json {
		return json.NewEncoder(r.out).Encode(l)
	}
	return nil
}

// finish writes the summary; it is an error unless all were answered 0000.
func (r *report) finish(all int) error {
	r.s.Instances, r.s.Seconds = all, time.Since(r.start).Seconds()
	if r.s.Seconds > 0 {
		r.s.ObjectsPerSecond = float64(r.s.Answered) / r.s.Seconds
		r.s.BytesPerSecond = float64(r.s.Bytes) / r.s.Seconds
	}
	err := r.failed
	if r.json {
		err = errors.Join(err, json.NewEncoder(r.out).Encode(r.s))
	} else {
		fmt.Fprintf(r.out, "%d of %d instances answered 0000, %d bytes in %.1f s (%.0f objects/s, %.1f MB/s), %d retries\n",
			r.s.Answered, all, r.s.Bytes, r.s.Seconds, r.s.ObjectsPerSecond, r.s.BytesPerSecond/1e6, r.s.Retries)
	}
	if r.s.Answered < all {
		err = errors.Join(err, fmt.Errorf("%d of %d instances were not answered 0000", all-r.s.Answered, all))
	}
	return err
}
