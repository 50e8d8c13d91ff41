package main

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"time"

	"edged/dimse"
	"edged/internal/synth"
)

// association is what a worker needs of a dimse.Client.
type association interface {
	// Store sends one instance and returns what was answered. After an error other
	// than dimse.ErrNoContext the association is over.
	Store(ctx context.Context, i synth.Instance, dataSet io.Reader) (dimse.Status, error)
	// Close releases the association if it can, and aborts it if not.
	Close()
}

// dial opens an association under a calling AE title.
type dial func(ctx context.Context, calling string) (association, error)

// worker sends one instance after the other, on one association at a time.
type worker struct {
	dial  dial
	retry time.Duration
	keep  string
	hash  bool

	assoc   association
	calling string    // of assoc
	outage  time.Time // when the present outage began; zero: none
}

const (
	firstWait = 100 * time.Millisecond
	maxWait   = 5 * time.Second
)

func (w *worker) run(ctx context.Context, work <-chan synth.Instance, results chan<- line) {
	defer w.hangUp()
	for i := range work {
		l := w.deliver(ctx, i)
		if l.ok() && w.keep != "" {
			l.fail(w.keepFile(ctx, i, l.ID))
		}
		results <- l
	}
}

// deliver tries until the answer is final or the outage has lasted too long. An
// outage is the worker's, not the instance's: when a peer stays away, the rest of
// the work fails at once instead of sitting out the same time again.
func (w *worker) deliver(ctx context.Context, i synth.Instance) line {
	l := newLine(i)
	for wait := firstWait; ; wait = min(2*wait, maxWait) {
		l.Attempts++
		status, err := w.once(ctx, i, &l)
		done := final(status, err)
		if done && err == nil {
			w.outage = time.Time{}
		}
		if done || ctx.Err() != nil || !w.patient(wait) {
			l.settle(status, err)
			return l
		}
		sleep(ctx, wait)
	}
}

// patient notes an outage and reports whether another wait fits into it.
func (w *worker) patient(wait time.Duration) bool {
	if w.outage.IsZero() {
		w.outage = time.Now()
	}
	return time.Since(w.outage)+wait <= w.retry
}

// final reports whether trying again is pointless: answered for good, rejected
// for good, or no presentation context.
func final(status dimse.Status, err error) bool {
	var reject dimse.Reject
	switch {
	case err == nil:
		return !status.IsTransient()
	case errors.As(err, &reject):
		return !reject.Transient()
	}
	return errors.Is(err, dimse.ErrNoContext)
}

// once makes one attempt.
func (w *worker) once(ctx context.Context, i synth.Instance, l *line) (dimse.Status, error) {
	if err := w.connect(ctx, i.Calling); err != nil {
		return 0, err
	}
	dataSet, length := i.Open()
	if l.Bytes = length; w.hash {
		dataSet = l.hashing(i, dataSet)
	}
	l.SentAt = time.Now()
	status, err := w.assoc.Store(ctx, i, dataSet)
	l.AnsweredAt = time.Now()
	if err != nil && !errors.Is(err, dimse.ErrNoContext) {
		w.hangUp()
	}
	return status, err
}

// connect keeps the association while the calling AE title stays the same.
func (w *worker) connect(ctx context.Context, calling string) (err error) {
	if w.assoc != nil && w.calling == calling {
		return nil
	}
	w.hangUp()
	w.assoc, err = w.dial(ctx, calling)
	if err != nil {
		w.assoc = nil // a nil *Client in an interface is not nil
	}
	w.calling = calling
	return err
}

func (w *worker) hangUp() {
	if w.assoc != nil {
		w.assoc.Close()
		w.assoc = nil
	}
}

// keepFile writes DIR/ID.dcm, made again from the seed.
func (w *worker) keepFile(ctx context.Context, i synth.Instance, id string) error {
	path := filepath.Join(w.keep, id+".dcm")
	if _, err := writeFile(ctx, path+".tmp", i); err != nil {
		return err
	}
	return os.Rename(path+".tmp", path)
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
