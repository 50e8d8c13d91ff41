package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"edged/dimse"
	"edged/internal/dicom"
)

// sendCmd is a C-STORE SCU for files, folders and media.
type sendCmd struct {
	scuFlags
	Again bool          `help:"Send what an earlier run has sent already as well."`
	Retry time.Duration `default:"60s" help:"Try this long again when the node is away, full or busy."`
	Paths []string      `arg:"" name:"PATH" help:"Files, folders, or a DICOMDIR for the media around it."`
}

// sending is one run of the command.
type sending struct {
	*sendCmd
	p        *process
	to       target
	done     *sendLog
	progress *progress
	assoc    *dimse.Client
	refused  int // answered with a failure for good
	skipped  int // no DICOM files
	since    time.Time
}

func (c *sendCmd) Run(p *process) error {
	to, err := parseTarget(c.To)
	if err != nil {
		return err
	}
	if err := c.named(); err != nil {
		return err
	}
	files, bytes, err := gather(c.Paths)
	if err != nil {
		return err
	}
	done, err := openSendLog(to, c.Calling, c.Paths, c.Again)
	if err != nil {
		return err
	}
	defer done.close()
	s := &sending{sendCmd: c, p: p, to: to, done: done, progress: newProgress(p.stderr, len(files), bytes), since: time.Now()}
	err = s.all(files)
	s.progress.end()
	if s.assoc != nil {
		err = errors.Join(err, s.assoc.Release(p.ctx))
	}
	return s.report(len(files), err)
}

// report says what became of the files; anything not stored is a failure.
func (s *sending) report(total int, err error) error {
	fmt.Fprintf(s.p.stdout, "%d stored at %s, %d stored earlier, %d refused, %d not DICOM, of %d files, %s\n",
		s.progress.sent, s.To, s.progress.earlier, s.refused, s.skipped, total, time.Since(s.since).Round(10*time.Millisecond))
	if err != nil {
		return fmt.Errorf("send: %w; the same command goes on where this one stopped", err)
	}
	if s.refused > 0 {
		return fmt.Errorf("send: %d files were refused by %s", s.refused, s.To)
	}
	if total-s.skipped == 0 {
		return errors.New("send: no DICOM file in what was named")
	}
	return s.done.finish()
}

// all sends in batches that fit the contexts of one association.
func (s *sending) all(files []candidate) error {
	for len(files) > 0 {
		batch, needs, n := s.batch(files)
		files = files[n:]
		if len(batch) == 0 {
			continue
		}
		if err := s.renew(needs); err != nil {
			return err
		}
		for _, f := range batch {
			if err := s.one(f, needs); err != nil {
				return err
			}
		}
	}
	return nil
}

// batch takes files from the front until 128 contexts are needed (PS3.8
// §9.3.2.2), reading only their File Meta.
func (s *sending) batch(files []candidate) (batch []candidate, needs []dimse.Need, taken int) {
	seen := make(map[dimse.Need]bool)
	for _, f := range files {
		if s.done.has(f) {
			s.progress.skip(f)
			taken++
			continue
		}
		d, err := dicom.OpenFile(f.path)
		if err != nil || d.SOPClass == dicom.MediaStorageDirectory {
			if err == nil {
				d.Close()
			} else if f.named {
				fmt.Fprintln(s.p.stderr, "edged: left out:", err)
			}
			s.skipped++
			taken++
			continue
		}
		d.Close()
		need := dimse.Need{SOPClassUID: d.SOPClass, TransferSyntaxUID: d.TransferSyntax}
		if !seen[need] && len(seen) == 128 {
			break
		}
		seen[need] = true
		batch = append(batch, f)
		taken++
	}
	for n := range seen {
		needs = append(needs, n)
	}
	return batch, needs, taken
}

// renew makes sure of an association that proposed all needs.
func (s *sending) renew(needs []dimse.Need) error {
	if s.assoc != nil && !s.lacks(needs) {
		return nil
	}
	if s.assoc != nil {
		s.assoc.Release(s.p.ctx) // what was answered stays answered
		s.assoc = nil
	}
	contexts, _ := dimse.Propose(needs...)
	return s.retry(func() (bool, error) {
		a, err := s.dial(s.p.ctx, s.to, contexts)
		if err == nil {
			s.assoc = a
		}
		var r dimse.Reject
		return !errors.As(err, &r) || r.Transient(), err
	})
}

func (s *sending) lacks(needs []dimse.Need) bool {
	for _, n := range needs {
		if !s.assoc.Accepts(n) {
			return true
		}
	}
	return false
}

// retry calls try until it succeeds, says that trying is of no use, or Retry is over.
func (s *sending) retry(try func() (again bool, err error)) error {
	deadline := time.Now().Add(s.Retry)
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
		again, err := try()
		if err == nil || !again || time.Now().Add(wait).After(deadline) {
			return err
		}
		s.progress.note(err)
		if !pause(s.p.ctx, wait) {
			return s.p.ctx.Err()
		}
	}
}

// one sends one file. A refusal of the file is counted; other errors end the run.
func (s *sending) one(f candidate, needs []dimse.Need) error {
	return s.retry(func() (bool, error) {
		if s.assoc == nil {
			if err := s.renew(needs); err != nil {
				return false, err
			}
		}
		return s.store(s.p.ctx, f)
	})
}

func (s *sending) store(ctx context.Context, f candidate) (again bool, err error) {
	d, err := dicom.OpenFile(f.path)
	if err != nil {
		return false, err
	}
	defer d.Close()
	rq := dimse.StoreRequest{SOPClassUID: d.SOPClass, SOPInstanceUID: d.SOPInstance, TransferSyntaxUID: d.TransferSyntax}
	r, err := s.assoc.Store(ctx, rq, io.TeeReader(d, s.progress))
	switch {
	case errors.Is(err, dimse.ErrNoContext):
		s.refuse(f, err.Error())
		return false, nil
	case err != nil:
		s.assoc = nil
		return true, err
	case r.Status.IsTransient():
		return true, fmt.Errorf("%s answered %s", s.To, r.Status)
	case r.Status.IsFailure():
		s.refuse(f, r.Status.String())
		return false, nil
	}
	s.progress.file()
	return false, s.done.add(f)
}

func (s *sending) refuse(f candidate, why string) {
	s.refused++
	s.progress.note(fmt.Errorf("%s: %s", f.path, why))
}
