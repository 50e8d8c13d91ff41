package spool

import (
	"bufio"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"os"
	"path"
	"sync"
	"time"
)

// New describes an object that is about to be written.
type New struct {
	Group    string        // what it belongs to (a study); opaque, at most MaxGroup bytes
	Part     string        // what it belongs to inside Group (a series); opaque, at most MaxGroup bytes
	Name     string        // what its sender calls it (a SOP Instance UID); its letters are not kept, but two of one name and different contents are in conflict. May be empty
	Quiet    time.Duration // how long nothing may come for Group before that counts as complete. If zero, Config.GroupQuiet
	Priority Priority
	Meta     []byte // opaque, at most MaxMeta
	Preface  []byte // stands directly before the content in the container, so that both can be read as one run
	Seed     []byte // hashed before the content into the ID
	Flags    uint32 // opaque
	Test     bool   // not counted
}

// Writer takes the content of one object. It belongs to one goroutine.
type Writer struct {
	s      *Spool
	head   []byte
	new    New
	tmp    string
	f      File
	out    *outlet
	buf    *bufio.Writer
	hash   hash.Hash
	n      int64 // content bytes
	asked  int64 // bytes for which space was asked
	begun  int64 // bytes whose writeback was started, whole pages
	end    End
	err    error // the first one; nothing is written after it
	closed bool
}

// How much a Writer buffers, asks for at once, and lets pile up before it
// starts to write out. Writing out early gives the disk something to do while the
// rest arrives and is hashed; the fdatasync of a 512 KiB object then waits for its
// last quarter instead of for all of it.
const (
	writeBuffer = 128 << 10
	spaceStep   = 1 << 20
	writeStep   = 128 << 10
	pageSize    = 4 << 10 // a page that is not full would be written twice
)

var buffers = sync.Pool{New: func() any { return bufio.NewWriterSize(nil, writeBuffer) }}

// Create begins an object. ErrFull means: no space now, try again later (P7).
// The caller ends with Commit or Abort, always; Abort after Commit does nothing.
func (s *Spool) Create(n New) (*Writer, error) {
	h := head{flags: n.Flags, priority: n.Priority, test: n.Test, group: n.Group, part: n.Part, name: sumOf(n.Name), seed: n.Seed, meta: n.Meta, preface: n.Preface}
	if err := h.check(); err != nil {
		return nil, fmt.Errorf("create object: %w", err)
	}
	switch s.Admission() {
	case Refuse:
		return nil, s.refuse()
	case PauseBackfill:
		if n.Priority == Backfill {
			return nil, s.refuse()
		}
	}
	w := &Writer{s: s, new: n, head: h.encode(), hash: sha256.New()}
	s.mu.Lock()
	s.tmpNext++
	w.tmp = fmt.Sprintf("%s/%016x", tmpDir, s.tmpNext)
	s.mu.Unlock()
	f, err := s.fs.Create(w.tmp)
	if err != nil {
		return nil, s.openError(fmt.Errorf("create object: %w", err))
	}
	w.f, w.out, w.buf = f, s.keys.outlet(f), buffers.Get().(*bufio.Writer)
	w.buf.Reset(w.out)
	w.hash.Write(n.Seed)
	if _, err := w.put(w.head); err != nil {
		w.Abort()
		return nil, err
	}
	return w, nil
}

// refuse is ErrFull, or the reason why the spool takes nothing at all.
func (s *Spool) refuse() error {
	if err := s.Err(); err != nil {
		return err
	}
	s.wakeRun()
	return ErrFull
}

// writeError sorts an error of a write or a rename: no space, or no descriptor
// for the directory, is transient, everything else is the end of this spool (P7,
// P8).
func (s *Spool) writeError(err error) error {
	if (noSpace(err) || noDescriptor(err)) && !errors.Is(err, ErrFailed) {
		s.wakeRun()
		return fmt.Errorf("%w: %w", ErrFull, err)
	}
	return s.fail(err)
}

// openError is writeError for what only creates: nothing was written, nothing
// was promised.
func (s *Spool) openError(err error) error {
	if starved(err) && !errors.Is(err, ErrFailed) {
		return fmt.Errorf("%w: %w", ErrFull, err)
	}
	return s.writeError(err)
}

// Write takes content bytes. After an error the object cannot be completed: the
// caller may drain its source, and calls Abort.
func (w *Writer) Write(p []byte) (int, error) {
	if w.closed {
		return 0, errors.New("write to an object that was closed")
	}
	n, err := w.put(p)
	w.hash.Write(p[:n])
	w.n += int64(n)
	return n, err
}

// End says what only the end of the content told, before Commit.
func (w *Writer) End(e End) { w.end = e }

func (w *Writer) put(p []byte) (int, error) {
	if w.err == nil {
		w.err = w.ask(int64(len(p)))
	}
	if w.err != nil {
		return 0, w.err
	}
	n, err := w.buf.Write(p)
	if err != nil {
		w.err = w.s.writeError(fmt.Errorf("write object: %w", err))
		return n, w.err
	}
	if done := w.out.n &^ (pageSize - 1); done-w.begun >= writeStep {
		w.startWriting(done)
	}
	return n, nil
}

// startWriting has the file written out up to there, and waits for nothing. What
// goes wrong is told by the sync.
func (w *Writer) startWriting(to int64) {
	if start, ok := w.f.(writeStarter); ok && to > w.begun {
		start.StartWrite(w.begun, to-w.begun)
		w.begun = to
	}
}

// ask looks for space once per step, so that what lies in flight is bounded too.
func (w *Writer) ask(n int64) error {
	if w.n+n < w.asked {
		return nil
	}
	step := max(n, spaceStep)
	if err := w.s.space.take(w.s, step); err != nil {
		return err
	}
	w.asked += step
	return nil
}

// Abort removes what was written. Nothing was visible, nothing remains.
func (w *Writer) Abort() {
	if w.closed {
		return
	}
	w.release()
	if err := w.s.fs.Remove(w.tmp); err != nil && !errors.Is(err, os.ErrNotExist) {
		w.s.cfg.Logger.Warn("partial object not removed", "name", path.Base(w.tmp), "error", err) // the next recovery does it
	}
}

// release gives back what the Writer holds, not the file's name.
func (w *Writer) release() {
	if w.closed {
		return
	}
	w.closed = true
	w.f.Close()
	w.buf.Reset(nil)
	buffers.Put(w.buf)
	w.buf = nil
	w.out.release()
	w.s.space.give(w.asked)
}
